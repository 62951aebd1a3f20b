"""The report as one HTML page that needs nothing else: findings with their pictures, figures, suggestions."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, PackageLoader

from dotcount.data.checks.evidence import Shown, evidence, overview
from dotcount.data.checks.finding import Finding
from dotcount.data.checks.report import Report
from dotcount.files import write_text

_OPEN = 3  # findings of a kind that are shown at once; the others unfold
_PICTURED = 12  # findings of a kind with pictures
_EXAMPLES = 4
_BARS = 24


@dataclass(frozen=True)
class Group:
    """Findings of one kind with their pictures."""

    kind: str
    severity: str
    rows: tuple[tuple[Finding, list[Shown]], ...]

    @property
    def first(self) -> tuple[tuple[Finding, list[Shown]], ...]:
        """What is shown at once."""
        return self.rows[:_OPEN]

    @property
    def rest(self) -> tuple[tuple[Finding, list[Shown]], ...]:
        """What unfolds."""
        return self.rows[_OPEN:]


def write_page(report: Report, path: Path) -> None:
    """Write the page in one step."""
    environment = Environment(loader=PackageLoader("dotcount.data.checks", "templates"), autoescape=True)
    text = environment.get_template("check.html.j2").render(
        report=report,
        groups=_groups(report),
        tally={s: sum(f.severity == s for f in report.findings) for s in ("error", "warning", "info")},
        bars=_histogram(report),
        examples=_examples(report),
    )
    write_text(path, text)


def _groups(report: Report) -> list[Group]:
    """Return the findings by severity and kind; they are sorted so already."""
    records = {record.name: record for record in report.collection.records}
    groups = []
    for (severity, kind), members in groupby(report.findings, key=lambda f: (f.severity, f.kind)):
        rows = tuple((f, evidence(f, records) if k < _PICTURED else []) for k, f in enumerate(members))
        groups.append(Group(kind, severity, rows))
    return groups


def _examples(report: Report) -> list[Shown]:
    """Return images from the fewest to the most dots, so that everybody can see whether dots are where they should."""
    records = sorted(report.collection.annotated().records, key=lambda r: (r.count or 0, r.name))
    places = sorted({round(k * (len(records) - 1) / (_EXAMPLES - 1)) for k in range(_EXAMPLES)}) if records else []
    return [shown for place in places for shown in overview(records[place])]


def _histogram(report: Report) -> list[tuple[int, int, int, float]]:
    """Return (from, to, images, share of the highest) for bars of the counts."""
    counts = [r.count for r in report.collection.annotated().records if r.count is not None]
    if not counts:
        return []
    step = max(1, -(-(max(counts) + 1) // _BARS))
    tally = [0] * (max(counts) // step + 1)
    for count in counts:
        tally[count // step] += 1
    return [(k * step, (k + 1) * step - 1, n, n / max(tally)) for k, n in enumerate(tally)]
