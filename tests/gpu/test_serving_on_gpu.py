"""Exported models in ONNX Runtime's CUDA provider: the CPU's answers, with bound memory and as CUDA graphs too."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.conftest import ROOT, run_command
from tests.serving.server.conftest import running
from vision_zoo.benchmark.sessions import bound_runner, cuda_graph_runner
from vision_zoo.core.errors import UsageError
from vision_zoo.serving.session import Session

_MODELS = sorted((ROOT / "exported").glob("*.onnx"))
_FP32 = ROOT / "exported" / "simple_cnn-mnist.onnx"
_CUDA = "CUDAExecutionProvider"


def _images(session: Session, count: int, seed: int = 0) -> NDArray[np.uint8]:
    """Noise over gradients: not all alike, as pure noise is to a network."""
    generator = np.random.default_rng(seed)
    height, width, channels = session.metadata.input.shape
    coarse = generator.integers(0, 256, (count, 4, 4, channels))
    rows = np.arange(height) * 4 // height
    columns = np.arange(width) * 4 // width
    noise = generator.integers(-32, 33, (count, height, width, channels))
    images: NDArray[np.uint8] = np.clip(coarse[:, rows][:, :, columns] + noise, 0, 255).astype(np.uint8)
    return images


@pytest.mark.parametrize("path", _MODELS, ids=lambda path: path.stem)
def test_cuda_gives_the_cpus_answers(path: Path) -> None:
    session, cpu = Session(path, provider="auto"), Session(path, provider="cpu")
    assert session.provider == _CUDA
    for count in (1, 64, 7):
        images = _images(session, count)
        found, expected = session.predict(images), cpu.predict(images)
        scale = max(1.0, float(np.abs(expected.logits).max()))
        if session.metadata.precision == "int8":
            # A sum beside a rounding boundary moves an activation by a step.
            assert (found.classes == expected.classes).mean() >= 0.9
            assert np.abs(found.logits - expected.logits).mean() / scale < 0.02
        else:
            np.testing.assert_allclose(found.logits / scale, expected.logits / scale, rtol=0, atol=2e-3)
            first, second = np.sort(expected.probabilities, axis=1)[:, -2:].T[::-1]
            sure = first - second > 0.05
            assert np.array_equal(found.classes[sure], expected.classes[sure])


@pytest.mark.parametrize("path", _MODELS, ids=lambda path: path.stem)
@pytest.mark.parametrize("count", [1, 64])
def test_bound_memory_and_cuda_graphs_give_the_same_answers(path: Path, count: int) -> None:
    session = Session(path, provider="cuda")
    images = _images(session, count)
    calls = [bound_runner(session, images)]
    if session.metadata.precision == "int8":
        with pytest.raises(UsageError, match="every operator on the GPU"):
            cuda_graph_runner(session, images, threads=1)
    else:
        calls.append(cuda_graph_runner(session, images, threads=1))
    for call in calls:
        for seed in (0, 1, 2):  # a replay reads what is there now
            images[:] = _images(session, count, seed)
            expected = session.predict(images)
            logits, probabilities = cast(tuple[Any, Any], call())
            np.testing.assert_allclose(logits, expected.logits, rtol=1e-3, atol=1e-3)
            np.testing.assert_allclose(probabilities, expected.probabilities, rtol=1e-3, atol=1e-3)


def test_the_command_line_finds_the_gpu(tmp_path: Path) -> None:
    doctor = run_command("doctor", "--json", cwd=tmp_path)
    assert "CUDA libraries" in doctor.stdout
    model = str(_FP32)
    bench = run_command(
        "bench",
        model,
        "--provider",
        "cpu,cuda",
        "--batch-sizes",
        "1",
        "--duration",
        "0.2",
        "--json",
        cwd=tmp_path,
    )
    assert bench.code == 0, bench.stderr
    rows = json.loads(bench.stdout)["rows"]
    assert {row["engine"] for row in rows} >= {"onnxruntime", "io-binding", "cuda-graph"}
    assert any(row["provider"] == _CUDA for row in rows)
    assert "NVIDIA" in json.loads(bench.stdout)["environment"]["gpu"]


def test_a_server_answers_many_clients_from_the_gpu(tmp_path: Path) -> None:
    path = ROOT / "exported" / "simple_cnn-mnist.onnx"
    images = _images(Session(path, provider="cpu"), 64)
    expected = Session(path, provider="cpu").predict(images).logits

    def ask(number: int) -> np.ndarray:
        tensor = {"name": "image", "datatype": "UINT8", "shape": [1, *images.shape[1:]]}
        body = {"inputs": [{**tensor, "data": images[number].ravel().tolist()}]}
        answer = httpx.post(f"{server.url}/v2/models/{path.stem}/infer", json=body, timeout=60)
        outputs = {output["name"]: output["data"] for output in answer.raise_for_status().json()["outputs"]}
        return np.array(outputs["logits"])

    with running(ROOT / "exported", tmp_path / "log", "--provider", "cuda") as server:
        with ThreadPoolExecutor(16) as pool:
            logits = np.stack(list(pool.map(ask, range(64))))
        np.testing.assert_allclose(logits, expected, rtol=0, atol=0.05)
        assert server.stop() == 0
