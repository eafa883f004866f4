import json
from dataclasses import dataclass, replace

import pytest

from vision_zoo.artifact.calibration import Calibration
from vision_zoo.artifact.metadata import METADATA_KEY, Metadata, check_signature, metadata_of
from vision_zoo.artifact.session_options import TunedOptions
from vision_zoo.core.errors import ModelError
from vision_zoo.images.preprocess import InputFormat

METADATA = Metadata(
    recipe="r",
    architecture="a",
    dataset="d",
    labels=("cat", "dog"),
    input=InputFormat(channels=3, height=8, width=8),
    precision="fp32",
    opset=18,
    parameters=10,
    macs=20,
    test_accuracy=0.5,
    test_images=4,
    data_variant="original",
)

CALIBRATION = {
    "calibrated_on": "validation split",
    "images": 400,
    "temperature": 1.5,
    "set_thresholds": {"90": 0.5, "99": 0.01},
}

OPTIONS = {
    "threads": 2,
    "optimization": "extended",
    "spinning": True,
    "parallel": False,
    "batch_sizes": [1, 8],
    "machine": "x86_64",
    "instructions": ["avx2"],
    "cores": 2,
}


@dataclass
class Tensor:
    name: str
    type: str
    shape: list[int | str | None]


IMAGE = Tensor("image", "tensor(uint8)", ["batch", 8, 8, 3])
LOGITS = Tensor("logits", "tensor(float)", ["batch", 2])
PROBABILITIES = Tensor("probabilities", "tensor(float)", ["batch", 2])


def test_metadata_survives_the_file() -> None:
    assert metadata_of({METADATA_KEY: METADATA.to_json()}, name="m") == METADATA


def test_a_calibration_survives_and_files_without_one_stay_as_they_were() -> None:
    assert "calibration" not in json.loads(METADATA.to_json())
    value = json.loads(METADATA.to_json()) | {"calibration": CALIBRATION}
    metadata = metadata_of({METADATA_KEY: json.dumps(value)}, name="m")
    assert metadata.calibration == Calibration(**CALIBRATION)  # type: ignore[arg-type]
    assert json.loads(metadata.to_json()) == value


def test_session_options_survive_and_files_without_them_stay_as_they_were() -> None:
    assert not {"session_options", "full_range"} & json.loads(METADATA.to_json()).keys()
    value = json.loads(METADATA.to_json()) | {"session_options": OPTIONS, "full_range": True}
    metadata = metadata_of({METADATA_KEY: json.dumps(value)}, name="m")
    assert metadata.session_options == TunedOptions(
        threads=2,
        optimization="extended",
        spinning=True,
        batch_sizes=(1, 8),
        machine="x86_64",
        instructions=("avx2",),
        cores=2,
    )
    assert json.loads(metadata.to_json()) == value


def test_keys_of_published_files_stay() -> None:
    metadata = replace(METADATA, ood_energy_threshold=-3.0)
    value = json.loads(metadata.to_json())
    assert value["familiar_energy"] == metadata.to_dict()["familiar_energy"] == -3.0
    assert "ood_energy_threshold" not in value
    assert metadata_of({METADATA_KEY: metadata.to_json()}, name="m") == metadata


