"""What a user gets from a folder of a few pictures: comparisons, training options and audits."""

from statistics import mean
from typing import Any

from scripts.figures.sources import Results, read_as, versions
from vision_zoo.core.own_folder_result import (
    AuditMeasurement,
    BackboneMeasurement,
    BackbonesResult,
    Difference,
    DistillationResult,
    FolderComparison,
    OptionsResult,
    OwnFolderResult,
    Student,
    UnusualFolder,
    UnusualFoldersResult,
)
from vision_zoo.core.own_folder_result import OwnFolderAuditResult as AuditResult
from vision_zoo.core.tables import markdown

_FLATTERED = (
    "Imagenette is a part of ImageNet, on which the weights of `efficientnet_lite0` and `alexnet_finetuned` "
    "were trained: results with them are too good there."
)


def comparisons(results: Results) -> str:
    """A row for every comparison of a folder."""
    parts = []
    for document in read_as(results, "own_folder", OwnFolderResult):
        rows = [_compared(part, run) for part, runs in document.comparisons.items() for run in runs]
        where = f"Measured on {document.environment.description}; {versions(document.environment)}."
        parts += [markdown(rows), f"{_FLATTERED} {where}"]
    return "\n\n".join(parts)


def _compared(part: str, run: FolderComparison) -> dict[str, Any]:
    first = run.first_answer_seconds
    return {
        "folder and budget": part,
        "draw": run.draw if run.repeat == 0 else f"{run.draw}, repeated",
        "recommended": f"`{run.recommended}`",
        "held-out accuracy": None if run.test_accuracy is None else f"{run.test_accuracy:.1%}",
        "accuracy on new images": None if run.new_accuracy is None else f"{run.new_accuracy:.1%}",
        "n": run.new_images,
        "seconds": f"{run.seconds:.0f}",
        "first model, s": None if first is None else f"{first:.0f}",
        "architectures measured": len(run.measured),
        "left out": len(run.left_out),
    }


def unusual(results: Results) -> str:
    """A row for every unusual folder."""
    parts = []
    for document in read_as(results, "own_folder_unusual", UnusualFoldersResult):
        rows = [_unusual(row) for row in document.rows]
        where = f"Measured on {document.environment.description}; {versions(document.environment)}."
        parts += [markdown(rows), f"{_FLATTERED} {where}"]
    return "\n\n".join(parts) or "Not measured yet."


def _unusual(row: UnusualFolder) -> dict[str, Any]:
    return {
        "folder": row.name,
        "files": f"{row.pictures:,}",
        "classes": row.classes,
        "recommended": None if row.recommended is None else f"`{row.recommended}`",
        "held-out accuracy": None if row.test_accuracy is None else f"{row.test_accuracy:.1%}",
        "accuracy on new images": None if row.new_accuracy is None else f"{row.new_accuracy:.1%}",
        "n": row.new_images or None,
        "seconds": f"{row.seconds:.0f}",
        "message": row.refusal or row.warning,
    }


def options(results: Results) -> str:
    """A row for every training option: the difference that it makes on each folder."""
    parts = []
    for document in read_as(results, "own_folder_options", OptionsResult):
        differences = document.differences
        folders = list(dict.fromkeys(found.folder for found in differences))
        rows = [
            {
                "option": option,
                **{
                    folder: next(
                        (
                            _points(found)
                            for found in differences
                            if (found.option, found.folder) == (option, folder)
                        ),
                        None,
                    )
                    for folder in folders
                },
            }
            for option in dict.fromkeys(found.option for found in differences)
        ]
        where = (
            f"Measured on {document.environment.description}; {versions(document.environment, ('torch',))}."
        )
        parts += [markdown(rows), where]
    return "\n\n".join(parts)


def _points(found: Difference) -> str:
    interval = "" if found.low is None else f" ({found.low:+.1f} to {found.high:+.1f})"
    return f"{found.mean:+.2f}{interval}, n = {found.runs}"


