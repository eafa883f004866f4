"""What the process imports from which commands are forked; see `warm`."""

from importlib import import_module

from tests import warm
from vision_zoo.core import onnx_runtime
from vision_zoo.exporting import export

for name in (
    "onnx",
    "optuna",
    "tests.conftest",
    "torch._dynamo",  # torch imports it when the first optimizer is made
    "torch.utils.tensorboard",
    "vision_zoo.cli",
    "vision_zoo.training.plots",
    "vision_zoo.training.run_outputs",
    "vision_zoo.training.train",
):
    import_module(name)
onnx_runtime.load()
warm.list_operators_once()
warm.draw_nothing()
export.load_exporter()
