"""The Triton model repository, read back with Triton's own definition of its configuration."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from tests.conftest import run_command
from vision_zoo.artifact.metadata import Metadata
from vision_zoo.core import atomic
from vision_zoo.core.errors import StorageError
from vision_zoo.serving.session import Session
from vision_zoo.serving.triton import MAX_BATCH_SIZE, config, write_model


def _parsed(text: str) -> model_config_pb2.ModelConfig:
    return text_format.Parse(text, model_config_pb2.ModelConfig())


@pytest.fixture(scope="module")
def metadata(exported_model: Path) -> Metadata:
    return Session(exported_model, provider="cpu").metadata


def test_triton_reads_the_shapes_and_types_of_the_artifact(metadata: Metadata) -> None:
    parsed = _parsed(config("digits", metadata))
    assert parsed.name == "digits"
    assert parsed.platform == "onnxruntime_onnx"
    assert parsed.max_batch_size == MAX_BATCH_SIZE
    (image,) = parsed.input
    assert (image.name, list(image.dims)) == ("image", [28, 28, 1])
    assert image.data_type == model_config_pb2.TYPE_UINT8
    assert [(output.name, list(output.dims)) for output in parsed.output] == [
        ("logits", [10]),
        ("probabilities", [10]),
    ]
    assert {output.data_type for output in parsed.output} == {model_config_pb2.TYPE_FP32}
    assert parsed.HasField("dynamic_batching")
    assert parsed.dynamic_batching.max_queue_delay_microseconds > 0


def test_embeddings_are_an_output_without_labels(metadata: Metadata) -> None:
    *_, embeddings = _parsed(config("digits", replace(metadata, embeddings=128))).output
    assert (embeddings.name, list(embeddings.dims), embeddings.label_filename) == ("embeddings", [128], "")


def test_a_repository_has_what_triton_looks_for(
    exported_model: Path, metadata: Metadata, tmp_path: Path
) -> None:
    content = exported_model.read_bytes()
    folder = write_model(tmp_path / "models", "digits", content, metadata)
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == {
        "1/model.onnx",
        "config.pbtxt",
        "labels.txt",
    }
    assert (folder / "labels.txt").read_text().splitlines() == list(metadata.labels)
    for output in _parsed((folder / "config.pbtxt").read_text()).output:
        assert (folder / output.label_filename).is_file()
    session = Session(folder / "1" / "model.onnx", provider="cpu")
    batch = np.zeros((MAX_BATCH_SIZE, *metadata.input.shape), dtype=np.uint8)
    assert session.predict(batch).logits.shape == (MAX_BATCH_SIZE, 10)


def test_a_model_is_added_from_the_command_line(exported_model: Path, tmp_path: Path) -> None:
    done = run_command("export", exported_model, "--triton", "models", cwd=tmp_path)
    assert done.code == 0, done.stderr
    assert _parsed((tmp_path / "models" / exported_model.stem / "config.pbtxt").read_text()).name == (
        exported_model.stem
    )


def test_a_repository_that_cannot_be_written_is_one_line(
    exported_model: Path, metadata: Metadata, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="is a file, not a folder"):
        write_model(tmp_path / "file", "digits", exported_model.read_bytes(), metadata)


def test_a_full_disk_leaves_no_model_without_a_file(
    metadata: Metadata, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_contents: object) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr(atomic, "write_together", full)
    with pytest.raises(StorageError):
        write_model(tmp_path, "digits", b"model", metadata)
    assert not list(tmp_path.iterdir())
