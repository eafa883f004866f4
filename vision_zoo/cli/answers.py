"""What `predict` prints of each image: a line of text, a row of CSV, or an entry of a JSON document."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vision_zoo.artifact.calibration import UNKNOWN
from vision_zoo.cli.document import print_document, print_json
from vision_zoo.core.tables import csv_lines

if TYPE_CHECKING:
    from vision_zoo.serving.predict import Classified

AnswerFormat = Literal["text", "csv", "json"]
Ranked = Sequence[tuple[str, float]]
"""Labels with their probabilities, the best first."""

_TOP: dict[AnswerFormat, int | None] = {"text": 3, "csv": 1, "json": None}


@dataclass(kw_only=True)
class Answers:
    """Print answers in their order; `known` counts those whose probability is at least `threshold`, 0 to 1.

    `model` is the model's path, `classes` the number of its labels, `top` how many of them are printed: by default 3, 1
    in CSV and all in JSON. With `with_sets` an answer has its set of labels, and is known where it is familiar.
    """

    model: Path
    classes: int
    output_format: AnswerFormat
    top: int | None = None
    threshold: float = 0.0
    with_sets: bool = False
    known: int = field(default=0, init=False)
    _document: list[dict[str, Any]] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self.top = self.top or _TOP[self.output_format]

    def begin(self) -> None:
        if self.output_format == "csv":
            numbers = range(2, min(self.top or 1, self.classes) + 1)
            more = [f"{column}_{number}" for number in numbers for column in ("label", "probability")]
            own = ["set"] if self.with_sets else []
            print_document(_csv(["image", "label", "probability", *more, *own]))

    def add(self, image: str, answer: "Classified", *, explanation: Path | None = None) -> None:
        """Print an answer, or keep it for the document; `explanation` is the file of its heat map."""
        ranked, uncertainty = answer.ranked, answer.uncertainty
        labels = None if uncertainty is None else uncertainty.labels
        (best, probability), *_ = ranked
        is_known = probability >= self.threshold and (
            uncertainty is None or uncertainty.familiar is not False
        )
        self.known += is_known
        label = best if is_known else UNKNOWN
        if self.output_format == "text":
            print_document(_text_line(image, label, ranked, labels))
        elif self.output_format == "csv":
            print_document(_csv_row(image, label, ranked, labels))
        else:
            entry = {"model": str(self.model), "image": image, "label": label, "probabilities": dict(ranked)}
            if labels is not None:
                entry["set"] = list(labels)
            self._document.append(entry if explanation is None else entry | {"explanation": str(explanation)})

    def end(self) -> None:
        if self.output_format == "json":
            print_json(self._document)


def _text_line(image: str, label: str, ranked: Ranked, labels: Sequence[str] | None) -> str:
    shown = ", ".join(f"{name}: {probability:.2%}" for name, probability in ranked)
    name = image if image.isprintable() else ascii(image)
    line = f"{name}: {shown}" if label == ranked[0][0] else f"{name}: {label} ({shown})"
    return line if labels is None else f"{line}; set: {', '.join(labels)}"


def _csv_row(image: str, label: str, ranked: Ranked, labels: Sequence[str] | None) -> str:
    (_, probability), *others = ranked
    more = [cell for name, share in others for cell in (name, f"{share:.6g}")]
    more += [] if labels is None else [" | ".join(labels)]
    # A name that is not UTF-8 stays readable, and the file valid.
    return _csv([image.encode(errors="backslashreplace").decode(), label, f"{probability:.6g}", *more])


def _csv(row: Sequence[str]) -> str:
    return csv_lines([row]).removesuffix("\n")
