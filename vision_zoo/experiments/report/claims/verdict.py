"""Claims, and the rule that turns the checks of a claim into its verdict."""

from dataclasses import dataclass
from typing import Literal

from vision_zoo.core.statistics import SIGNIFICANT, holm
from vision_zoo.experiments.report.claims.checks import Check, Count, Outcome
from vision_zoo.experiments.report.claims.evidence import Evidence
from vision_zoo.experiments.report.verdicts import FALLS_SHORT

Verdict = Literal["shown", "refuted", "inconclusive", "cannot be told yet"]
UNKNOWN: Verdict = "cannot be told yet"


@dataclass(frozen=True)
class Reading:
    """One way to read a report: every one of `checks` has to be so. `lacks` is what there is no recipe of."""

    name: str
    checks: tuple[Check, ...] = ()
    lacks: str = ""

    @property
    def recipes(self) -> tuple[str, ...]:
        """Those that are compared, each once."""
        return tuple(dict.fromkeys(name for check in self.checks for name in check.recipes))

    @property
    def trained(self) -> tuple[str, ...]:
        """Those of `recipes` whose runs matter: not where only parameters or operations are counted."""
        checks = (check for check in self.checks if not (isinstance(check, Count) and check.fixed))
        return tuple(dict.fromkeys(name for check in checks for name in check.recipes))


@dataclass(frozen=True)
class Claim:
    """A claim of a report. The verdict is that of the first of `readings` that has one; `note` explains it."""

    name: str
    report: str
    text: str
    readings: tuple[Reading, ...]
    note: str = ""


@dataclass(frozen=True)
class Finding:
    """The verdict on one reading, its outcomes, and what it takes to show or refute the claim.

    `possible` says whether further runs may bring a verdict.
    """

    reading: Reading
    verdict: Verdict
    outcomes: tuple[Outcome, ...]
    needs: tuple[str, ...]
    possible: bool = True


def judge(reading: Reading, evidence: Evidence) -> Finding:
    """Decide one reading.

    It is shown if every check is, and refuted if one is, with Holm's correction since any of them may refute it. There
    is no verdict while a recipe falls short of its report: its runs are not those of the claim.
    """
    if reading.lacks:
        return Finding(reading, UNKNOWN, (), (reading.lacks,), possible=False)
    outcomes = tuple(check.outcome(evidence) for check in reading.checks)
    rows = {name: evidence.of(name).row for name in reading.trained}
    short = [name for name, row in rows.items() if row is not None and row.verdict == FALLS_SHORT]
    if short:
        needs = tuple(f"a reading in which `{name}` does not fall short of its report" for name in short)
        return Finding(reading, UNKNOWN, outcomes, needs, possible=False)
    needs = tuple(dict.fromkeys(need for outcome in outcomes for need in outcome.needs))
    refuted = holm([1.0 if outcome.refuted_p is None else outcome.refuted_p for outcome in outcomes])
    if min(refuted) < SIGNIFICANT:
        return Finding(reading, "refuted", outcomes, ())
    if any(outcome.shown_p is None for outcome in outcomes):
        needs = tuple(dict.fromkeys(need for one in outcomes if one.shown_p is None for need in one.needs))
        return Finding(reading, UNKNOWN, outcomes, needs)
    if all(outcome.shown_p is not None and outcome.shown_p < SIGNIFICANT for outcome in outcomes):
        return Finding(reading, "shown", outcomes, ())
    return Finding(reading, "inconclusive", outcomes, needs or ("more runs of every recipe",))


def verdict_on(claim: Claim, evidence: Evidence) -> tuple[Finding, tuple[Finding, ...]]:
    """The finding that counts, and those of all readings in their order."""
    findings = tuple(judge(reading, evidence) for reading in claim.readings)
    told = [finding for finding in findings if finding.verdict != UNKNOWN]
    possible = [finding for finding in findings if finding.possible]
    return (told or possible or findings)[0], findings
