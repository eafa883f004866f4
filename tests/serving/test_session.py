import os
import threading
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.serving.hostile_models import with_metadata
from vision_zoo.artifact import manifest
from vision_zoo.core.errors import DeviceError, ModelError, UnknownNameError, UsageError
from vision_zoo.core.progress import SilentProgress
from vision_zoo.data.dataset import Splits
from vision_zoo.serving.evaluate import evaluate
from vision_zoo.serving.models import find_model, find_models, list_models
from vision_zoo.serving.providers import check_running, execution_providers
from vision_zoo.serving.session import Prediction, Session
from vision_zoo.training.run_directory import RunDirectory

PACKAGE = ROOT / "vision_zoo"


@pytest.fixture(scope="module")
def session(exported_model: Path) -> Session:
    return Session(exported_model, provider="cpu")


def test_a_session_knows_its_model(session: Session, exported_model: Path) -> None:
    assert session.name == "simple_cnn-mnist_5k"
    assert session.provider == "CPUExecutionProvider"
    assert session.metadata.labels == tuple("0123456789")
    assert session.size == exported_model.stat().st_size


def test_predictions_are_probabilities(session: Session, mnist_5k: Splits) -> None:
    prediction = session.predict(np.array(mnist_5k.test.images[:9]))
    assert prediction.logits.shape == prediction.probabilities.shape == (9, 10)
    np.testing.assert_allclose(prediction.probabilities.sum(axis=1), 1, atol=1e-5)
    assert np.array_equal(prediction.classes, prediction.logits.argmax(axis=1))


@pytest.mark.parametrize("batch_size", [1, 4, 9, 256])
def test_any_number_of_images_is_predicted_in_batches(
    session: Session, mnist_5k: Splits, batch_size: int
) -> None:
    images = np.asarray(mnist_5k.test.images[:18:2])
    every_other = np.asarray(mnist_5k.test.images[:18])[::2]  # not contiguous
    expected = session.predict(np.ascontiguousarray(images))
    found = session.predict_all(every_other, batch_size=batch_size)
    np.testing.assert_allclose(found.logits, expected.logits, rtol=1e-4, atol=1e-4)
    assert np.array_equal(found.classes, expected.classes)


def test_no_images_and_no_batch_size_are_refused(session: Session) -> None:
    with pytest.raises(UsageError, match="batch of 1 or more"):
        session.predict_all(np.zeros((0, 28, 28, 1), dtype=np.uint8))
    with pytest.raises(UsageError, match="batch size 0 is out of range"):
        session.predict_all(np.zeros((1, 28, 28, 1), dtype=np.uint8), batch_size=0)


def test_labels_are_ranked_by_probability_and_equal_ones_by_their_order() -> None:
    probabilities = np.array([[0.25, 0.5, 0.25], [0.1, 0.2, 0.7]], dtype=np.float32)
    prediction = Prediction(np.log(probabilities), probabilities)
    assert prediction.top().tolist() == [[1, 0, 2], [2, 1, 0]]
    assert prediction.top(2).tolist() == [[1, 0], [2, 1]]
    first, second = prediction.labelled(("a", "b", "c"), 2)
    assert first == (("b", 0.5), ("a", 0.25))
    assert [label for label, _ in second] == ["c", "b"]


def test_sessions_of_onnx_runtime_are_made_in_one_place() -> None:
    made_in = {path.name for path in PACKAGE.rglob("*.py") if "InferenceSession(" in path.read_text()}
    assert made_in == {"onnx_runtime.py"}


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((0, 28, 28, 1), dtype=np.uint8),
        np.zeros((1, 28, 28, 1), dtype=np.float32),
        np.full((1, 28, 28, 1), np.nan),
        np.zeros((1, 28, 28), dtype=np.uint8),
        np.zeros((1, 28, 28, 3), dtype=np.uint8),
        np.zeros((28, 28, 1), dtype=np.uint8),
    ],
    ids=lambda images: f"{images.dtype} {images.shape}",
)
def test_other_arrays_are_refused(session: Session, images: np.ndarray) -> None:
    with pytest.raises(UsageError, match="takes uint8 images"):
        session.predict(images)


