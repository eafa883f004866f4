"""Which shipped files stay when others are exported."""

from pathlib import Path
from typing import Any

from scripts.publish_zoo import left_in_place
from vision_zoo.artifact import manifest
from vision_zoo.core.results import ZooModel


def _entry(model: str, architecture: str, dataset: str) -> ZooModel:
    others: dict[str, Any] = dict.fromkeys(ZooModel.__dataclass_fields__)
    return ZooModel(**others | {"model": model, "architecture": architecture, "dataset": dataset})


def test_a_file_stays_unless_another_takes_its_place(tmp_path: Path) -> None:
    former = [
        _entry("vit-mnist", "vit", "mnist"),
        _entry("bn_cnn-fashion_mnist-int8", "bn_cnn", "fashion-mnist"),
        _entry("lenet-fashion_mnist", "lenet", "fashion-mnist"),
    ]
    new = [
        _entry("bn_cnn_slow_decay-fashion_mnist-int8", "bn_cnn", "fashion-mnist"),
        _entry("lenet-fashion_mnist", "lenet", "fashion-mnist"),
    ]
    for one in {one.model for one in [*former, *new]}:
        manifest.publish(tmp_path / f"{one}.onnx", one.encode())
    assert left_in_place(tmp_path, former, new) == [former[0]]
    assert sorted(path.stem for path in tmp_path.glob("*.onnx")) == [
        "bn_cnn_slow_decay-fashion_mnist-int8",
        "lenet-fashion_mnist",
        "vit-mnist",
    ]
    assert left_in_place(tmp_path, [*new, former[0]], []) == [*new, former[0]]


def test_a_file_without_figures_does_not_stay(tmp_path: Path) -> None:
    manifest.publish(tmp_path / "unknown.onnx", b"of an earlier time")
    assert left_in_place(tmp_path, [], []) == []
    assert not list(tmp_path.glob("*.onnx"))
