"""Selection of ONNX Runtime's execution provider, without silent fallback."""

import contextlib
import ctypes
import io
import sys
from pathlib import Path
from typing import get_args

from vision_zoo.core import environment, onnx_runtime
from vision_zoo.core.bounds import require_choice
from vision_zoo.core.choices import ProviderName
from vision_zoo.core.errors import DeviceError

PROVIDERS: tuple[ProviderName, ...] = get_args(ProviderName)

EXECUTION_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
RUNTIMES = ("onnxruntime", "onnxruntime-gpu")
"""Distributions of ONNX Runtime. They share one import name: the one installed last wins, and breaks the other."""

_FALLBACKS = {"cpu": ("cpu",), "cuda": ("cuda", "cpu"), "tensorrt": ("tensorrt", "cuda", "cpu")}


def execution_providers(name: str) -> list[str]:
    """ONNX Runtime's provider names to ask for; `auto` is CUDA where it can run, else the CPU.

    Raises:
        UsageError: no such provider.
        DeviceError: it was asked for by name and cannot run here; the message says what is missing.
    """
    require_choice("provider", name, PROVIDERS)
    if name == "auto":
        name = "cpu" if missing_for("cuda") else "cuda"
    elif missing := missing_for(name):
        raise DeviceError(f"--provider {name} cannot be used: {missing}; use --provider cpu or auto")
    return [EXECUTION_PROVIDERS[provider] for provider in _FALLBACKS[name]]


def check_running(name: str, running: list[str]) -> None:
    """Raise DeviceError for a session that fell back although a provider was asked for by name."""
    if name != "auto" and running[0] != EXECUTION_PROVIDERS[name]:
        raise DeviceError(
            f"--provider {name} cannot be used: ONNX Runtime could not start it and fell back to {running[0]}; "
            "run `vision-zoo doctor` to find the reason"
        )


def auto_notice() -> str | None:
    """Why `auto` runs on the CPU although there is an NVIDIA driver; None if nothing is amiss."""
    if driver_missing() is not None:
        return None
    missing = missing_for("cuda")
    return None if missing is None else f"auto runs on the CPU, not on the GPU: {missing}"


def missing_for(name: str) -> str | None:
    """What keeps a provider from running here, or None.

    `get_available_providers()` tells how ONNX Runtime was built: drivers and libraries are looked for one by one.
    """
    if name == "cpu":
        return None
    runtime = onnx_runtime.load()
    if EXECUTION_PROVIDERS[name] not in runtime.get_available_providers():
        return f"this ONNX Runtime is built without {name} (install the package onnxruntime-gpu)"
    return driver_missing() or library_missing(name)


def driver_missing() -> str | None:
    """What is missing of the NVIDIA driver, or None."""
    driver = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        ctypes.CDLL(driver)
    except OSError:
        return f"no NVIDIA driver was found ({driver} is missing)"
    return None


def library_missing(name: str) -> str | None:
    """The first library that ONNX Runtime's provider needs and cannot find, or None."""
    preload_libraries()
    folder = Path(str(onnx_runtime.load().__file__)).parent / "capi"
    pattern = "onnxruntime_providers_{}.dll" if sys.platform == "win32" else "libonnxruntime_providers_{}.so"
    try:
        # The provider takes symbols from this one, which ONNX Runtime loads first as well.
        ctypes.CDLL(str(folder / pattern.format("shared")), mode=ctypes.RTLD_GLOBAL)
        ctypes.CDLL(str(folder / pattern.format(name)))
    except OSError as error:
        library = str(error).partition(":")[0]
        if "cannot open shared object file" in str(error):
            return f"the library {library} was not found"
        return f"a library cannot be loaded ({error})"
    return None


def preload_libraries() -> None:
    """Load CUDA and cuDNN from the Python packages that bring them: those are on no library path."""
    with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does not find
        onnx_runtime.load().preload_dlls()


def installed_runtimes() -> dict[str, str]:
    """Versions of the distributions of ONNX Runtime that are installed, by name."""
    return environment.installed(RUNTIMES)