def test_one_session_serves_many_threads(session: Session, mnist_5k: Splits) -> None:
    images = np.array(mnist_5k.test.images[:64])
    expected = session.predict(images).logits
    results: list[bool] = []

    def work() -> None:
        results.extend(np.array_equal(session.predict(images).logits, expected) for _ in range(20))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 80


def test_evaluation_counts_every_image(session: Session, mnist_5k: Splits) -> None:
    test = mnist_5k.test
    score = evaluate(session, test.images, test.labels, session.metadata.labels, SilentProgress())
    assert score.images == score.confusion_matrix.sum() == 1000
    assert score.accuracy == pytest.approx(session.metadata.test_accuracy)
    assert score.confusion_matrix.sum(axis=1).tolist() == [100] * 10


def test_evaluation_gives_the_metrics_of_the_run(
    session: Session, mnist_5k: Splits, finished_run: Path
) -> None:
    test = mnist_5k.test
    score = evaluate(session, test.images, test.labels, session.metadata.labels, SilentProgress())
    metrics = RunDirectory.open(finished_run).metrics()
    assert score.classes == tuple(metrics.classes)
    assert score.top_5_accuracy == metrics.test_top_5_accuracy
    assert [one.support for one in score.classes] == [100] * 10
    assert metrics.test_top_5_accuracy is not None
    assert metrics.test_accuracy < metrics.test_top_5_accuracy <= 1


def test_an_unknown_provider_is_refused() -> None:
    with pytest.raises(UsageError, match="expected one of auto, cpu, cuda, tensorrt"):
        execution_providers("tpu")


def test_a_silent_fallback_is_refused() -> None:
    with pytest.raises(DeviceError, match="fell back to CPUExecutionProvider"):
        check_running("cuda", ["CPUExecutionProvider"])
    check_running("auto", ["CPUExecutionProvider"])


def test_models_are_found_by_name_file_name_and_path(exported_model: Path) -> None:
    folder = exported_model.parent
    for model in (exported_model.stem, exported_model.name, str(exported_model)):
        assert find_model(model, folder) == exported_model
    assert find_models([], folder) == [exported_model]
    assert list_models(folder) == {exported_model.stem: exported_model}


def test_the_shipped_models_are_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "simple_cnn-mnist" in list_models()


def test_the_working_folders_models_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exported_model: Path
) -> None:
    (tmp_path / "exported").mkdir()
    (tmp_path / "exported" / "simple_cnn-mnist.onnx").write_bytes(exported_model.read_bytes())
    monkeypatch.chdir(tmp_path)
    assert list_models()["simple_cnn-mnist"] == Path("exported/simple_cnn-mnist.onnx")


def test_no_models_are_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="train one and export it"):
        find_models([], tmp_path)
    with pytest.raises(UnknownNameError, match="vision-zoo export RUN"):
        find_model("anything", tmp_path)


def test_external_data_outside_the_file_is_refused(exported_model: Path, tmp_path: Path) -> None:
    import onnx

    model = onnx.load(exported_model)
    onnx.save(
        model, tmp_path / "model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0
    )
    with pytest.raises(ModelError, match="not an ONNX file that ONNX Runtime can load"):
        Session(tmp_path / "model.onnx", provider="cpu")


@pytest.mark.skipif(os.name == "nt", reason="pipes and devices that have a path")
def test_pipes_devices_and_enormous_files_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.onnx")
    (tmp_path / "device.onnx").symlink_to("/dev/zero")
    with (tmp_path / "huge.onnx").open("wb") as huge:
        huge.truncate(2**40)
    for name, says in (
        ("pipe", "Not a regular"),
        ("device", "Not a regular"),
        ("huge", "more than 536,870,912"),
    ):
        with pytest.raises(ModelError, match=says):
            Session(tmp_path / f"{name}.onnx", provider="cpu")


def test_a_model_can_be_loaded_while_it_is_published_again_and_again(
    exported_model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "m.onnx"
    contents = [with_metadata(exported_model, dataset=str(number)) for number in range(20)]
    manifest.publish(path, contents[0])
    done = threading.Event()

    def publish() -> None:
        for content in contents:
            if not done.is_set():
                manifest.publish(path, content)

    publishing = threading.Thread(target=publish)
    publishing.start()
    try:
        for _ in range(20):
            assert Session(path, provider="cpu").verified
    finally:
        done.set()
        publishing.join()
