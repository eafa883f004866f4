"""What the process imports from which commands are forked; see `warm`."""

import gc
from importlib import import_module

gc.disable()
for name in (
    "onnx",
    "optuna",
    "torch._dynamo",  # torch imports it when the first optimizer is made
    "torch.utils.tensorboard",
    "vision_zoo.cli",
    "vision_zoo.serving.server.run",
    "vision_zoo.training.plots",
    "vision_zoo.training.run_outputs",
    "vision_zoo.training.train",
):
    import_module(name)
for name, function in (
    ("vision_zoo.core.onnx_runtime", "load"),
    ("tests.warm", "list_operators_once"),
    ("tests.warm", "draw_nothing"),
    ("vision_zoo.exporting.export", "load_exporter"),
):
    getattr(import_module(name), function)()
import_module("vision_zoo.serving.demo.mount").import_gradio("")
import_module("vision_zoo.serving.demo.page")
gc.freeze()  # not looked through again, nor copied for it, in any process that is forked
gc.enable()
