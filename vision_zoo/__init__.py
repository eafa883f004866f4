"""vision-zoo: train small-image classifiers, export proven ONNX files, measure and serve them."""

__version__ = "0.1.0"
