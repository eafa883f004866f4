import subprocess
import sys

import pytest

_CHURN = """
import resource, sys
from vision_zoo.training.allocator import keep_freed_memory

kept = "keep" in sys.argv and keep_freed_memory()
import torch

def churn():
    torch.ones(16 * 2**20)  # 64 MiB, freed at once

for _ in range(3):
    churn()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    churn()
print(int(kept), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(*arguments: str) -> tuple[bool, int]:
    done = subprocess.run(
        [sys.executable, "-c", _CHURN, *arguments], capture_output=True, text=True, check=True
    )
    kept, faults = done.stdout.split()
    return kept == "1", int(faults)


@pytest.mark.skipif(sys.platform != "linux", reason="a setting of glibc")
def test_freed_memory_is_not_mapped_again() -> None:
    _, given_back = _faults()
    kept, faults = _faults("keep")
    assert kept
    assert given_back > 500  # fewer where the system maps many pages at a time
    assert faults < given_back / 10
