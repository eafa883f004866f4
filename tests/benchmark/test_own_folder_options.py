"""The measurement of training options: runs are compared in pairs, and candidates change what they say."""

import pytest
import torch

from benchmarks.own_folder.candidates import erased, jittered, reflected
from benchmarks.own_folder.options import differences
from vision_zoo.core.own_folder_result import Run
from vision_zoo.recipes.recipe import Augmentation
from vision_zoo.training.augment import apply_augmentation, draw


def _run(option: str, seed: int, accuracy: float, folder: str = "f") -> Run:
    return Run(folder=folder, architecture="a", option=option, seed=seed, accuracy=accuracy, cpu_seconds=1.0)


def test_a_run_is_compared_with_that_of_its_seed() -> None:
    runs = [_run("none", 0, 0.5), _run("x", 1, 0.72), _run("none", 1, 0.7), _run("x", 0, 0.54)]
    (found,) = differences([*runs, _run("x", 2, 0.9), _run("x", 0, 0.9, folder="without base")])
    assert (found.option, found.runs) == ("x", 2)
    assert found.mean == pytest.approx(3.0)
    assert found.low is not None
    assert found.high is not None
    assert found.low < 3.0 < found.high
    (single,) = differences([_run("none", 0, 0.5), _run("x", 0, 0.6)])
    assert single.mean == pytest.approx(10.0)
    assert single.low is None


def test_candidates_keep_the_range_and_change_what_they_say() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (16, 12, 12, 3), generator=generator, dtype=torch.uint8)
    plain = draw(16, Augmentation(), generator, side=12)
    assert torch.allclose(reflected(images, plain), apply_augmentation(images, plain))
    shifted = draw(16, Augmentation(shift=4), generator, side=12)
    white = torch.full_like(images, 255)
    assert reflected(white, shifted).min() > 254
    assert apply_augmentation(white, shifted).min() == 0
    changed = jittered(images.float(), generator)
    assert changed.min() >= 0
    assert changed.max() <= 255
    assert not torch.equal(changed, images.float())
    covered = (erased(images.float(), generator) != images.float()).any(dim=3).flatten(1).sum(dim=1)
    assert 0 < (covered > 0).sum() < 16
    assert covered.max() < 0.5 * 144
