"""Choosing the device and its numeric settings."""

from typing import Literal

import torch

from vision_zoo.errors import DeviceError

DeviceName = Literal["auto", "cpu", "cuda"]


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


def full_precision() -> None:
    """Single precision means single precision: TF32 off, in convolutions too, where torch allows it by default."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
