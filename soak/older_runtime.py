"""Answers of models by whatever ONNX Runtime runs this script: `python older_runtime.py OUTPUT.npz MODEL…`."""

import sys
from typing import Any

import numpy as np


def main() -> None:
    import onnxruntime

    output, *models = sys.argv[1:]
    answers: dict[str, Any] = {"version": np.array(onnxruntime.__version__)}
    for model in models:
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        shape = session.get_inputs()[0].shape[1:]
        images = np.random.default_rng(0).integers(0, 256, (3, *shape), dtype=np.uint8)
        answers[f"{model} logits"], answers[f"{model} probabilities"] = session.run(None, {"image": images})
    np.savez(output, **answers)


main()
