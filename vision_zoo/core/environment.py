"""The environment of a measurement: hardware and versions, without anything that identifies a machine."""

import ctypes
import math
import os
import platform
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_VECTOR_INSTRUCTIONS = (
    *("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8"),
    *("asimd", "asimddp", "i8mm", "sve"),
)
PACKAGES = ("torch", "torchvision", "onnx", "onnxruntime-gpu", "onnxruntime", "numpy", "pillow")


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """A machine; `gpu` is the one that was used. Where something was trained: its `device` and torch's `threads`.

    `instructions` are the vector instructions of the processor, None where they were not kept.
    """

    cpu: str
    instructions: Sequence[str] | None = None
    gpu: str | None = None
    cores: int
    memory_gib: float | None
    machine: str
    system: str
    python: str
    versions: Mapping[str, str] = field(default_factory=dict)
    device: str | None = None
    threads: int | None = None

    @property
    def description(self) -> str:
        """The GPU where one was used, else the CPU, the most capable of its vector instructions, and its cores."""
        capable = f" ({self.instructions[-1]})" if self.instructions else ""
        return self.gpu or f"{self.cpu}{capable}, {self.cores} cores"

    @property
    def folder_name(self) -> str:
        """The folder of its results."""
        return re.sub(r"[^a-z0-9]+", "-", self.description.lower()).strip("-")


def describe() -> Environment:
    """Describe this machine."""
    return Environment(
        cpu=cpu_model(),
        instructions=vector_instructions(),
        cores=usable_cores(),
        memory_gib=_memory_gib(),
        machine=platform.machine(),
        system=platform.system(),
        python=platform.python_version(),
        versions=versions(),
    )


def versions() -> dict[str, str]:
    """Versions of vision-zoo and of those packages of `PACKAGES` that are installed."""
    from vision_zoo import __version__

    return {"vision-zoo": __version__, **installed(PACKAGES)}


def installed(packages: Iterable[str]) -> dict[str, str]:
    """Versions of those of `packages` that are installed, by name; none of them is imported."""
    from importlib import metadata

    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def usable_cores() -> int:
    """Cores that this process may run on, which in a container is fewer than the machine has."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _cores_of_quota() or cores)


def _cores_of_quota(path: Path = Path("/sys/fs/cgroup/cpu.max")) -> int | None:
    """What a container's share of processor time is in whole cores, as `docker run --cpus` sets it."""
    try:
        quota, period = path.read_text(encoding="utf-8").split()
        return max(1, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):  # no such limit, or the word max
        return None


def cpu_model() -> str:
    """The processor's name as the system gives it, `unknown` where it gives none."""
    return _cpuinfo("model name") or platform.processor() or "unknown"


def cpu_vendor() -> str:
    """The processor's maker as Linux names it, `GenuineIntel` or `AuthenticAMD`; empty where it is not told."""
    return _cpuinfo("vendor_id")


def vector_instructions() -> list[str]:
    """Those of the processor that decide how fast small models are, as Linux names them; empty where it is not told."""
    flags = (_cpuinfo("flags") or _cpuinfo("Features")).split()
    return [name for name in _VECTOR_INSTRUCTIONS if name in flags]


def _cpuinfo(field: str) -> str:
    """What Linux says of the first processor; empty where it says nothing."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.split(":")[0].strip() == field), "")


def has_vnni() -> bool:
    """Whether this is an x86 processor known to add products of 8-bit integers in 32 bits."""
    return not {"avx_vnni", "avx512_vnni", "amx_int8"}.isdisjoint(vector_instructions())


def gpu_name() -> str | None:
    """The first NVIDIA GPU's name as the driver gives it; None if there is none. Needs no torch."""
    name = ctypes.create_string_buffer(256)
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        if driver.cuInit(0) or driver.cuDeviceGetName(name, len(name), 0):
            return None
    except (OSError, AttributeError):
        return None
    return name.value.decode(errors="replace") or None


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None
