"""The folder of a Hugging Face Space; soak/test_space.py starts its app."""

from collections.abc import Callable
from pathlib import Path

import vision_zoo as vz
from tests.conftest import Completed

_MODELS = ("simple_cnn-mnist", "simple_cnn-fashion_mnist")


def test_a_space_has_an_app_the_models_and_what_they_need(
    cli: Callable[..., Completed], tmp_path: Path
) -> None:
    space = tmp_path / "space"
    for _ in range(2):  # the second replaces the first
        done = cli("export", *_MODELS, "--space", "space", "--json")
        assert done.json["models"] == list(_MODELS)
    _, front, text = (space / "README.md").read_text(encoding="utf-8").split("---\n")
    assert "sdk: gradio\n" in front
    assert "app_file: app.py\n" in front
    assert all(name in text for name in _MODELS)
    assert (space / "requirements.txt").read_text() == f"vision-zoo=={vz.__version__}\n"
    compile((space / "app.py").read_text(), "app.py", "exec")
    assert [vz.load(space / "models" / f"{name}.onnx", provider="cpu").name for name in _MODELS] == list(
        _MODELS
    )
    (space / "own.txt").write_text("mine")
    assert (
        "files that are no part of a space, such as own.txt"
        in cli("export", *_MODELS, "--space", "space").error
    )
