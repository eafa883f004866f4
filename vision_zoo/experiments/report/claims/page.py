"""`docs/CLAIMS.md`: every claim with its verdict, and the figures on which it rests."""

from collections import Counter
from pathlib import Path

from vision_zoo.core.tables import markdown
from vision_zoo.experiments.report.claims import report_c, reports_a_b, reports_d_e
from vision_zoo.experiments.report.claims.checks import LEAST_ROUNDS, capital
from vision_zoo.experiments.report.claims.evidence import Evidence, gather
from vision_zoo.experiments.report.claims.verdict import Claim, Finding, verdict_on
from vision_zoo.experiments.report.claims.wording import NEAR, NEAR_ON_COPY
from vision_zoo.experiments.report.verdicts import (
    POINTS,
    RUNS,
    RUNS_IF_SHORT,
    RUNS_IF_UNSTEADY,
    SHORT_SECONDS,
)

CLAIMS = (*reports_a_b.CLAIMS, *report_c.CLAIMS, *reports_d_e.CLAIMS)
_INTRODUCTION = f"""# Claims of the reports

This file is generated from `results/` by `make docs`. None of the reports repeats a run or gives an interval. Here every
claim has a rule, mostly a band in which a difference (the first minus the second) has to lie, and a verdict:

- *Shown*: the interval of the difference lies in the band. *Refuted*: it lies outside.
- *Not decided*: it crosses an end of the band; the number of further runs is what the test needs if means and standard
  deviations stay as they are.
- *Cannot be told yet*: runs or other measurements are missing.

The rules:

- A verdict takes at least {RUNS} runs on each side, {RUNS_IF_SHORT} unless a run is known to take {SHORT_SECONDS // 60}
  minutes or more on two cores, {RUNS_IF_UNSTEADY} of a recipe of which some runs may not learn at all. Those are
  counted, and left out of the difference.
- The interval over runs is Welch's. For the test accuracy, the bootstrap interval over test images, with the runs as they
  are, has to say the same.
- Confidence is 95%. It is 90% (two one-sided tests at 5%) where the band is a margin: a match is at most {POINTS:g}
  points below, no gain at most {POINTS:g} points above, and a number of points is meant to {NEAR:g} point (on JPEG copies
  {NEAR_ON_COPY:g}) or to half of it, whichever is less.
- A claim of several parts is shown if all are; since any of them may refute it, refutations are corrected after Holm.
  There is no correction across claims.
- McNemar's test of runs with the same seed, corrected after Holm, is given beside them and decides nothing.
- Where text and figures of a report disagree, there are several readings. A reading in which a recipe falls short of its
  report ([RESULTS.md](RESULTS.md)) gives no verdict; the claim's verdict is of the first reading that gives one.
- Times count only if both networks were timed in turn on the same hardware, in at least {LEAST_ROUNDS} rounds and beside
  no other work, as `python -m benchmarks.training.in_turn` does."""


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
            "takes": "; ".join(finding.needs) or None,
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
    parts += [f"It takes {'; '.join(finding.needs)}."] if finding.needs else []
    parts += [f"Against the report: {against}."] if against else []
    return " ".join(parts)
