"""The fastest verified version of a file. Latencies are made up: what they are is the machine's matter."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

import vision_zoo as vz
from tests.images.pictures import write_class_folders
from vision_zoo.artifact import manifest, session_options
from vision_zoo.artifact.session_options import SessionOptions
from vision_zoo.benchmark import BenchmarkSettings, benchmark
from vision_zoo.cli import app
from vision_zoo.core import onnx_runtime
from vision_zoo.core.errors import UsageError
from vision_zoo.core.progress import SilentProgress
from vision_zoo.data.dataset import Splits
from vision_zoo.exporting import optimize, session_search
from vision_zoo.exporting.calibrate import calibrate_file, described_file, read_file
from vision_zoo.exporting.graph import has_branches
from vision_zoo.exporting.optimize import EIGHT_BITS, SEVEN_BITS, OptimizedFile, optimize_file
from vision_zoo.exporting.session_search import Graph, Measured, SearchSettings, choose, search
from vision_zoo.exporting.verify import run_graph
from vision_zoo.serving.session import Session

Speed = Callable[[str, SessionOptions], float]


@pytest.fixture(scope="module", autouse=True)
def _two_cores_without_vnni() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session_search, "usable_cores", lambda: 2)
        patch.setattr(session_options, "usable_cores", lambda: 2)
        patch.setattr(optimize, "has_vnni", lambda: False)
        yield


def _taking(speed: Speed) -> Callable[..., list[Measured]]:
    """A round of unsteady measurements: `speed` gives the latency of a graph with options, relative to the original's."""

    def timed(candidates: Sequence[tuple[Graph, SessionOptions]], **_: object) -> list[Measured]:
        ratios = [(graph, options, speed(graph.name, options)) for graph, options in candidates]
        return [Measured(graph, options, {1: ratio}, ratio, steady=False) for graph, options, ratio in ratios]

    return timed


def _eight_bits_on_two_threads(graph: str, options: SessionOptions) -> float:
    return {"fp32": 1.0, SEVEN_BITS: 0.6, EIGHT_BITS: 0.5}[graph] / options.threads


@pytest.fixture(scope="module")
def original(embedded_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A calibrated file with embeddings. Read only."""
    return calibrate_file(embedded_model, output_dir=tmp_path_factory.mktemp("original")).path


@pytest.fixture(scope="module")
def optimized(
    original: Path, tmp_path_factory: pytest.TempPathFactory, _two_cores_without_vnni: None
) -> OptimizedFile:
    """`original`, of which weights of 8 bits and two threads are the fastest. Read only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session_search, "_round", _taking(_eight_bits_on_two_threads))
        return optimize_file(original, SearchSettings(), output_dir=tmp_path_factory.mktemp("optimized"))


def test_the_fastest_file_is_written_and_runs_as_it_says(
    optimized: OptimizedFile, original: Path, mnist_5k: Splits
) -> None:
    assert optimized.path.name == "simple_cnn-mnist_5k-int8.onnx"
    assert (optimized.chosen.graph, optimized.chosen.speedup) == (EIGHT_BITS, 4.0)
    assert [note[:33] for note in optimized.notes] == ["latencies changed by more than 10"]
    assert {one.graph for one in optimized.candidates} == {"fp32", SEVEN_BITS, EIGHT_BITS}
    assert manifest.read(optimized.path.parent).keys() == {optimized.path.name}
    session, former = Session(optimized.path, provider="cpu"), Session(original, provider="cpu")
    assert session.tuned
    assert session.options == optimized.options == session.metadata.session_options
    assert (session.options.threads, optimized.options.batch_sizes) == (2, (1,))
    images, labels = np.asarray(mnist_5k.test.images), np.asarray(mnist_5k.test.labels)
    prediction, metadata = session.predict_all(images), session.metadata
    assert prediction.embeddings is not None
    assert (metadata.precision, metadata.full_range, metadata.data_variant) == ("int8", True, "original")
    assert metadata.test_accuracy == optimized.chosen.accuracy == (prediction.classes == labels).mean()
    expected = former.predict_all(images).classes
    assert optimized.chosen.argmax_agreement == (prediction.classes == expected).mean()
    assert metadata.calibration is not None
    assert metadata.calibration != former.metadata.calibration
    assert session.gaussians is not None
    settings = BenchmarkSettings(providers=("cpu",), batch_sizes=(1,), seconds=0.01)
    (row,) = benchmark([optimized.path], settings, SilentProgress())
    assert (row.threads, row.test_accuracy) == (2, metadata.test_accuracy)


