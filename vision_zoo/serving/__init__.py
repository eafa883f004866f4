"""Serving: exported files in ONNX Runtime. Needs no torch and knows nothing of training."""
