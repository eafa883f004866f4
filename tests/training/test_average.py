"""The moving average of the weights: what it is, that it is what is scored and kept, and that it is resumed."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from tests.training.runs import QUICK, InterruptAfter, assert_same, resume, start
from vision_zoo.core.errors import Interrupted
from vision_zoo.data import find_dataset
from vision_zoo.training.classifier import build_classifier
from vision_zoo.training.evaluate import evaluate
from vision_zoo.training.optim import WeightAverage
from vision_zoo.training.run_directory import RunDirectory

_AVERAGED = QUICK.override(ema_decay=0.9, batch_size=1000, epochs=2)


def _network() -> tuple[nn.Module, nn.BatchNorm2d]:
    convolution, normalisation = nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)
    convolution.weight.requires_grad_(False)
    return nn.Sequential(convolution, normalisation), normalisation


def test_it_is_the_exponential_average_of_what_is_trained() -> None:
    network, normalisation = _network()
    average = WeightAverage(network, 0.5)
    assert "0.weight" not in average.values
    expected = torch.zeros(2)
    for steps in range(1, 6):
        with torch.no_grad():
            normalisation.bias.fill_(steps)
            normalisation.get_buffer("running_mean").fill_(steps)
        average.update(steps)
        decay = min(0.5, (1 + steps) / (10 + steps))
        expected = decay * expected + (1 - decay) * steps
    assert average.values["1.bias"].tolist() == pytest.approx(expected.tolist())
    assert average.values["1.running_mean"].tolist() == pytest.approx(expected.tolist())


def test_the_network_has_its_own_weights_again() -> None:
    network, normalisation = _network()
    average = WeightAverage(network, 0.5)
    with torch.no_grad():
        normalisation.bias.fill_(3)
    with average.in_place():
        assert normalisation.bias.tolist() == [0, 0]
    assert normalisation.bias.tolist() == [3, 3]
    average.apply()
    assert normalisation.bias.tolist() == [0, 0]


@pytest.mark.parametrize("kept", ["best", "last"])
def test_the_average_is_scored_and_kept(kept: str, tmp_path: Path) -> None:
    recipe = _AVERAGED.override(epochs=1, test_curve=True, validate=True, kept_weights=kept)
    reached = start(recipe, tmp_path / "averaged")
    start(recipe.override(ema_decay=0.0), tmp_path / "plain")
    run = RunDirectory(tmp_path / "averaged")
    assert run.history()[0].test_accuracy == pytest.approx(reached.test_accuracy)
    dataset = find_dataset("mnist-5k")
    classifier = build_classifier(recipe, dataset)
    weights, plain = load_file(run.best), load_file(RunDirectory(tmp_path / "plain").best)
    classifier.network.load_state_dict(weights)
    scored = evaluate(classifier, dataset.load().test)
    assert scored.accuracy == pytest.approx(reached.test_accuracy)
    assert any(not torch.equal(weights[name], plain[name]) for name in weights)


def test_a_run_with_it_is_resumed_bit_for_bit(tmp_path: Path) -> None:
    start(_AVERAGED, tmp_path / "whole")
    with pytest.raises(Interrupted):
        start(_AVERAGED, tmp_path / "parts", InterruptAfter(6))
    resume(tmp_path / "parts")
    assert_same(tmp_path / "whole", tmp_path / "parts")