def distillation(results: Results) -> str:
    """A row for every student and folder: its accuracy without and with a teacher, and then in 8-bit integers."""
    parts = []
    for document in read_as(results, "own_folder_distillation", DistillationResult):
        rows = [
            _distilled(student, found, document)
            for student in document.students
            for found in student.differences
        ]
        times = f"Median latency of the teacher, one image on one core: {document.teacher_milliseconds or 0:.2f} ms."
        where = (
            f"Measured on {document.environment.description}; {versions(document.environment, ('torch',))}."
        )
        parts += [markdown(rows), f"{_FLATTERED} {times} {where}"]
    return "\n\n".join(parts) or "Not measured yet."


def _distilled(student: Student, found: Difference, document: DistillationResult) -> dict[str, Any]:
    runs = [
        run
        for run in document.runs
        if (run.stages, run.side, run.folder) == (student.stages, student.side, found.folder)
    ]
    plain = [run.accuracy for run in runs if run.option == "none"]
    taught = [run.accuracy for run in runs if run.option == found.option]
    in_int8 = [run.int8_accuracy for run in runs if run.int8_accuracy is not None]
    teacher = document.teachers[found.folder]
    return {
        "folder": found.folder,
        "stages": student.stages,
        "image size": student.side,
        "teacher": f"{teacher:.1%}",
        "without": f"{mean(plain):.1%}",
        "with `--distil`": f"{mean(taught):.1%}",
        "difference": _points(found),
        "behind the teacher": f"{100 * (teacher - mean(taught)):.1f}",
        "ms": _milliseconds(student.milliseconds),
        "in int8": f"{mean(in_int8):.1%}" if in_int8 else None,
        "behind, in int8": f"{100 * (teacher - mean(in_int8)):.1f}" if in_int8 else None,
        "ms, in int8": _milliseconds(student.int8_milliseconds),
    }


def _milliseconds(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}"


def backbones(results: Results) -> str:
    """A row for every pretrained network: accuracy and latency in single precision and in 8-bit integers."""
    parts = []
    for document in read_as(results, "own_folder_backbones", BackbonesResult):
        instructions = "with VNNI and 8-bit weights" if document.vnni else "without VNNI, with 7-bit weights"
        where = (
            f"Measured on {document.environment.description}, {instructions}; "
            f"{versions(document.environment)}."
        )
        parts += [markdown([_quantised(row) for row in document.rows]), where]
    return "\n\n".join(parts) or "Not measured yet."


def _quantised(row: BackboneMeasurement) -> dict[str, Any]:
    points = 100 * (row.int8_accuracy - row.fp32_accuracy)
    return {
        "network": row.name,
        "images": row.images,
        "fp32": f"{row.fp32_accuracy:.1%}",
        "int8": f"{row.int8_accuracy:.1%}",
        "difference, points": f"{points:+.1f}",
        "only one right": f"{row.only_fp32_right} fp32, {row.only_int8_right} int8",
        "fp32, ms": f"{row.fp32_milliseconds:.2f}",
        "int8, ms": f"{row.int8_milliseconds:.2f}",
        "speed-up": f"{row.fp32_milliseconds / row.int8_milliseconds:.2f}x",
        "fp32, MiB": f"{row.fp32_mib:.1f}",
        "int8, MiB": f"{row.int8_mib:.1f}",
    }


def audits(results: Results) -> str:
    """A row for every folder with planted defects."""
    parts = []
    for document in read_as(results, "own-folder-audit", AuditResult):
        where = (
            f"Measured on {document.environment.description}; {versions(document.environment, ('torch',))}."
        )
        parts += [markdown([_audited(row) for row in document.rows]), f"{_FLATTERED} {where}"]
    return "\n\n".join(parts)


def _audited(row: AuditMeasurement) -> dict[str, Any]:
    return {
        "dataset": row.dataset,
        "planted defects": row.defect,
        "seed": row.seed,
        "images": row.pictures,
        "n": row.planted,
        "precision": f"{row.precision:.1%}",
        "recall": f"{row.recall:.1%}",
        "false positives": None if row.false_fraction is None else f"{row.false_fraction:.1%}",
        "seconds": f"{row.seconds:.0f}",
    }
