"""The measurement of distillation: students keep their latencies, and the table compares the runs of one student."""

import json
from dataclasses import asdict

import pytest

from benchmarks.own_folder.distillation import DISTIL, with_run
from benchmarks.own_folder.options import BASE
from scripts.figures.own_folder import distillation
from vision_zoo.core.environment import describe
from vision_zoo.core.own_folder_result import DistillationResult, Student, StudentRun


def _run(option: str, side: int, accuracy: float, int8_accuracy: float | None = None) -> StudentRun:
    return StudentRun(
        folder="f",
        architecture="a",
        option=option,
        stages=4,
        side=side,
        seed=0,
        accuracy=accuracy,
        int8_accuracy=int8_accuracy,
        cpu_seconds=1.0,
    )


def test_a_student_is_compared_with_itself_and_with_its_teacher() -> None:
    measured = Student(stages=4, side=48, milliseconds=0.4, int8_milliseconds=0.2)
    result = DistillationResult(environment=describe(), students=[measured])
    for run in (
        _run(BASE, 48, 0.5),
        _run(DISTIL, 48, 0.55, 0.54),
        _run(BASE, 96, 0.6),
        _run(DISTIL, 96, 0.7),
    ):
        result = with_run(result, run, 0.8)
    assert [one.differences[0].mean for one in result.students] == pytest.approx([5.0, 10.0])
    document = json.loads(json.dumps(asdict(result)))
    lines = [line.split("|") for line in distillation({"machine": document}).splitlines()]
    heads = [cell.strip() for cell in lines[0]]
    small, large = (dict(zip(heads, (cell.strip() for cell in line), strict=True)) for line in lines[2:4])
    assert [small[name] for name in ("ms", "ms, in int8", "in int8", "behind, in int8")] == [
        "0.40",
        "0.20",
        "54.0%",
        "26.0",
    ]
    assert (small["behind the teacher"], large["behind the teacher"]) == ("25.0", "10.0")
    assert large["without"] == "60.0%"
    assert large["in int8"] in ("", "–")