def test_eight_bits_of_weights_never_overflow(optimized: OptimizedFile, mnist_5k: Splits) -> None:
    """Without VNNI, products of such weights overflow unless the runtime is told: by 20 % of the largest logit here."""
    model = onnx.load(optimized.path)
    weights = [
        onnx.numpy_helper.to_array(one) for one in model.graph.initializer if one.data_type == one.INT8
    ]
    assert max(abs(int(values.min())) for values in weights if values.size) > 64
    images = np.asarray(mnist_5k.test.images[:100])
    floats = onnx_runtime.session_options(optimization="disabled")
    expected, _ = run_graph(optimized.path.read_bytes(), images, options=floats)
    found = Session(optimized.path, provider="cpu", threads=1).predict(images).logits
    assert np.abs(found - expected).max() < 0.02 * np.abs(expected).max()
    again = calibrate_file(optimized.path, output_dir=optimized.path.parent / "again")
    assert again.calibration == Session(optimized.path, provider="cpu").metadata.calibration


def test_options_of_another_processor_and_of_the_user_come_first(
    optimized: OptimizedFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = Session(optimized.path, provider="cpu", threads=1)
    assert (mine.tuned, mine.options) == (False, SessionOptions(threads=1))
    content, metadata, gaussians = read_file(optimized.path)
    for change, used in (({"instructions": ("none",)}, False), ({"threads": 3}, False), ({}, True)):
        stored = replace(optimized.options, **change)
        path = tmp_path / "other.onnx"
        manifest.publish(path, described_file(content, replace(metadata, session_options=stored), gaussians))
        assert Session(path, provider="cpu").tuned is used
        app(["info", str(path)], standalone_mode=False)
        printed = capsys.readouterr().out
        assert "2 threads, graph optimisation all" in printed or "3 threads" in printed
        assert ("ignored on this machine" in printed) is not used


def test_what_gains_nothing_leaves_the_graph_as_it_is(
    optimized: OptimizedFile,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A file that is in 8 bits already: only its options are chosen, and it is written in its place."""
    path = tmp_path / "m.onnx"
    path.write_bytes(optimized.path.read_bytes())
    monkeypatch.setattr(
        session_search, "_round", _taking(lambda _, options: 0.97 if options.spinning else 1.0)
    )
    app(["optimize", str(path), "--json", "--batch-sizes", "1,8"], standalone_mode=False)
    (document,) = json.loads(capsys.readouterr().out)
    assert (document["model"], document["graph"], document["speedup"]) == (str(path), "int8", 1.0)
    assert document["accuracy"] == document["original_accuracy"]
    assert {one["graph"] for one in document["candidates"]} == {"int8"}
    (before, metadata, _), (after, changed, _) = read_file(optimized.path), read_file(path)
    assert onnx.load_model_from_string(after).graph == onnx.load_model_from_string(before).graph
    assert changed.session_options is not None
    assert (changed.session_options.threads, changed.session_options.batch_sizes) == (1, (1, 8))
    assert replace(changed, session_options=None) == replace(metadata, session_options=None)


def test_what_does_not_pass_verification_is_left_out_with_the_reason(
    exported_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def damaged(content: bytes, *_: object, **__: object) -> bytes:
        model = onnx.load_model_from_string(content)
        bias = next(one for one in model.graph.initializer if one.name.endswith("classifier.3.bias"))
        values = onnx.numpy_helper.to_array(bias).copy()
        values[0] += 40  # every image is a 0 then
        bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
        return bytes(model.SerializeToString())

    monkeypatch.setattr(optimize, "to_precision", damaged)
    monkeypatch.setattr(session_search, "_round", _taking(_eight_bits_on_two_threads))
    app(
        ["optimize", str(exported_model), "--output-dir", str(tmp_path), "--threads", "1"],
        standalone_mode=False,
    )
    printed = capsys.readouterr().out
    assert printed.count("left out: the graph does not predict what the original file predicts") == 2
    assert "simple_cnn-mnist_5k.onnx: fp32, 1 thread, graph optimisation all; 1.00 times as fast" in printed
    assert [path.name for path in tmp_path.glob("*.onnx")] == [exported_model.name]


def test_a_few_pictures_are_not_enough_for_another_precision(
    exported_model: Path, mnist_5k: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_search, "_round", _taking(lambda *_: 1.0))
    pictures = write_class_folders(tmp_path / "pictures", mnist_5k.test.take(np.arange(20)))
    done = vz.optimize(exported_model, tmp_path / "out", dataset=pictures, progress=False)
    assert {one.graph for one in done.candidates if one.options} == {"fp32"}
    assert [one.reason for one in done.candidates if one.reason] == [
        "20 images are too few to verify it on; expected 100 or more"
    ] * 2
    assert not any("may have been trained" in note for note in done.notes)
    with pytest.raises(UsageError, match="expected folder:PATH"):
        vz.optimize(exported_model, dataset="mnist", progress=False)
    for batch_sizes in ((), (1, 8, 1)):
        with pytest.raises(UsageError, match="expected one or more, all different"):
            vz.optimize(exported_model, batch_sizes=batch_sizes, progress=False)


def test_the_accuracy_on_training_images_is_not_written_into_the_file(
    exported_model: Path, mnist_5k: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_search, "_round", _taking(_eight_bits_on_two_threads))
    own = write_class_folders(tmp_path / "own", mnist_5k.test.spread(100))
    content, metadata, _ = read_file(exported_model)
    for changes in ({"dataset": "folder-own"}, {"test_accuracy": 0.5}):
        path = tmp_path / "model.onnx"
        changed = replace(metadata, **changes)
        manifest.publish(path, described_file(content, changed, None))
        done = optimize_file(path, SearchSettings(), dataset=own)
        assert done.chosen.graph == EIGHT_BITS
        written = Session(done.path, provider="cpu").metadata
        assert (written.test_accuracy, written.test_images) == (changed.test_accuracy, 1000)
        assert any("may have been trained on these images" in note for note in done.notes)


def test_levels_are_verified_again_where_they_round_otherwise(
    exported_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optimize, "_names", lambda _: ())
    speeds = {"all": 1.0, "extended": 0.5, "basic": 0.8}
    monkeypatch.setattr(session_search, "_round", _taking(lambda _, options: speeds[options.optimization]))
    done = optimize_file(exported_model, SearchSettings(), output_dir=tmp_path)
    assert (done.options.optimization, done.chosen.argmax_agreement) == ("extended", 1.0)
    images = np.zeros((1, 28, 28, 1), dtype=np.uint8)
    former = Session(exported_model, provider="cpu").predict(images)
    np.testing.assert_allclose(Session(done.path).predict(images).logits, former.logits, atol=1e-4)


def test_candidates_are_really_timed(exported_model: Path) -> None:
    graph = Graph("fp32", exported_model.read_bytes(), ("logits", "probabilities"))
    images = np.zeros((3, 28, 28, 1), dtype=np.uint8)
    settings = SearchSettings(batch_sizes=(1, 4), seconds=0.001)
    found = search([graph], images, settings, branches=True, progress=SilentProgress())
    assert (found[0].options, found[0].ratio, found[0].final) == (SessionOptions(), 1.0, True)
    assert {one.options.optimization for one in found} == {"all", "extended", "basic"}
    threaded = {(one.options.threads, one.options.spinning, one.options.parallel) for one in found}
    assert threaded == {(1, False, False), (2, False, False), (2, True, False), (2, False, True)}
    assert all(one.milliseconds.keys() == {1, 4} and min(one.milliseconds.values()) > 0 for one in found)
    assert choose(found, [graph]).final


@pytest.mark.parametrize(
    ("cores", "threads", "expected"),
    [(1, None, []), (2, None, [2]), (2, 1, []), (4, 3, [2, 3]), (12, None, [2, 3, 4, 8, 12]), (64, 16, [2, 3, 4, 8, 16])],
)  # fmt: skip
def test_few_numbers_of_threads_are_tried(
    cores: int, threads: int | None, expected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_search, "usable_cores", lambda: cores)
    assert SearchSettings(threads=threads).thread_counts() == expected


def test_branches_are_costly_operators_that_do_not_depend_on_one_another() -> None:
    assert not has_branches(_graph_of("MatMul", "Relu", "MatMul", joined=False))
    assert has_branches(_graph_of("MatMul", "MatMul", joined=True))
    assert not has_branches(_graph_of("MatMul", "Relu", joined=True))


def _graph_of(*operators: str, joined: bool) -> bytes:
    """Operators in a chain, or on one input and added up."""
    shape = onnx.TensorProto.FLOAT, [2, 2]
    nodes, former = [], "image"
    for index, operator in enumerate(operators):
        inputs = [former, "image"] if operator == "MatMul" else [former]
        nodes.append(onnx.helper.make_node(operator, inputs, [f"{index}"]))
        former = "image" if joined else f"{index}"
    if joined:
        nodes.append(onnx.helper.make_node("Sum", [f"{index}" for index in range(len(operators))], ["sum"]))
    given, got = (onnx.helper.make_tensor_value_info(name, *shape) for name in ("image", nodes[-1].output[0]))
    return bytes(
        onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", [given], [got])).SerializeToString()
    )
