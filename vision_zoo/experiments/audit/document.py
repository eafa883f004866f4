"""The document of an audit: what was found in a folder of pictures, the most harmful first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]
"""`error`: a model learns or is measured wrongly; `warning`: it may be; `note`: worth knowing."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Files that belong together, or a class without files, and what is the matter.

    `act_on` are those that the list of the finding names: what to move, correct or look at. `label` is the suggested
    class and `probability` that of the class in which the file lies, for label errors alone.
    """

    files: Sequence[str]
    act_on: Sequence[str]
    about: str
    label: str | None = None
    probability: float | None = None


@dataclass(frozen=True, kw_only=True)
class Finding:
    """All entries of one kind, the worst first; `name` is its key, `advice` what to do."""

    name: str
    title: str
    severity: Severity
    advice: str
    entries: Sequence[Entry]

    @property
    def count(self) -> int:
        """Files to act on."""
        return sum(len(entry.act_on) for entry in self.entries)


@dataclass(frozen=True, kw_only=True)
class LabelCheck:
    """The cross-validated classifier that label errors are found with.

    `pictures` were checked with `architecture`'s features; `agreement` is the fraction whose folder it agrees with.
    """

    architecture: str
    pictures: int
    agreement: float


@dataclass(frozen=True, kw_only=True)
class AuditResult:
    """An audit of `folder`; `counts` are pictures by split and class, `not_checked` what was left out and why."""

    schema: Literal[1] = 1
    kind: Literal["audit"] = "audit"
    folder: str
    pictures: int
    counts: Mapping[str, Mapping[str, int]]
    findings: Sequence[Finding]
    label_check: LabelCheck | None = None
    not_checked: Sequence[str] = ()
    notes: Sequence[str] = ()
    seconds: float
    cpu_seconds: float
