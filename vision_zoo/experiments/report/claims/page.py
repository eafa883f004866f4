"""`docs/CLAIMS.md`: every claim with its verdict and the evidence for it."""

from collections import Counter
from pathlib import Path

from vision_zoo.core.tables import markdown
from vision_zoo.experiments.report.claims import report_c, reports_a_b, reports_d_e
from vision_zoo.experiments.report.claims.checks import LEAST_ROUNDS, capital
from vision_zoo.experiments.report.claims.evidence import Evidence, gather
from vision_zoo.experiments.report.claims.verdict import Claim, Finding, verdict_on
from vision_zoo.experiments.report.claims.wording import FAR, LITTLE, NEAR, NEAR_ON_COPY, SOME
from vision_zoo.experiments.report.verdicts import (
    POINTS,
    RUNS,
    RUNS_IF_SHORT,
    RUNS_IF_UNSTEADY,
    SHORT_SECONDS,
)

CLAIMS = (*reports_a_b.CLAIMS, *report_c.CLAIMS, *reports_d_e.CLAIMS)
_INTRODUCTION = f"""# Claims of the reports

This file is generated from `results/` by `make docs`. None of the reports repeats a run or states an interval. Here
every claim has a rule, usually a range in which a difference (the first minus the second) must lie, and a verdict:

- *Shown*: the interval of the difference lies within the range. *Refuted*: it lies outside.
- *Inconclusive*: it crosses an end of the range; the number of further runs is what the test needs if means and standard
  deviations do not change.
- *Cannot be told yet*: runs or other measurements are missing.

The rules:

- A verdict on results of training needs at least {RUNS_IF_SHORT} runs per recipe, or {RUNS} if a run is known to take
  {SHORT_SECONDS // 60} minutes or more on two cores, or {RUNS_IF_UNSTEADY} if some runs may not learn at all. Runs that
  did not learn are reported, but excluded from the difference.
- The interval over runs is Welch's. For the test accuracy, the bootstrap interval over test images, for the given runs,
  must agree.
- Confidence is 95%, or 90% (two one-sided tests at 5%) where the range is a margin: a match is at most {POINTS:g}
  points below, no gain is at most {POINTS:g} points above, and a stated number of points has a tolerance of {NEAR:g}
  point ({NEAR_ON_COPY:g} on JPEG copies) or half its value, whichever is less. "Marginally" better is up to
  {LITTLE:g} points, "a little" up to {SOME:g} points, "far larger" at least {FAR:g} times.
- A claim with several parts is shown if all parts are. Since any part may refute it, refutations have Holm's correction.
  There is no correction across claims.
- McNemar's test of runs with the same seed, with Holm's correction, is shown for information and decides nothing.
- Where text and figures of a report disagree, there are several readings. A reading in which a recipe falls short of its
  report ([RESULTS.md](RESULTS.md)) has no verdict; the claim's verdict is that of the first reading with one. Without
  any, the table shows the first reading that more runs may decide.
- Times count only if both networks were timed alternately on the same hardware, in at least {LEAST_ROUNDS} rounds and
  without other work, as `python -m benchmarks.training.in_turn` does."""


def text(results_dir: Path) -> str:
    """The page as Markdown."""
    evidence = gather(results_dir)
    found = [(claim, *verdict_on(claim, evidence)) for claim in CLAIMS]
    counts = Counter(finding.verdict for _, finding, _ in found)
    summary = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    rows = [
        {
            "report": claim.report,
            "claim": f"[{claim.text}](#{claim.name})",
            "verdict": f"**{finding.verdict}**",
            "reading": finding.reading.name,
            "needed": "; ".join(finding.needs) or None,
        }
        for claim, finding, _ in found
    ]
    sections = [_section(claim, finding, findings, evidence) for claim, finding, findings in found]
    return "\n\n".join([_INTRODUCTION, f"{len(CLAIMS)} claims: {summary}.", markdown(rows), *sections]) + "\n"


def _section(claim: Claim, counts: Finding, findings: tuple[Finding, ...], evidence: Evidence) -> str:
    rules = "; ".join(dict.fromkeys(check.rule for check in counts.reading.checks))
    head = f"**{capital(counts.verdict)}** ({counts.reading.name})."
    parts = [head, claim.note, f"Rule: {rules}." if rules else ""]
    text = " ".join(part for part in parts if part)
    if len(findings) == 1:
        text += f" {_figures(counts, evidence)}"
    else:
        bullets = [
            f"- *{capital(one.reading.name)}*: {one.verdict}. {_figures(one, evidence)}" for one in findings
        ]
        text += "\n\n" + "\n".join(bullets)
    return f'<a id="{claim.name}"></a>\n\n## {claim.report}: {claim.text}\n\n{text}'


def _figures(finding: Finding, evidence: Evidence) -> str:
    """What every check found, what it takes, and whether the recipes reproduce their report."""
    rows = {name: evidence.of(name) for name in finding.reading.recipes}
    against = ", ".join(
        f"`{name}` {measured.row.verdict}"
        for name, measured in rows.items()
        if measured.row is not None and measured.runs
    )
    parts = list(dict.fromkeys(outcome.figures for outcome in finding.outcomes))
    parts += [f"Needed: {'; '.join(finding.needs)}."] if finding.needs else []
    parts += [f"Compared with the report: {against}."] if against else []
    return " ".join(parts)
