"""Documents say what results say; a new field with its default changes neither."""

import itertools
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from vision_zoo.core.errors import RunError
from vision_zoo.recipes import RECIPES
from vision_zoo.recipes.recipe import JSON_NAMES, Augmentation, Recipe

_DOCUMENTS = (
    "README.md",
    "CONTRIBUTING.md",
    "pyproject.toml",
    "benchmarks",
    "docs",
    "results",
    "scripts",
    "exported",
    "vision_zoo",
)


@pytest.mark.slow
def test_a_new_field_in_any_group_changes_nothing(tmp_path: Path) -> None:
    for name in _DOCUMENTS:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tmp_path / name)
    numbers = itertools.count()
    for module in ("recipe", "training_settings"):
        file = tmp_path / "vision_zoo" / "recipes" / f"{module}.py"
        text = file.read_text()
        for line in re.findall(r"^class \w+\((?:Group|FolderSettings)\):\n", text, re.MULTILINE):
            text = text.replace(line, f"{line}    of_tomorrow_{next(numbers)}: float = 0.5\n\n")
        file.write_text(text)
    assert next(numbers) == 6
    done = subprocess.run(
        [sys.executable, "-m", "scripts.update_documents", "--check"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_settings_that_were_kept_with_defaults_are_the_recipes() -> None:
    recipe = RECIPES["airbench-mnist"]
    augmentation = {"rotation": 10, "shift": 2, "horizontal_flip": 0.0, "crop_scale": None}
    assert recipe.has_settings({**recipe.settings(), "augmentation": augmentation})
    assert not recipe.has_settings({**recipe.settings(), "augmentation": {"rotation": 10}})
    assert not recipe.has_settings({**recipe.settings(), "learning_rate": 0.5})
    assert not recipe.has_settings(None)


def test_default_values_are_left_out_of_nested_settings() -> None:
    recipe = Recipe(
        name="one",
        architecture="lenet",
        dataset="mnist",
        mean=(0.5,),
        std=(0.5,),
        augmentation=Augmentation(shift=2),
    )
    assert recipe.settings()["augmentation"] == {"shift": 2}


def test_keys_of_published_results_stay() -> None:
    assert JSON_NAMES == {"bias_lr_factor": "offset_lr_factor", "warmup_fraction": "warmup"}
    recipe = RECIPES["airbench-mnist"].override(bias_lr_factor=64.0, warmup_fraction=0.5)
    assert {"offset_lr_factor", "warmup"} <= recipe.settings().keys()
    assert not JSON_NAMES.keys() & json.loads(recipe.to_json()).keys()
    assert Recipe.from_json(recipe.to_json(), name="r") == recipe


def test_what_an_earlier_revision_of_a_network_reached_is_not_the_recipes() -> None:
    recipe = RECIPES["vit-mnist"]
    former = {key: value for key, value in recipe.settings().items() if key != "architecture_revision"}
    assert not recipe.has_settings(former)
    assert recipe.has_settings(json.loads(json.dumps(recipe.settings())))
    assert Recipe.from_json(recipe.to_json(), name="r") == recipe
    written_then = json.loads(recipe.to_json())
    del written_then["architecture_revision"]
    with pytest.raises(RunError, match="belongs to another version of vit; train again"):
        Recipe.from_json(json.dumps(written_then), name="runs/vit-mnist/recipe.json")
