"""The rules that decide the reports' claims, on measurements made up for them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vision_zoo.core.results import EpochRecord, SeedResult
from vision_zoo.experiments.predictions import Predictions
from vision_zoo.experiments.report.claims.claims import CLAIMS, Claim
from vision_zoo.experiments.report.claims.evidence import Measured
from vision_zoo.experiments.report.claims.page import evidence_of, text
from vision_zoo.experiments.report.claims.picture import draw
from vision_zoo.recipes import RECIPES, find_recipe

_IMAGES = 10_000
_BY_NAME = {claim.name: claim for claim in CLAIMS}


def _measured(
    recipe: str, accuracies: list[float], *, shift: int = 0, latency: float = 1.0, **run: Any
) -> Measured:
    """Runs with these accuracies; the images that are wrong lie next to each other, from `shift` on."""
    labels = np.zeros(_IMAGES, dtype=np.int64)
    by_seed = {}
    for seed, accuracy in enumerate(accuracies):
        by_seed[seed] = labels.copy()
        by_seed[seed][shift : shift + round((1 - accuracy) * _IMAGES)] = 1
    given = {"steps": 100, "inference_seconds": 1.0, **run}
    whole = SeedResult(**{**dict.fromkeys(SeedResult.__dataclass_fields__), **given})
    return Measured(
        find_recipe(recipe),
        "a-machine",
        1000,
        dict(enumerate(accuracies)),
        float(run.get("train_seconds", 10.0)),
        [whole] * len(accuracies),
        Predictions(labels, by_seed),
        latency,
    )


def _verdict(name: str, *measured: Measured) -> str:
    _, finding = evidence_of(_BY_NAME[name], {entry.recipe.name: entry for entry in measured})
    return finding.verdict


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
def test_a_claim_is_about_recipes_that_there_are(claim: Claim) -> None:
    assert {*claim.recipes, *claim.others} <= set(RECIPES)
    assert all(RECIPES[name].report == claim.report for name in claim.recipes)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
def test_nothing_can_be_told_of_what_was_not_run(claim: Claim) -> None:
    _, finding = evidence_of(claim, {})
    assert finding.verdict == "inconclusive"
    assert "Not run yet" in finding.reasons[0]


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        ([0.985, 0.986, 0.987], [0.970, 0.971, 0.972], "holds"),
        ([0.970, 0.971, 0.972], [0.985, 0.986, 0.987], "does not hold"),
        ([0.970, 0.985, 0.991], [0.972, 0.980, 0.990], "inconclusive"),  # seeds differ more than models
        ([0.9801], [0.9800], "inconclusive"),  # one image
        ([0.990], [0.980], "holds"),
    ],
)
def test_better(first: list[float], second: list[float], verdict: str) -> None:
    assert (
        _verdict("lstm-better", _measured("row_lstm-mnist", first), _measured("small_cnn-mnist", second))
        == verdict
    )


def test_a_claim_says_which_runs_never_learnt_and_draws_every_run_s_loss() -> None:
    claim = _BY_NAME["batch-norm-high-rate"]
    history = [
        EpochRecord(epoch=epoch, train_loss=1 / epoch, train_accuracy=0.5, steps=epoch, seconds=epoch)
        for epoch in (1, 2, 3)
    ]
    measured = [
        _measured(name, accuracies, history=history)
        for name, accuracies in zip(claim.recipes, ([0.91, 0.92, 0.93], [0.862, 0.1, 0.1]), strict=True)
    ]
    by_name = {one.recipe.name: one for one in measured}
    _, finding = evidence_of(claim, by_name)
    assert "`bn_cnn_without_bn-fashion_mnist`: 2 of 3 runs stayed at chance level" in " ".join(
        finding.reasons
    )
    _, losses = draw(claim, by_name).axes
    assert [np.asarray(line.get_ydata()).tolist() for line in losses.lines] == [[1, 1 / 2, 1 / 3]] * 6


def test_the_same_accuracy_on_other_images_is_no_difference() -> None:
    first = _measured("row_lstm-mnist", [0.98])
    second = _measured("small_cnn-mnist", [0.979], shift=5000)
    comparisons, finding = evidence_of(
        _BY_NAME["lstm-better"], {"row_lstm-mnist": first, "small_cnn-mnist": second}
    )
    images = comparisons[0].images
    assert images is not None
    assert (images.only_first, images.only_second) == (210, 200)
    assert finding.verdict == "inconclusive"


@pytest.mark.parametrize(
    ("without", "verdict"), [(0.865, "holds"), (0.800, "does not hold"), (0.9292, "inconclusive")]
)
def test_worth_so_many_points(without: float, verdict: str) -> None:
    found = _verdict(
        "batch-norm-high-rate",
        _measured("bn_cnn-fashion_mnist", [0.9293]),
        _measured("bn_cnn_without_bn-fashion_mnist", [without]),
    )
    assert found == verdict


def test_the_fastest_is_so_in_training_and_in_use() -> None:
    alexnet = _measured("alexnet_finetuned-mnist", [0.98], train_seconds=500.0, inference_seconds=20.0)
    slow = _measured("patch_lstm-mnist", [0.96], train_seconds=140.0, inference_seconds=2.0)
    quick = _measured("patch_lstm-mnist", [0.96], train_seconds=50.0, inference_seconds=0.3)
    near = _measured("patch_lstm-mnist", [0.96], train_seconds=101.0, inference_seconds=1.0)
    own = _measured("simple_cnn-mnist", [0.99], train_seconds=100.0, inference_seconds=1.0)
    assert _verdict("simple-cnn-fastest", own, alexnet, slow) == "holds"
    assert _verdict("simple-cnn-fastest", own, alexnet, quick) == "does not hold"
    assert _verdict("simple-cnn-fastest", own, alexnet, near) == "inconclusive"


def test_an_efficiency_gain_is_more_accuracy_or_less_time() -> None:
    basic = _measured("basic_cnn-mnist", [0.95], latency=0.5)
    cnn = _measured("optimized_cnn-mnist", [0.98], latency=1.0)
    assert (
        _verdict("mobilenet-no-gain", _measured("mobilenet-mnist", [0.9801], latency=2.0), cnn, basic)
        == "holds"
    )
    better = _measured("mobilenet-mnist", [0.99], latency=2.0)
    faster = _measured("mobilenet-mnist", [0.98], latency=0.2)
    assert _verdict("mobilenet-no-gain", better, cnn, basic) == "does not hold"
    assert _verdict("mobilenet-no-gain", faster, cnn, basic) == "does not hold"


def test_to_match_is_to_be_near() -> None:
    cnn = _measured("optimized_cnn-mnist", [0.98])
    assert _verdict("vit-matches", _measured("vit-mnist", [0.978]), cnn) == "holds"
    assert _verdict("vit-matches", _measured("vit-mnist", [0.96]), cnn) == "does not hold"


def test_better_in_fewer_steps() -> None:
    block = _measured("conv_block_cnn-imagenette", [0.55], steps=290)
    assert (
        _verdict("all-cnn-better", _measured("all_cnn-imagenette", [0.60], steps=226), block)
        == "does not hold"
    )
    fewer = _measured("all_cnn-imagenette", [0.60], steps=226)
    object.__setattr__(fewer, "parameters", 855)
    assert _verdict("all-cnn-better", fewer, block) == "holds"


def test_every_claim_has_a_section_and_a_picture(tmp_path: Path) -> None:
    page = text(tmp_path, "images/claims")
    for claim in CLAIMS:
        assert f'<a id="{claim.name}">' in page
        assert f"images/claims/{claim.name}.svg" in page
    measured = {"vit-mnist": _measured("vit-mnist", [0.97, 0.98])}
    figure = draw(_BY_NAME["vit-matches"], measured)
    words = [annotation.get_text() for annotation in figure.axes[0].texts]
    assert words == ["not run yet", "not run yet"]  # the CNN and its companion
