"""A model's card is one that the Hugging Face Hub can read, and says what the file and the results say."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import ModelCard, ModelCardData

from tests.conftest import ROOT, Completed
from vision_zoo.architectures import ARCHITECTURES, find_architecture
from vision_zoo.experiments.report.model_card import limitations, model_card
from vision_zoo.recipes.options import without_paths
from vision_zoo.serving.session import Session

SHIPPED = sorted((ROOT / "exported").glob("*.onnx"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_model_has_its_card_in_the_documents(path: Path) -> None:
    text = model_card(path, ROOT / "results")
    assert (ROOT / "docs" / "cards" / f"{path.stem}.md").read_text() == text, "run `make docs`"
    card, metadata = ModelCard(text), Session(path, provider="cpu").metadata
    assert isinstance(card.data, ModelCardData)
    (result,) = card.data.eval_results or []
    assert result.metric_value == metadata.test_accuracy
    of_weights = {"alexnet_finetuned": "bsd-3-clause", "efficientnet_lite0": "apache-2.0"}
    licence = of_weights.get(metadata.architecture, "mit")
    assert (card.data.license, card.data.datasets) == (licence, [metadata.dataset])
    assert "not known" not in text
    assert f"{metadata.test_accuracy:.2%} accuracy on {metadata.test_images:,} test images" in text
    for heading in ("Use", "Data", "Training", "Results", "Limitations"):
        assert f"## {heading}" in text


def test_another_file_of_a_shipped_name_has_no_latency_of_it(exported_model: Path, tmp_path: Path) -> None:
    (tmp_path / "simple_cnn-mnist.onnx").write_bytes(exported_model.read_bytes())
    assert "p50 ms" in model_card(ROOT / "exported" / "simple_cnn-mnist.onnx", ROOT / "results")
    assert "p50 ms" not in model_card(tmp_path / "simple_cnn-mnist.onnx", ROOT / "results")


def test_a_card_tells_the_settings_that_the_file_was_trained_with(exported_model: Path) -> None:
    text = model_card(exported_model, ROOT / "results")
    assert "| epochs | 2 |" in text  # of ten in its recipe
    earlier = model_card(ROOT / "exported" / "alexnet_finetuned-cifar10.onnx", ROOT / "results")
    assert "no kept run of the recipe as it is now has its accuracy" in earlier
    assert "| setting |" not in earlier
    known = model_card(ROOT / "exported" / "basic_cnn-mnist.onnx", ROOT / "results")
    assert "| optimizer | sgd |" in known


def test_settings_in_a_file_name_no_paths_of_the_machine() -> None:
    settings = {
        "dataset": "folder:/home/a",
        "split": "/b.csv",
        "group_by": "x",
        "pretrained": "/c/d.pt",
        "epochs": 3,
    }
    told = {"dataset": "folder-a", "pretrained": "d.pt", "epochs": 3}
    assert without_paths(settings, "folder-a") == told


def test_a_calibrated_file_says_how_it_tells_unfamiliar_images(calibrated_model: Path) -> None:
    session = Session(calibrated_model, provider="cpu")
    assert session.gaussians is not None
    for gaussians, expected in (
        (session.gaussians, "less like those than 95 % of them"),
        (replace(session.gaussians, false_alarms=0.005), "less like those than 99.5 % of them"),
        (None, "energy score is worse"),
    ):
        said = limitations(session.metadata, gaussians=gaussians)
        assert "calibrated on 500 images" in said
        assert expected in said


def test_the_licence_of_weights_that_were_published_stays() -> None:
    named = {entry.name: entry for entry in ARCHITECTURES.values() if entry.weights}
    assert {name: entry.licence for name, entry in named.items()} == {
        "alexnet_finetuned": "bsd-3-clause",
        "efficientnet_lite0": "apache-2.0",
    }
    others = ("efficientnet_lite1", "truncated_efficientnet_lite0", "torchvision:resnet18")
    assert [find_architecture(name).licence for name in others] == ["apache-2.0"] * 2 + ["bsd-3-clause"]


def test_a_card_of_a_model_of_one_s_own(
    cli: Callable[..., Completed], tmp_path: Path, exported_model: Path
) -> None:
    done = cli("card", exported_model, "--output", "README.md")
    assert done.code == 0, done.stderr
    assert ModelCard.load(tmp_path / "README.md").data.pipeline_tag == "image-classification"
    missing = cli("card", "nothing")
    assert missing.code == 1
    assert len(missing.stderr.strip().splitlines()) == 1
