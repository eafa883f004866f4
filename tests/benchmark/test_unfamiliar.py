"""Scores of the literature, on what the last dense layer of a shipped model takes and on clouds of features."""

import numpy as np

from benchmarks.unfamiliar import Seen, scores, with_features
from tests.conftest import ROOT
from vision_zoo.exporting.verify import run_graph


def test_logits_are_linear_in_the_features() -> None:
    content, name = with_features((ROOT / "exported" / "simple_cnn-mnist.onnx").read_bytes())
    images = np.random.default_rng(0).integers(0, 256, (400, 28, 28, 1), dtype=np.uint8)
    features, logits = run_graph(content, images, outputs=[name, "logits"])
    terms = np.hstack([features.reshape(400, -1), np.ones((400, 1))]).astype(np.float64)
    layer = np.linalg.lstsq(terms[:300], logits[:300], rcond=None)[0]
    np.testing.assert_allclose(terms[300:] @ layer, logits[300:], rtol=0.01, atol=0.01)


def test_scores_of_features_are_low_far_from_those_that_are_known() -> None:
    generator = np.random.default_rng(1)
    classes = np.arange(600) % 3
    weight = generator.normal(size=(16, 3))

    def seen(spread: float) -> Seen:
        features = spread * generator.normal(size=(600, 16)) + 3 * np.eye(3, 16)[classes]
        images = generator.integers(0, 256, (600, 8, 8, 1), dtype=np.uint8)
        return Seen(images, features, features @ weight)

    known, near, far = seen(0.3), seen(0.3), seen(3.0)
    found = scores(known, classes)
    assert len(found) == 9
    for name in ("Mahalanobis distance of features", "nearest neighbours of features", "ViM"):
        assert np.median(found[name](far)) < np.quantile(found[name](near), 0.05)
