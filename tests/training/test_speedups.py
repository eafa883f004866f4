import math
import subprocess
import sys

import pytest
import torch
from torch import nn

from vision_zoo.architectures import build
from vision_zoo.training.speedups import FastDropout, apply_speedups, with_fast_dropout

_CHURN = """
import resource, statistics
import torch
from vision_zoo.training.speedups import keep_freed_memory

def faults():
    counts = []
    for _ in range(8):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.ones(16 * 2**20)  # 64 MiB, freed at once
        counts.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    return 5 * statistics.median(counts[3:])  # beside other work the system takes memory back once

print(faults(), int(keep_freed_memory()), faults())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a setting of glibc")
def test_freed_memory_is_not_mapped_again() -> None:
    for _ in range(3):  # on a busy machine the system takes memory back
        done = subprocess.run([sys.executable, "-c", _CHURN], capture_output=True, text=True, check=True)
        given_back, kept, faults = map(float, done.stdout.split())
        assert kept
        assert given_back > 500  # fewer where the system maps many pages at a time
        if faults < given_back / 10:
            return
    pytest.fail(f"{faults} page faults with freed memory kept, {given_back} without")


COUNT = 1_000_003  # no multiple of the four numbers that a word gives


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_the_stated_share_is_dropped_and_the_rest_keeps_the_mean(p: float) -> None:
    torch.manual_seed(0)
    changed = FastDropout(p)(torch.ones(COUNT))
    deviation = math.sqrt(p * (1 - p) / COUNT)
    dropped = (changed == 0).double().mean().item()
    assert abs(dropped - p) < 5 * deviation
    assert changed.unique().tolist() == pytest.approx([0, 1 / (1 - p)], rel=1e-3)
    neighbours = (changed[:-1] == 0) & (changed[1:] == 0)  # independent of each other
    assert abs(neighbours.double().mean().item() - p * p) < 5 * deviation


def test_masks_follow_torchs_seed() -> None:
    values, layer = torch.ones(999), FastDropout(0.5)
    torch.manual_seed(3)
    first, second = layer(values), layer(values)
    torch.manual_seed(3)
    assert torch.equal(layer(values), first)
    assert not torch.equal(first, second)


def test_gradients_pass_where_values_did() -> None:
    values = torch.ones(50, requires_grad=True)
    changed = FastDropout(0.5)(values)
    changed.sum().backward()
    assert values.grad is not None
    assert torch.equal(values.grad, changed.detach())


def test_the_memory_format_stays() -> None:
    values = torch.ones(2, 8, 5, 5).to(memory_format=torch.channels_last)
    assert FastDropout(0.3)(values).stride() == values.stride()
    assert FastDropout(0.3)(torch.ones(6, 4).t()).shape == (4, 6)
    assert FastDropout(0.3)(torch.ones(0, 4)).shape == (0, 4)


def test_weights_are_channels_last_for_a_gpu_alone() -> None:
    for kind, expected in (("cpu", torch.contiguous_format), ("cuda", torch.channels_last)):
        convolution = nn.Conv2d(3, 8, 3)
        network = apply_speedups(nn.Sequential(convolution, nn.Dropout()), torch.device(kind))
        assert convolution.weight.is_contiguous(memory_format=expected)
        assert any(isinstance(module, FastDropout) for module in network.modules())


def test_it_steps_aside_where_there_is_nothing_to_draw() -> None:
    values = torch.rand(99)
    assert torch.equal(FastDropout(0.5).eval()(values), values)
    assert torch.equal(FastDropout(0.0)(values), values)
    assert not FastDropout(1.0)(values).any()
    assert FastDropout(0.5)(values.bfloat16()).dtype == torch.bfloat16


def test_every_dropout_of_a_network_is_replaced() -> None:
    network = build("all_cnn", channels=1, image_size=28, classes=10)
    replaced = sum(isinstance(module, nn.Dropout) for module in network.modules())
    keys = list(network.state_dict())
    with_fast_dropout(network)
    assert sum(isinstance(module, FastDropout) for module in network.modules()) == replaced > 1
    assert list(network.state_dict()) == keys
