"""Label errors: found by classifiers that have not seen the picture."""

import numpy as np

from vision_zoo.experiments.audit.label_errors import checkable, out_of_fold, suspects


def _clusters(images: int = 30, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    centres = random.normal(size=(classes, 40))
    labels = np.repeat(np.arange(classes), images)
    return (centres[labels] + 0.5 * random.normal(size=(len(labels), 40))).astype(np.float32), labels


def test_pictures_in_the_wrong_class_are_the_suspects() -> None:
    features, labels = _clusters()
    given = labels.copy()
    given[[0, 31, 62]] = [1, 2, 0]
    found = suspects(out_of_fold(features, given, np.arange(len(given))), given)
    assert {(suspect.index, suspect.looks_like) for suspect in found} == {(0, 0), (31, 1), (62, 2)}
    assert [suspect.probability for suspect in found] == sorted(suspect.probability for suspect in found)


def test_right_labels_raise_no_suspicion() -> None:
    features, labels = _clusters()
    probabilities = out_of_fold(features, labels, np.arange(len(labels)))
    assert suspects(probabilities, labels) == []
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)


def test_copies_of_a_wrong_picture_do_not_vouch_for_it() -> None:
    features, labels = _clusters()
    wrong = np.repeat(features[:1], 12, axis=0)
    together = np.concatenate([features, wrong])
    given = np.concatenate([labels, np.full(12, 1)])
    groups = np.concatenate([np.arange(len(labels)), np.zeros(12, dtype=np.int64)])
    found = {suspect.index for suspect in suspects(out_of_fold(together, given, groups), given)}
    assert found == set(range(len(labels), len(together)))


def test_a_class_needs_five_different_pictures() -> None:
    labels = [*["a"] * 5, *["b"] * 5, *["c"] * 5]
    groups = np.array([*range(10), *[10] * 5])
    assert checkable(labels, groups) == ["a", "b"]
    assert checkable(labels[5:], groups[5:]) == []