def test_fields_of_a_later_version_are_ignored() -> None:
    value = json.loads(METADATA.to_json()) | {"something_new": 1}
    assert metadata_of({METADATA_KEY: json.dumps(value)}, name="m") == METADATA


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"schema": 99}, "schema 99"),
        ({"labels": []}, "no labels"),
        ({"labels": ["cat", "cat"]}, "same label twice"),
        ({"labels": "cat"}, "incomplete metadata"),
        ({"input": {"channels": 2, "height": 8, "width": 8}}, "channels must be 1"),
        ({"input": {"channels": 1, "height": 0, "width": 8}}, "height must be a positive"),
        ({"input": None}, "incomplete metadata"),
        ({"recipe": ...}, "incomplete metadata"),
        ({"recipe": 3}, "incomplete metadata"),
        ({"calibration": CALIBRATION | {"temperature": 0.0}}, "temperature must be above 0"),
        ({"calibration": CALIBRATION | {"set_thresholds": {"x": 0.5}}}, "incomplete metadata"),
        ({"calibration": CALIBRATION | {"set_thresholds": {"100": 0.5}}}, "between 0 and 100"),
        ({"session_options": OPTIONS | {"threads": 0}}, "threads must be from 1 to 256"),
        ({"session_options": OPTIONS | {"optimization": "most"}}, "incomplete metadata"),
        ({"test_accuracy": None}, "incomplete metadata"),
        ({"labels": ["cat", 3]}, "incomplete metadata"),
        ({"labels": ["cat", ""]}, "empty label"),
        ({"labels": ["cat", "\ud800"]}, "not a single line"),
        ({"labels": ["cat", "a\nb"]}, "not a single line"),
        ({"labels": ["cat", "a\u2028b"]}, "not a single line"),
        ({"labels": ["cat", "x" * 1001]}, "not a single line"),
        ({"labels": [str(number) for number in range(65_537)]}, "65537 labels, expected at most"),
        ({"dataset": "\udcff"}, "not a single line"),
        ({"versions": {"a\0": "1"}}, "not a single line"),
        ({"test_accuracy": float("nan")}, "nan is not a number"),
        ({"parameters": 2**63}, "too large"),
        ({"input": {"channels": True, "height": 8, "width": 8}}, "Expected `int`, got `bool`"),
    ],
    ids=lambda value: ascii(value)[:60],
)
def test_unusable_metadata_is_refused(change: dict[str, object], says: str) -> None:
    value = json.loads(METADATA.to_json()) | change
    value = {key: entry for key, entry in value.items() if entry is not ...}
    with pytest.raises(ModelError, match=says):
        metadata_of({METADATA_KEY: json.dumps(value)}, name="m")


@pytest.mark.parametrize("text", ["", "[]", "{", "null", "3"])
def test_metadata_that_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(ModelError, match="unreadable"):
        metadata_of({METADATA_KEY: text}, name="m")


def test_the_contract_is_accepted() -> None:
    check_signature([IMAGE], [LOGITS, PROBABILITIES], METADATA, name="m")


def test_embeddings_are_an_output_where_the_metadata_says_so() -> None:
    metadata = replace(METADATA, embeddings=5)
    assert metadata_of({METADATA_KEY: metadata.to_json()}, name="m") == metadata
    assert "embeddings" not in json.loads(METADATA.to_json())
    embeddings = Tensor("embeddings", "tensor(float)", ["batch", 5])
    check_signature([IMAGE], [LOGITS, PROBABILITIES, embeddings], metadata, name="m")
    for outputs, told in (
        ([LOGITS, PROBABILITIES], metadata),
        ([LOGITS, PROBABILITIES, embeddings], METADATA),
        ([LOGITS, PROBABILITIES, embeddings], replace(METADATA, embeddings=6)),
    ):
        with pytest.raises(ModelError, match="has inputs and outputs"):
            check_signature([IMAGE], outputs, told, name="m")


@pytest.mark.parametrize(
    ("inputs", "outputs", "says"),
    [
        ([IMAGE], [LOGITS], "has inputs and outputs"),
        (
            [Tensor("x", "tensor(uint8)", ["batch", 8, 8, 3])],
            [LOGITS, PROBABILITIES],
            "has inputs and outputs",
        ),
        (
            [Tensor("image", "tensor(float)", ["batch", 8, 8, 3])],
            [LOGITS, PROBABILITIES],
            "has inputs and outputs",
        ),
        (
            [Tensor("image", "tensor(uint8)", ["batch", 8, 8, 1])],
            [LOGITS, PROBABILITIES],
            "has inputs and outputs",
        ),
        ([Tensor("image", "tensor(uint8)", [1, 8, 8, 3])], [LOGITS, PROBABILITIES], "fixed batch size of 1"),
        ([], [IMAGE, LOGITS, PROBABILITIES], "has inputs and outputs"),
    ],
)
def test_another_signature_is_refused(inputs: list[Tensor], outputs: list[Tensor], says: str) -> None:
    with pytest.raises(ModelError, match=says):
        check_signature(inputs, outputs, METADATA, name="m")
