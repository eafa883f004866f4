"""Selection of the device and its numeric settings."""

import os
from dataclasses import replace

import torch

from vision_zoo.core import environment
from vision_zoo.core.choices import Arithmetic, DeviceName
from vision_zoo.core.errors import DeviceError, UsageError


def choose_device(name: DeviceName) -> torch.device:
    """The device to train on; `auto` takes CUDA where it works.

    Raises:
        DeviceError: `cuda` was asked for and cannot be used.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        reason = (
            "no NVIDIA driver or GPU was found" if torch.version.cuda else "this torch is built without CUDA"
        )
        raise DeviceError(f"--device cuda cannot be used: {reason}; use --device cpu or auto")
    return torch.device(name)


def limit_threads() -> None:
    """Let torch have no more threads than this process has cores: it does not know of a container's quota.

    Where OMP_NUM_THREADS is set, its number stays.
    """
    if "OMP_NUM_THREADS" not in os.environ and torch.get_num_threads() > environment.usable_cores():
        torch.set_num_threads(environment.usable_cores())


def use_precision(precision: Arithmetic, device: torch.device) -> None:
    """Let torch use TF32 only where a recipe asks for it: in convolutions it does by default.

    Raises:
        UsageError: `tf32` for a device that has none.
    """
    if precision == "tf32" and device.type != "cuda":
        raise UsageError("precision tf32 is for NVIDIA GPUs; choose fp32 or bf16, or --device cuda")
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.allow_tf32 = precision == "tf32"


def make_repeatable(device: torch.device) -> None:
    """Make a run on a GPU give the same weights every time: by default cuDNN and cuBLAS may sum in any order.

    Call it before the first matrix product: cuBLAS reads its setting once.
    """
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.deterministic = True


def wait_for(device: torch.device) -> None:
    """Until `device` has done all that it was given; a CPU always has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def describe_environment(device: torch.device) -> environment.Environment:
    """What `environment.describe` says, with the `device` that is trained on, its `threads` and `gpu`."""
    return replace(
        environment.describe(),
        gpu=torch.cuda.get_device_name() if device.type == "cuda" else None,
        device=device.type,
        threads=torch.get_num_threads(),
    )
