"""Training with several processes under torchrun: same global batch, same steps, one run folder.

Every process takes every n-th image of each batch; gradients are averaged (DistributedDataParallel). Process 0
writes. The run folder has to be on a file system that all of them see.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from vision_zoo.core.errors import UsageError


@dataclass(frozen=True)
class World:
    """The rank of this process and the number of processes."""

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and talks to the user."""
        return self.rank == 0

    @property
    def shard(self) -> slice:
        """The rows that this process works on: every `size`-th."""
        return slice(self.rank, None, self.size)

    def check(self, images: int, batch_size: int) -> None:
        """Refuse batches, the last one of an epoch too, with fewer images than processes.

        Raises:
            UsageError
        """
        smallest = min(batch_size, images % batch_size or batch_size)
        if smallest < self.size:
            raise UsageError(
                f"{images} images in batches of {batch_size} leave a batch of {smallest}, too few for {self.size} "
                "processes; choose another --batch-size or fewer processes"
            )


ALONE = World()


def started_by_torchrun() -> bool:
    """Whether torchrun started this process, among others or alone."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def is_main_process() -> bool:
    """Whether this process is the one that talks to the user; also works outside of `joined`."""
    return not started_by_torchrun() or os.environ.get("RANK", "0") == "0"


def world() -> World:
    """The place of this process; `ALONE` outside of `joined`."""
    if not (dist.is_available() and dist.is_initialized()):
        return ALONE
    return World(dist.get_rank(), dist.get_world_size())


@contextmanager
def joined(*, cuda: bool) -> Iterator[World]:
    """Join the processes that torchrun started; alone where it started none."""
    if not started_by_torchrun():
        yield ALONE
        return
    if cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    store, rank, size = next(rendezvous("env://"))
    # After a restart the store still has the addresses of the processes before it.
    store = PrefixStore(f"restart {os.environ['TORCHELASTIC_RESTART_COUNT']}", store)
    dist.init_process_group("nccl" if cuda else "gloo", store=store, rank=rank, world_size=size)
    try:
        yield world()
    finally:
        dist.destroy_process_group()


@contextmanager
def first_process_first() -> Iterator[None]:
    """Run the block in process 0 first, then in the others, which can read what it wrote."""
    here = world()
    if here.size > 1 and not here.is_main:
        dist.barrier()
    yield
    if here.size > 1 and here.is_main:
        dist.barrier()


def wait_for_all() -> None:
    """Wait until every process arrives."""
    if world().size > 1:
        dist.barrier()


def parallel(model: nn.Module) -> nn.Module:
    """`model` so that its gradients are those of the whole batch; itself where there is one process."""
    if world().size == 1:
        return model
    # Buffers stay the same without being sent: batch normalisation sees the whole batch.
    return DistributedDataParallel(model, broadcast_buffers=False)


def synchronise_batch_norm(network: nn.Module) -> None:
    """Let batch normalisation in `network` see the whole batch, on the CPU too, which torch's own does not run on."""
    if world().size > 1:
        for module in network.modules():
            if type(module) is nn.BatchNorm2d:
                module.__class__ = _WholeBatchNorm


class _WholeBatchNorm(nn.BatchNorm2d):
    """Batch normalisation over the images of all processes: float32 `[batch, channels, height, width]`."""

    def forward(self, images: Tensor) -> Tensor:
        if not self.training:
            return super().forward(images)
        images = images.float()
        axes, shape = (0, 2, 3), (1, -1, 1, 1)
        count = torch.tensor([images.numel() / images.shape[1]], device=images.device)
        dist.all_reduce(count)
        mean = self._summed(images.sum(axes)) / count
        variance = self._summed((images - mean.view(shape)).square().sum(axes)) / count
        self._remember(mean.detach(), variance.detach(), count)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        shift = self.bias - mean * scale
        return images * scale.view(shape) + shift.view(shape)

    @staticmethod
    def _summed(values: Tensor) -> Tensor:
        total: Tensor = _Sum.apply(values)
        return total

    def _remember(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        momentum = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance * count / (count - 1), momentum)


class _Sum(torch.autograd.Function):
    """The sum over all processes, whose gradient is the sum of their gradients."""

    @staticmethod
    def forward(_context: Any, values: Tensor) -> Tensor:
        return sum_over_processes(values.clone())

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> Tensor:
        return sum_over_processes(gradient.clone())


def sum_over_processes(values: Tensor) -> Tensor:
    """`values` added up over all processes, in place, without waiting on a GPU."""
    if world().size > 1:
        dist.all_reduce(values)
    return values


def broadcast(value: float, device: torch.device) -> float:
    """Send the value of process 0 to all processes."""
    if world().size == 1:
        return value
    shared = torch.tensor([value], dtype=torch.float64, device=device)
    dist.broadcast(shared, src=0)
    return float(shared)


def all_gather(rows: Tensor, count: int) -> Tensor:
    """Gather the `[count, …]` rows, of which each process has its `World.shard`, in order, in every process."""
    here = world()
    if here.size == 1:
        return rows
    padded = rows.new_zeros((-(-count // here.size), *rows.shape[1:]))
    padded[: len(rows)] = rows
    gathered = [torch.empty_like(padded) for _ in range(here.size)]
    dist.all_gather(gathered, padded)
    return torch.stack(gathered, dim=1).flatten(0, 1)[:count]
