"""What a teacher adds to a small network that is trained on few pictures: accuracy with and without `--distil`.

Three folders of 30 images a class: Imagenette, CIFAR-10 and Fashion-MNIST. The teacher is EfficientNet-Lite0's frozen
features with a dense layer; the student, EfficientNet-Lite0's first stages, sees as many augmented images without it as
with it, and begins with the same weights. Seeds share the teacher's views, and differ in the order of images and the
dense layer. Students are named by their stages and the side of their images: 4x48 is the one of `vision-zoo compare`,
7x96 takes in 8-bit integers a tenth of the teacher's time. Weights have all 8 bits on processors with VNNI and 7 on
others. Both are scored on 100 other images a class. Imagenette is a part of ImageNet, so that ImageNet's weights, which
both begin with, flatter there.

    python -m benchmarks.own_folder.distillation --seeds 3 --students 4x48 7x96

Runs that the results file has already are not repeated; latencies are measured again, which takes seconds.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.own_folder.backbones import right
from benchmarks.own_folder.folders import Folders, first, imagenette, made_once
from benchmarks.own_folder.options import BASE, differences
from vision_zoo.artifact.metadata import INPUT_NAME, OUTPUT_NAMES
from vision_zoo.core import json_file, onnx_runtime
from vision_zoo.core.choices import Precision
from vision_zoo.core.environment import describe, has_vnni
from vision_zoo.core.own_folder_result import DistillationResult, Student, StudentRun
from vision_zoo.core.progress import SilentProgress
from vision_zoo.core.results import EpochRecord, result_path, write_result
from vision_zoo.core.scenarios import single_stream
from vision_zoo.data.cache import cache_folder
from vision_zoo.data.dataset import Split
from vision_zoo.experiments.compare.settings import STUDENT
from vision_zoo.experiments.compare.student import BATCH_SIZE, EPOCHS, VIEWS
from vision_zoo.exporting.export import to_onnx
from vision_zoo.exporting.quantize import to_precision
from vision_zoo.recipes import recipe_for
from vision_zoo.recipes.distillation import distilled
from vision_zoo.recipes.folder_settings import dataset_of
from vision_zoo.recipes.recipe import Augmentation, Recipe
from vision_zoo.training import train
from vision_zoo.training.classifier import ImageClassifier, build_classifier
from vision_zoo.training.run_directory import RunDirectory
from vision_zoo.training.weights import load_weights

ROOT = Path(__file__).resolve().parent.parent.parent
TEACHER, DISTIL = "efficientnet_lite0", "distil"
_IMAGES = 30  # of a class
FOLDERS = {
    "imagenette-300": partial(imagenette, images=_IMAGES, seed=0),
    "cifar10-300": partial(first, images=_IMAGES),
    "fashion_mnist-300": partial(first, images=_IMAGES, name="fashion-mnist"),
}
_STUDENTS = ((4, 48), (7, 96))  # stages and side in pixels
_PRECISIONS: tuple[Precision, ...] = ("fp32", "int8")
_AUGMENTATION = Augmentation(horizontal_flip=0.5, crop_scale=(0.35, 1.0))


def images_of(name: str, work: Path, data_dir: Path) -> Path:
    """The folder with the new images as its test split."""

    def fill(folders: Folders) -> None:
        FOLDERS[name](Folders(folders.own / "train", folders.own / "test"), data_dir)

    return made_once(work / name, fill).own


def teacher_of(folder: Path, place: Path) -> Path:
    """The finished run in `place` of the teacher on the images in `folder`."""
    recipe = recipe_for(TEACHER, f"folder:{folder}", channels="colour").replace(
        optimizer="lbfgs", epochs=1, validate=False
    )
    train.start_or_resume(recipe, place, device="cpu", data_dir=None, progress=SilentProgress())
    return place


def student(folder: Path, stages: int, side: int, seed: int, *, taught: bool) -> Recipe:
    """The recipe of a student; with as many images where it is not `taught`."""
    recipe = recipe_for(STUDENT, f"folder:{folder}", image_size=side, channels="colour").replace(
        architecture_arguments={"stages": stages},
        seed=seed,
        validate=False,
        batch_size=BATCH_SIZE,
        ema_decay=0.0,
        schedule="one_cycle",
        augmentation=_AUGMENTATION,
        distil_views=VIEWS,
    )
    if taught:
        return distilled(recipe, TEACHER).replace(epochs=EPOCHS)
    return recipe.replace(epochs=EPOCHS * VIEWS)


def with_views(recipe: Recipe, teacher: Path, kept: Path, place: Path) -> None:
    """Begin the run of `recipe` in `place` with the views of the run in `kept`, which is begun if it is not there."""
    if not kept.is_dir():
        unfinished = kept.with_name(f".{kept.name}")
        shutil.rmtree(unfinished, ignore_errors=True)

        def one_epoch(_record: EpochRecord) -> bool:
            return False

        train.start_or_resume(
            recipe,
            unfinished,
            device="cpu",
            data_dir=None,
            progress=SilentProgress(),
            watch=one_epoch,
            teacher=teacher,
        )
        for trained in (*unfinished.glob("checkpoints/*.pt"), unfinished / "history.csv"):
            trained.unlink()
        unfinished.rename(kept)
    shutil.copytree(kept, place)
    RunDirectory(place).recipe_file.write_text(recipe.to_json())


def measured(
    folder: str, option: str, stages: int, side: int, seed: int, *, own: Path, teacher: Path, work: Path
) -> StudentRun:
    """Train a student on the images in `own` and score it."""
    place, taught = work / "student", option == DISTIL
    shutil.rmtree(place, ignore_errors=True)
    recipe = student(own, stages, side, seed, taught=taught)
    if taught:
        with_views(recipe, teacher, work / f"{folder}-views-{side}", place)
    train.start_or_resume(recipe, place, device="cpu", data_dir=None, progress=SilentProgress())
    run = RunDirectory.open(place)
    found = run.metrics()
    return StudentRun(
        folder=folder,
        architecture=STUDENT,
        option=option,
        stages=stages,
        side=side,
        seed=seed,
        accuracy=found.test_accuracy,
        int8_accuracy=in_int8(run) if taught else None,
        cpu_seconds=round(found.cpu_seconds or 0.0, 1),
    )


def in_int8(run: RunDirectory) -> float:
    """The accuracy on the test images after quantisation, which is calibrated on the training images."""
    recipe = run.recipe()
    dataset = dataset_of(recipe.data)
    splits = dataset.load(None)
    classifier = build_classifier(recipe, dataset)
    load_weights(run.best, classifier.network)
    return float(right(_session(classifier, splits.train, "int8"), splits.test).mean())


def with_run(result: DistillationResult, run: StudentRun, teacher: float) -> DistillationResult:
    """The result with one more run, and the accuracy of its teacher."""
    runs = [*result.runs, run]
    earlier = {(one.stages, one.side): one for one in result.students}
    students = [
        replace(
            earlier.get((stages, side)) or Student(stages=stages, side=side),
            differences=differences([one for one in runs if (one.stages, one.side) == (stages, side)]),
        )
        for stages, side in sorted({(one.stages, one.side) for one in runs})
    ]
    return replace(result, runs=runs, students=students, teachers={**result.teachers, run.folder: teacher})


def with_latencies(result: DistillationResult, folder: Path) -> DistillationResult:
    """The result with the median of one image in ONNX Runtime on one core, of each network in turn."""
    teacher = recipe_for(TEACHER, f"folder:{folder}", channels="colour")
    runners = {TEACHER: _runners(teacher, ("fp32",))["fp32"]}
    for one in result.students:
        of_student = _runners(student(folder, one.stages, one.side, 0, taught=False), _PRECISIONS)
        runners |= {_timed_name(one, precision): runner for precision, runner in of_student.items()}
    timed = single_stream(runners, batch_size=1, seconds=3, progress=SilentProgress())
    found = {name: round(latency.milliseconds[50] or 0.0, 3) for name, latency in timed.items()}
    students = [
        replace(
            one,
            milliseconds=found[_timed_name(one, "fp32")],
            int8_milliseconds=found[_timed_name(one, "int8")],
        )
        for one in result.students
    ]
    return replace(result, teacher_milliseconds=found[TEACHER], students=students)


def _timed_name(one: Student, precision: Precision) -> str:
    return f"{one.stages}x{one.side}, {precision}"


def _runners(recipe: Recipe, precisions: Sequence[Precision]) -> dict[Precision, Callable[[], object]]:
    """By precision, what classifies one image with a network that was not trained."""
    dataset = dataset_of(recipe.data)
    classifier, training = build_classifier(recipe, dataset), dataset.load(None).train
    feed = {INPUT_NAME: np.zeros((1, *dataset.input.shape), dtype=np.uint8)}
    return {
        precision: partial(_session(classifier, training, precision).run, list(OUTPUT_NAMES), feed)
        for precision in precisions
    }


def _session(classifier: ImageClassifier, training: Split, precision: Precision) -> Any:
    content = to_onnx(classifier.eval(), training.images.shape[1:])
    exported = to_precision(content, precision, training, full_range=has_vnni())
    return onnx_runtime.make_session(exported, onnx_runtime.session_options())


def _size(text: str) -> tuple[int, int]:
    stages, side = text.split("x")
    return int(stages), int(side)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folders", nargs="*", choices=list(FOLDERS), default=list(FOLDERS))
    parser.add_argument("--students", nargs="*", type=_size, default=list(_STUDENTS), metavar="STAGESxSIDE")
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("VISION_ZOO_DATA"))
    parser.add_argument("--results-dir", type=Path, default=ROOT / "results")
    parser.add_argument("--work-dir", type=Path, default=cache_folder() / "benchmarks" / "distillation")
    chosen = parser.parse_args()
    if chosen.data_dir is None:
        parser.error("expected --data-dir or VISION_ZOO_DATA: where the datasets are")
    path = result_path(chosen.results_dir, describe(), "own_folder_distillation")
    result = json_file.read_if_present(path, DistillationResult) or DistillationResult(environment=describe())
    done = {(run.folder, run.option, run.stages, run.side, run.seed) for run in result.runs}
    for (stages, side), seed, folder, option in product(
        chosen.students, range(chosen.seeds), chosen.folders, (BASE, DISTIL)
    ):
        if (folder, option, stages, side, seed) in done:
            continue
        own = images_of(folder, chosen.work_dir, chosen.data_dir)
        teacher = teacher_of(own, chosen.work_dir / f"{folder}-teacher")
        run = measured(folder, option, stages, side, seed, own=own, teacher=teacher, work=chosen.work_dir)
        result = with_run(result, run, RunDirectory.open(teacher).metrics().test_accuracy)
        write_result(path, result)
        print(run, file=sys.stderr, flush=True)
    own = images_of(chosen.folders[0], chosen.work_dir, chosen.data_dir)
    result = replace(with_latencies(result, own), environment=describe())
    write_result(path, result)
    print(result.teachers, result.teacher_milliseconds)
    for one in result.students:
        print(one)


if __name__ == "__main__":
    main()
