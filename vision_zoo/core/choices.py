"""Choices that the command line offers, here so that it imports nothing large to know them."""

from typing import Literal, get_args

DeviceName = Literal["auto", "cpu", "cuda"]
"""What to train on; `auto` takes CUDA where it works."""

DEVICES: tuple[DeviceName, ...] = get_args(DeviceName)

ProviderName = Literal["auto", "cpu", "cuda", "tensorrt"]
"""ONNX Runtime's execution provider; `auto` is CUDA where it can run, else the CPU."""

Interpolation = Literal["bilinear", "nearest"]
Optimizer = Literal["adam", "adamw", "sgd", "muon", "lbfgs"]
"""`lbfgs` solves a dense layer on frozen features to its minimum, and chooses a weight decay of 0 by
cross-validation; the others take steps of one batch."""

Arithmetic = Literal["fp32", "tf32", "bf16", "auto"]
"""What training steps compute in; `auto` is the fastest of the others on the device, measured when a run begins."""

FineTuning = Literal["last", "all"]
"""What of pretrained feature layers is trained: those of the lowest resolution, or all."""

Precision = Literal["fp32", "fp16", "int8"]
"""What an exported graph computes in, or stores its weights in."""

FolderCrop = Literal["centre", "none", "pad"]
"""How pictures of a folder become square: their central square, each side scaled by itself, or with a border."""

FolderChannels = Literal["auto", "colour", "gray"]
"""Channels of the pictures of a folder; `auto` is gray where no picture has colours."""

Sampler = Literal["grid", "tpe"]
"""How a search chooses points: every combination of values, or near earlier ones that were good."""

Pruner = Literal["none", "median"]
"""Whether a point ends whose epoch is below the median of the others' same epoch."""

EntryKind = Literal["recipes", "architectures", "datasets", "models"]
"""What `vision-zoo list` lists."""

TableFormat = Literal["table", "csv", "md"]

OptimizationLevel = Literal["all", "extended", "basic", "disabled"]
"""How far ONNX Runtime rewrites a graph when it loads it; only `all` changes the layout of tensors."""
