"""Several processes as torchrun starts them: what one process does, shared. `soak/test_kills.py` loses one."""

import sys
from collections.abc import Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from tests import warm
from tests.training.runs import write_few_digits
from tests.warm import CONTEXT
from vision_zoo.core.errors import UsageError
from vision_zoo.core.progress import SilentProgress
from vision_zoo.data.dataset import Splits
from vision_zoo.recipes import recipe_for
from vision_zoo.recipes.recipe import Augmentation
from vision_zoo.training import train
from vision_zoo.training.augment import augment
from vision_zoo.training.distributed import World
from vision_zoo.training.run_directory import RunDirectory

_TOLERANCE = 5e-4  # of losses, relative: sums in another order, over twenty steps
_SECONDS = 240


def _launch(output: Path, arguments: Sequence[str], restarts: int) -> None:
    """What torchrun does, with processes forked from this one, in which torch is imported."""
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    warm.redirect(output)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=2,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=restarts,
        monitor_interval=0.1,
        start_method="fork",
    )
    elastic_launch(config, _command)(list(arguments))


def _command(arguments: list[str]) -> None:
    from vision_zoo.cli import main

    sys.argv = ["vision-zoo", *arguments]
    try:
        main()
    except SystemExit as ended:
        if ended.code:
            raise


def launched(output: Path, path: Path, *arguments: str, restarts: int = 0) -> ForkServerProcess:
    """`vision-zoo train` in two processes."""
    output.mkdir()
    command = ["train", "--device", "cpu", "--out", str(path), *arguments]
    job = CONTEXT.Process(target=_launch, args=(output, command, restarts))
    job.start()
    return job


def ended(job: ForkServerProcess, output: Path) -> tuple[str, str]:
    job.join(_SECONDS)
    stdout, stderr = ((output / name).read_text() for name in ("stdout", "stderr"))
    assert job.exitcode == 0, stderr
    return stdout, stderr


def losses(path: Path) -> list[float]:
    run = RunDirectory.open(path)
    return [*(record.train_loss for record in run.history()), run.metrics().test_loss]


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "steps"), [("small_cnn", 17), ("mobilenet", 5)])
def test_two_processes_do_what_one_does(
    mnist_5k: Splits, tmp_path: Path, architecture: str, steps: int
) -> None:
    """Batch normalisation too (mobilenet), and batches that two processes cannot halve evenly."""
    dataset = write_few_digits(mnist_5k, tmp_path / "digits")
    options = (
        "--architecture",
        architecture,
        "--dataset",
        dataset,
        "--image-size",
        "28",
        "--batch-size",
        "15",
        "--no-validate",
    )
    shared = launched(tmp_path / "said", tmp_path / "two", *options, "--max-steps", str(steps))
    stdout, _ = ended(shared, tmp_path / "said")
    assert stdout.count(" test accuracy after ") == 1  # one of the processes speaks
    recipe = recipe_for(architecture, dataset, image_size=28).override(
        batch_size=15, max_steps=steps, validate=False
    )
    alone = train.start(recipe, tmp_path / "one", device="cpu", data_dir=None, progress=SilentProgress())
    found, expected = (losses(tmp_path / run) for run in ("two", "one"))
    np.testing.assert_allclose(found, expected, rtol=_TOLERANCE)
    if architecture == "small_cnn":
        # Elsewhere batch normalisation takes away a weight's scale, and Adam makes steps of rounding.
        weights = [load_file(tmp_path / run / "checkpoints" / "best.safetensors") for run in ("one", "two")]
        for name, tensor in weights[0].items():
            torch.testing.assert_close(weights[1][name], tensor, rtol=1e-3, atol=1e-3)
    metrics = RunDirectory.open(tmp_path / "two").metrics()
    assert metrics.test_accuracy == pytest.approx(alone.test_accuracy, abs=0.002)
    assert RunDirectory.open(tmp_path / "two").environment().processes == 2


def test_augmentation_of_a_share_is_the_share_of_the_augmentation() -> None:
    images = torch.randint(0, 256, (7, 28, 28, 1), dtype=torch.uint8)
    settings = Augmentation(rotation=10, horizontal_flip=0.5, crop_scale=(0.8, 1.0), cutout=8)
    whole = augment(images, settings, torch.Generator().manual_seed(1))
    for rank in range(3):
        shard = World(rank, 3).shard
        part = augment(images[shard], settings, torch.Generator().manual_seed(1), of=7, shard=shard)
        assert torch.equal(part, whole[shard])


def test_batches_with_fewer_images_than_processes_are_refused() -> None:
    World(0, 2).check(4000, 128)
    with pytest.raises(UsageError, match="leave a batch of 1, too few for 2 processes"):
        World(0, 2).check(129, 128)
    with pytest.raises(UsageError, match="too few for 4 processes"):
        World(0, 4).check(100, 2)


def test_batch_normalisation_over_processes_is_torchs_own_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same statistics, gradients and running values as `nn.BatchNorm2d`, in a world of one."""
    import torch.distributed as dist

    from vision_zoo.training import distributed

    torch.manual_seed(0)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    dist.init_process_group(
        "gloo",
        store=torch.distributed.HashStore(),
        rank=0,
        world_size=1,
    )
    try:
        plain, whole = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
        whole.__class__ = distributed._WholeBatchNorm
        results = []
        for layer in (plain, whole):
            images = torch.linspace(-1, 2, 4 * 3 * 5 * 5).reshape(4, 3, 5, 5).requires_grad_()
            output = layer(images)
            (output * output.detach().roll(1, 0)).sum().backward()
            results.append(
                [output.detach(), images.grad, layer.weight.grad, layer.running_mean, layer.running_var]
            )
        for expected, found in zip(*results, strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    finally:
        dist.destroy_process_group()
