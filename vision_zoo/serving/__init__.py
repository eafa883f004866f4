"""Exported models in ONNX Runtime: predict, evaluate, HTTP server, web page; needs no torch."""
