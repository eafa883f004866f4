"""From a run directory to a verified ONNX file, in fp32, fp16 or int8."""
