"""Choosing ONNX Runtime's execution provider, without falling back in silence."""

import ctypes
import sys
from typing import Literal, get_args

from vision_zoo import onnx_runtime
from vision_zoo.errors import DeviceError, UsageError

ProviderName = Literal["auto", "cpu", "cuda"]

_EXECUTION_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def execution_providers(name: str) -> list[str]:
    """ONNX Runtime's provider names to ask for; `auto` is CUDA where a driver is there, else the CPU.

    Raises:
        UsageError: no such provider.
        DeviceError: `cuda` was asked for and its driver or its build of ONNX Runtime is missing.
    """
    if name not in get_args(ProviderName):
        raise UsageError(f"unknown provider {name!r}; expected one of {', '.join(get_args(ProviderName))}")
    if name == "cpu":
        return [_EXECUTION_PROVIDERS["cpu"]]
    missing = _missing_for_cuda()
    if missing is None:
        onnx_runtime.load().preload_dlls()  # CUDA and cuDNN as Python packages are on no library path
        return [_EXECUTION_PROVIDERS["cuda"], _EXECUTION_PROVIDERS["cpu"]]
    if name == "cuda":
        raise DeviceError(f"--provider cuda cannot be used: {missing}; use --provider cpu or auto")
    return [_EXECUTION_PROVIDERS["cpu"]]


def check_provider(name: str, running: list[str]) -> None:
    """Refuse a session that fell back to the CPU although `cuda` was asked for.

    Raises:
        DeviceError: it did.
    """
    if name == "cuda" and _EXECUTION_PROVIDERS["cuda"] not in running:
        raise DeviceError(
            "--provider cuda cannot be used: ONNX Runtime could not load its CUDA libraries and fell back to the CPU; "
            "install CUDA and cuDNN in the versions that onnxruntime-gpu names, or use --provider cpu"
        )


def _missing_for_cuda() -> str | None:
    # get_available_providers() lists CUDA even where nothing of it is installed: look for the driver itself.
    if _EXECUTION_PROVIDERS["cuda"] not in onnx_runtime.load().get_available_providers():
        return "this ONNX Runtime is built without CUDA (the package onnxruntime-gpu has it)"
    driver = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        ctypes.CDLL(driver)
    except OSError:
        return f"no NVIDIA driver was found ({driver} is missing)"
    return None
