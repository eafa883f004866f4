"""Precision, recall, F1 and top-k accuracy, against values worked out by hand."""

import numpy as np

from vision_zoo.core.class_metrics import (
    ClassMetrics,
    class_heading,
    class_metrics,
    class_table,
    top_accuracy,
)

_MATRIX = np.array([[8, 2, 0], [1, 3, 0], [0, 0, 0]])


def test_precision_is_of_predictions_and_recall_of_images() -> None:
    cat, dog, _ = class_metrics(_MATRIX, ("cat", "dog", "owl"))
    assert cat == ClassMetrics(label="cat", precision=8 / 9, recall=8 / 10, f1=16 / 19, support=10)
    assert dog == ClassMetrics(label="dog", precision=3 / 5, recall=3 / 4, f1=6 / 9, support=4)


def test_what_is_divided_by_nothing_is_none_but_a_missed_class_has_an_f1_of_zero() -> None:
    owl = class_metrics(_MATRIX, ("cat", "dog", "owl"))[2]
    assert (owl.precision, owl.recall, owl.f1, owl.support) == (None, None, None, 0)
    missed = class_metrics(np.array([[0, 4], [0, 6]]), ("cat", "dog"))[0]
    assert (missed.precision, missed.recall, missed.f1) == (None, 0.0, 0.0)


def test_the_table_ends_with_the_plain_mean_of_what_is_known() -> None:
    classes = class_metrics(_MATRIX, ("cat", "dog", "owl"))
    rows = class_table(classes)
    assert [row["class"] for row in rows] == ["cat", "dog", "owl", "(mean)"]
    assert rows[2] == {"class": "owl", "precision": None, "recall": None, "f1": None, "images": 0}
    assert rows[3] == {
        "class": "(mean)",
        "precision": "74.4%",
        "recall": "77.5%",
        "f1": "75.4%",
        "images": 14,
    }
    assert class_heading(classes) == "Classes"


def test_of_many_classes_the_worst_are_shown() -> None:
    matrix = np.diag(np.full(300, 4))
    matrix[7, 8] = matrix[8, 7] = 5
    classes = class_metrics(matrix, [str(label) for label in range(300)])
    rows = class_table(classes)
    assert [row["class"] for row in rows[:2]] == ["7", "8"]
    assert (len(rows), rows[-1]["images"]) == (21, 1210)
    assert class_heading(classes) == "The 20 classes with the lowest F1, of 300"


def test_top_five_needs_more_than_five_classes_and_takes_equal_scores_in_order() -> None:
    scores = np.array([[6, 5, 4, 3, 2, 1], [0, 0, 0, 0, 0, 0], [1, 2, 3, 4, 5, 6]], dtype=np.float32)
    assert top_accuracy(scores, np.array([5, 4, 1])) == 2 / 3
    assert top_accuracy(scores[:, :5], np.array([0, 0, 0])) is None
