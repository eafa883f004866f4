"""What a user gets from a folder of a few pictures a class, and what an audit finds: documents of `results/`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from vision_zoo.core.environment import Environment


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderComparison:
    """One `vision-zoo compare` on a folder, whose pictures `draw` chose; `repeat` counts the runs on the same folder.

    Times are in seconds: `seconds` of the whole command, `first_answer_seconds` until it named a first usable file, which
    is None where it named none. Accuracies are fractions: `new_accuracy` is that of the recommended file on `new_images`
    pictures that are not in the folder, `test_accuracy` that on the pictures that the comparison itself held out. Models
    are named by their architectures; `left_out` says why.
    """

    draw: int
    repeat: int
    budget_seconds: float
    seconds: float
    cpu_seconds: float
    first_answer_seconds: float | None
    first_answer_accuracy: float | None
    recommended: str | None
    as_good: Sequence[str]
    test_accuracy: float | None
    new_accuracy: float | None
    new_images: int
    front: Sequence[str]
    measured: Sequence[str]
    left_out: Mapping[str, str]
    warning: str | None

    @property
    def budget_fraction(self) -> float:
        """How much of the budget the command took."""
        return self.seconds / self.budget_seconds

    def agrees_with(self, other: "FolderComparison") -> bool:
        """Whether both recommend the same model, or one says that the images do not tell the two apart."""
        return (
            self.recommended == other.recommended
            or other.recommended in self.as_good
            or self.recommended in other.as_good
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnFolderResult:
    """Comparisons by part of the benchmark. Weights of ImageNet flatter on Imagenette, which is a part of ImageNet."""

    schema: Literal[2] = 2
    kind: Literal["own_folder"] = "own_folder"
    environment: Environment
    comparisons: Mapping[str, Sequence[FolderComparison]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnusualFolder:
    """One `vision-zoo compare` on a folder of `pictures` in `classes` that is unlike most: a model or a refusal.

    `refusal` is the command's last line where it ended with an error. Accuracies are fractions as those of
    `FolderComparison`, `seconds` are of the whole command.
    """

    name: str
    pictures: int
    classes: int
    seconds: float
    recommended: str | None = None
    test_accuracy: float | None = None
    new_accuracy: float | None = None
    new_images: int = 0
    warning: str | None = None
    refusal: str | None = None


@dataclass(frozen=True, kw_only=True)
class UnusualFoldersResult:
    """A row for every folder."""

    schema: Literal[2] = 2
    kind: Literal["own_folder_unusual"] = "own_folder_unusual"
    environment: Environment
    rows: Sequence[UnusualFolder] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditMeasurement:
    """What an audit of a folder of `pictures` found of the `planted` defects of one kind.

    `listed` pictures were named. For label errors, `precision` and `recall` are of the first `planted` that are listed.
    For near duplicates, `precision` is of all, and `false_fraction` is of the pictures that have no copy.
    """

    dataset: str
    defect: Literal["label errors", "near duplicates"]
    seed: int
    pictures: int
    planted: int = 0
    listed: int = 0
    precision: float = 0.0
    recall: float = 0.0
    recall_by_kind: Mapping[str, float] | None = None
    false_fraction: float | None = None
    agreement: float | None = None
    seconds: float = 0.0
    cpu_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnFolderAuditResult:
    """How much audits of folders of pictures find."""

    schema: Literal[2] = 2
    kind: Literal["own-folder-audit"] = "own-folder-audit"
    environment: Environment
    rows: Sequence[AuditMeasurement] = ()


@dataclass(frozen=True, kw_only=True)
class Run:
    """A training run: `accuracy` is a fraction of the test images, `cpu_seconds` are of its training steps."""

    folder: str
    architecture: str
    option: str
    seed: int
    accuracy: float
    cpu_seconds: float

    @property
    def place(self) -> tuple[str, str, int]:
        """What it shares with the run that it is compared with."""
        return self.folder, self.architecture, self.seed


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Accuracy with an option minus that without, in points: its mean over `runs` pairs and 95 % interval."""

    folder: str
    option: str
    runs: int
    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class OptionsResult:
    """The results file."""

    schema: Literal[2] = 2
    kind: Literal["own_folder_options"] = "own_folder_options"
    environment: Environment
    runs: list[Run] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class StudentRun(Run):
    """A run of the student of so many `stages` on images of `side` pixels; `int8_accuracy` is that of 8-bit integers."""

    side: int
    stages: int = 4
    int8_accuracy: float | None = None


@dataclass(frozen=True, kw_only=True)
class Student:
    """A student's size, the median milliseconds of one image on one core, and what its teacher adds on each folder."""

    stages: int
    side: int
    milliseconds: float | None = None
    int8_milliseconds: float | None = None
    differences: list[Difference] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class DistillationResult:
    """The results file: `teachers` are accuracies by folder, `teacher_milliseconds` is the teacher's median latency."""

    schema: Literal[2] = 2
    kind: Literal["own_folder_distillation"] = "own_folder_distillation"
    environment: Environment
    teachers: dict[str, float] = field(default_factory=dict)
    teacher_milliseconds: float | None = None
    students: list[Student] = field(default_factory=list)
    runs: list[StudentRun] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneMeasurement:
    """A pretrained network in single precision and in 8-bit integers, on the same `images`.

    Accuracies are fractions, `only_fp32_right` and `only_int8_right` numbers of images; milliseconds are medians of one
    image on one thread.
    """

    name: str
    images: int
    fp32_accuracy: float
    int8_accuracy: float
    only_fp32_right: int
    only_int8_right: int
    fp32_milliseconds: float
    int8_milliseconds: float
    fp32_mib: float
    int8_mib: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BackbonesResult:
    """What 8-bit integers cost and gain; `vnni` says whether the processor has instructions for them."""

    schema: Literal[2] = 2
    kind: Literal["own_folder_backbones"] = "own_folder_backbones"
    environment: Environment
    vnni: bool
    rows: Sequence[BackboneMeasurement] = ()
