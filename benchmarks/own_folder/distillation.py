"""What a teacher adds to a small network that is trained on few pictures: accuracy with and without `--distil`.

Three folders of 30 pictures a class: Imagenette, CIFAR-10 and Fashion-MNIST. The teacher is EfficientNet-Lite0's frozen
features with a dense layer; the student sees as many augmented pictures without it as with it, and begins with the same
weights. Both are scored on 100 other pictures a class. Imagenette is a part of ImageNet, so that ImageNet's weights,
which both begin with, flatter there.

    python -m benchmarks.own_folder.distillation --seeds 3

Runs that the results file has already are not repeated.
"""

import argparse
import os
import shutil
import sys
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmarks.own_folder.folders import Folders, first, imagenette, made_once
from benchmarks.own_folder.options import BASE, Difference, Run, differences
from vision_zoo.artifact.metadata import INPUT_NAME, OUTPUT_NAMES
from vision_zoo.core import json_file, onnx_runtime
from vision_zoo.core.environment import Environment, describe
from vision_zoo.core.progress import SilentProgress
from vision_zoo.core.results import SCHEMA_VERSION, result_path, write_result
from vision_zoo.core.scenarios import single_stream
from vision_zoo.data.cache import cache_folder
from vision_zoo.exporting.export import to_onnx
from vision_zoo.recipes import recipe_for
from vision_zoo.recipes.distillation import distilled
from vision_zoo.recipes.folder_settings import dataset_of
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training import train
from vision_zoo.training.classifier import build_classifier
from vision_zoo.training.run_directory import RunDirectory

ROOT = Path(__file__).resolve().parent.parent.parent
TEACHER, DISTIL = "efficientnet_lite0", "distil"
STUDENTS = ("truncated_efficientnet_lite0", "airbench")
_IMAGES = 30  # of a class
FOLDERS = {
    "imagenette-300": partial(imagenette, images=_IMAGES, seed=0),
    "cifar10-300": partial(first, images=_IMAGES),
    "fashion_mnist-300": partial(first, images=_IMAGES, name="fashion-mnist"),
}
_VIEWS, _EPOCHS, _SIDE = 20, 5, 48


@dataclass(frozen=True, kw_only=True)
class DistillationResult:
    """The results file: `teachers` are accuracies by folder, `milliseconds` medians of a picture on one core."""

    schema: Literal[2] = SCHEMA_VERSION
    kind: Literal["own_folder_distillation"] = "own_folder_distillation"
    environment: Environment
    teachers: dict[str, float] = field(default_factory=dict)
    milliseconds: dict[str, float] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)


def pictures(name: str, work: Path, data_dir: Path) -> Path:
    """The folder with the new pictures as its test split."""

    def fill(folders: Folders) -> None:
        FOLDERS[name](Folders(folders.own / "train", folders.own / "test"), data_dir)

    return made_once(work / name, fill).own


def teacher_of(folder: Path, place: Path) -> Path:
    """The finished run in `place` of the teacher on the pictures in `folder`."""
    recipe = recipe_for(TEACHER, f"folder:{folder}").replace(optimizer="lbfgs", epochs=1, validate=False)
    _train(recipe, place)
    return place


def student(architecture: str, folder: Path, seed: int, teacher: Path | None) -> Recipe:
    """The recipe of a student; with the same pictures in number where there is no `teacher`."""
    recipe = recipe_for(architecture, f"folder:{folder}", image_size=_SIDE, channels="colour").replace(
        seed=seed, validate=False, batch_size=32, ema_decay=0.0, schedule="one_cycle", distil_views=_VIEWS
    )
    with_teacher = distilled(recipe, TEACHER)
    if teacher is not None:
        return with_teacher.replace(epochs=_EPOCHS)
    return recipe.replace(augmentation=with_teacher.augmentation, epochs=_EPOCHS * _VIEWS)


def _train(recipe: Recipe, place: Path, teacher: Path | None = None) -> RunDirectory:
    train.start_or_resume(
        recipe, place, device="cpu", data_dir=None, progress=SilentProgress(), teacher=teacher
    )
    return RunDirectory.open(place)


def measured(
    folder: str, architecture: str, option: str, seed: int, path: Path, teacher: Path, place: Path
) -> Run:
    """Train a student and score it."""
    taught = teacher if option == DISTIL else None
    found = _train(student(architecture, path, seed, taught), place, taught).metrics()
    shutil.rmtree(place)
    return Run(
        folder=folder,
        architecture=architecture,
        option=option,
        seed=seed,
        accuracy=found.test_accuracy,
        cpu_seconds=round(found.cpu_seconds or 0.0, 1),
    )


def milliseconds(folder: Path, architectures: list[str]) -> dict[str, float]:
    """The median of a picture in ONNX Runtime on one core, of each network in turn."""
    runners: dict[str, Any] = {}
    for name in architectures:
        size = None if name == TEACHER else _SIDE
        recipe = recipe_for(name, f"folder:{folder}", image_size=size, channels="colour")
        dataset = dataset_of(recipe.data)
        content = to_onnx(build_classifier(recipe, dataset).eval(), dataset.input.shape)
        session = onnx_runtime.make_session(content, onnx_runtime.session_options())
        feed = {INPUT_NAME: np.zeros((1, *dataset.input.shape), dtype=np.uint8)}
        runners[name] = partial(session.run, list(OUTPUT_NAMES), feed)
    found = single_stream(runners, batch_size=1, seconds=3, progress=SilentProgress())
    return {name: round(one.milliseconds[50] or 0.0, 3) for name, one in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folders", nargs="*", choices=list(FOLDERS), default=list(FOLDERS))
    parser.add_argument("--architectures", nargs="*", choices=STUDENTS, default=list(STUDENTS[:1]))
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("VISION_ZOO_DATA"))
    parser.add_argument("--results-dir", type=Path, default=ROOT / "results")
    parser.add_argument("--work-dir", type=Path, default=cache_folder() / "benchmarks" / "distillation")
    chosen = parser.parse_args()
    if chosen.data_dir is None:
        parser.error("expected --data-dir or VISION_ZOO_DATA: where the datasets are")
    path = result_path(chosen.results_dir, describe(), "own_folder_distillation")
    result = json_file.read_if_present(path, DistillationResult) or DistillationResult(environment=describe())
    for seed in range(chosen.seeds):
        for folder in chosen.folders:
            own = pictures(folder, chosen.work_dir, chosen.data_dir)
            for architecture in chosen.architectures:
                for option in (BASE, DISTIL):
                    wanted = (folder, architecture, option, seed)
                    if any(
                        (run.folder, run.architecture, run.option, run.seed) == wanted for run in result.runs
                    ):
                        continue
                    teacher = teacher_of(own, chosen.work_dir / f"{folder}-teacher")
                    run = measured(*wanted, own, teacher, chosen.work_dir / "student")
                    runs = [*result.runs, run]
                    accuracy = RunDirectory.open(teacher).metrics().test_accuracy
                    result = replace(
                        result,
                        runs=runs,
                        differences=differences(runs),
                        teachers={**result.teachers, folder: accuracy},
                    )
                    write_result(path, result)
                    print(run, file=sys.stderr, flush=True)
    own = pictures(chosen.folders[0], chosen.work_dir, chosen.data_dir)
    result = replace(result, milliseconds=milliseconds(own, [TEACHER, *chosen.architectures]))
    write_result(path, result)
    print(result.teachers, result.milliseconds)
    for difference in result.differences:
        print(difference)


if __name__ == "__main__":
    main()
