"""What the process imports from which commands are forked; see `warm`."""

from importlib import import_module

from vision_zoo.core import onnx_runtime

for name in (
    "onnx",
    "torch._dynamo",  # torch imports it when the first optimizer is made
    "vision_zoo.cli",
    "vision_zoo.exporting.export",
    "vision_zoo.training.plots",
    "vision_zoo.training.run_outputs",
    "vision_zoo.training.train",
):
    import_module(name)
onnx_runtime.load()
