"""What a run recorded of its data is damaged, or missing as in earlier versions."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from tests.training.runs import CLASSES
from vision_zoo.core.errors import RunError, VisionZooError
from vision_zoo.exporting.export import export_onnx
from vision_zoo.training.run_data import load_for_run
from vision_zoo.training.run_directory import RunDirectory


def _without_record(run: Path, tmp_path: Path) -> Path:
    old = shutil.copytree(run, tmp_path / "old run")
    (old / "labels.json").unlink()
    (old / "split.csv").unlink()
    return old


def test_a_run_of_an_earlier_version_is_compared_by_its_hash(
    plain: tuple[Path, Path], split: tuple[Path, Path], tmp_path: Path
) -> None:
    for folder, run in (plain, split):
        place = tmp_path / folder.name
        copy = shutil.copytree(folder, place / "copy")
        old = RunDirectory.open(_without_record(run, place))
        named = f"folder:{copy}"
        for sha256 in (None, _former_hash(folder)):
            if sha256 is not None:
                environment = json.loads(old.environment_file.read_text())
                environment["data"]["sha256"] = sha256
                old.environment_file.write_text(json.dumps(environment))
            dataset, _ = load_for_run(old, old.recipe(), data_dir=None, dataset=named)
            assert dataset.labels == CLASSES
        (next(copy.rglob("fish"))).rename(copy / "zebrafish")
        with pytest.raises(VisionZooError):
            load_for_run(old, old.recipe(), data_dir=None, dataset=named)


def _former_hash(folder: Path) -> str:
    """As the version before split.csv computed it."""
    names = (
        {"": folder}
        if not (folder / "train").is_dir()
        else {name: folder / name for name in ("test", "train")}
    )
    digest, lines = hashlib.sha256(), []
    for name, root in names.items():
        for path in sorted(root.rglob("*.png")):
            digest.update(hashlib.sha256(path.read_bytes()).digest())
            lines.append(f"{name or 'train'}/{path.relative_to(root).as_posix()}")
    written = (
        "InputFormat(channels=3, height=16, width=16, crop='center', centring='none', polarity='any', "
        "resample='bilinear')"
    )
    text = "\n".join([digest.hexdigest(), written, *lines])
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_built_in_dataset_of_another_copy_is_refused(finished_run: Path, tmp_path: Path) -> None:
    old = _without_record(finished_run, tmp_path)
    for run in (old, shutil.copytree(finished_run, tmp_path / "run")):
        environment = json.loads((run / "environment.json").read_text())
        environment["data"]["sha256"] = "0" * 64
        (run / "environment.json").write_text(json.dumps(environment))
        with pytest.raises(RunError, match=r"mnist-5k is not what .* was trained on: .* --data-dir"):
            export_onnx(run, tmp_path / "models")
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels.json", None),
        ("split.csv", None),
        ("labels.json", b"{}"),
        ("labels.json", b"[1]"),
        ("split.csv", b"a,b\n1,2\n"),
        ("split.csv", b"split,file,label,sha256\ntrain,x\n"),
        ("split.csv", b"\xff\xfe"),
        ("split.csv", b""),
    ],
)
def test_a_damaged_record_is_one_line(
    plain: tuple[Path, Path], tmp_path: Path, name: str, content: bytes | None
) -> None:
    run = shutil.copytree(plain[1], tmp_path / "run")
    (run / name).unlink()
    if content is not None:
        (run / name).write_bytes(content)
    with pytest.raises(RunError, match=r"(labels.json|split.csv) is (missing|damaged|missing or damaged)"):
        export_onnx(run, tmp_path / "models")
