"""The page of a data check: a verdict, findings with their pictures, figures, settings to start from."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from dotcount.data.checks import DataCheck, Statistics, Suggestions
from dotcount.report import figures
from dotcount.report.check_evidence import Album, evidence, overview
from dotcount.report.page import Panel, render_page, write_page

_OPEN = 3  # findings of a kind that are shown at once; the others unfold
_PICTURED = 12  # findings of a kind with pictures
_EXAMPLES = 4
_TITLES = {"exif": "turned by EXIF", "exif_rotated": "dots of the picture before EXIF turned it"}


@dataclass(frozen=True)
class ShownFinding:
    """One finding with its pictures."""

    message: str
    pictures: list[Panel]


@dataclass(frozen=True)
class FindingGroup:
    """Findings of one kind."""

    title: str
    severity: str
    rows: tuple[ShownFinding, ...]

    @property
    def first(self) -> tuple[ShownFinding, ...]:
        """What is shown at once."""
        return self.rows[:_OPEN]

    @property
    def rest(self) -> tuple[ShownFinding, ...]:
        """What unfolds."""
        return self.rows[_OPEN:]


def write_check_page(path: Path, check: DataCheck) -> None:
    """Write the page of a data check to ``path`` in one step; see :func:`dotcount.data.checks.check`.

    Examples
    --------
    >>> from pathlib import Path
    >>> from dotcount.data import open_collection
    >>> from dotcount.data.checks import check
    >>> from dotcount.data.synthetic import write_dataset
    >>> _ = write_dataset("data", train=3, val=0, test=0, size=64)
    >>> write_check_page(Path("check.html"), check(open_collection("data", strict=False)))
    >>> "Data check" in Path("check.html").read_text(encoding="utf-8")
    True
    """
    collection = check.collection
    album = Album({record.name: record for record in collection.records})
    mood, verdict, advice = _verdict(check)
    counts = [record.count for record in collection.annotated().records if record.count is not None]
    text = render_page(
        "check.html.j2",
        title=f"Data check: {collection.name}",
        subtitle=collection.note,
        mood=mood,
        verdict=verdict,
        advice=advice,
        groups=_groups(check, album),
        examples=_examples(check, album),
        facts=_facts(check.figures) if check.figures else [],
        suggestions=_settings(check.suggestions) if check.suggestions else [],
        histogram=figures.count_histogram(counts) if counts else "",
    )
    write_page(path, text)


def _verdict(check: DataCheck) -> tuple[str, str, str]:
    """Return the mood of the verdict, the verdict, and what to do."""
    number = {s: sum(f.severity == s for f in check.findings) for s in ("error", "warning", "info")}
    found = ", ".join(f"{n:,} {s}{'' if n == 1 or s == 'info' else 's'}" for s, n in number.items() if n)
    if number["error"]:
        return "no-better", "Not fit for training yet", f"{found}. Mend the errors first: they teach something wrong."
    if number["warning"]:
        return "unclear", "Fit for training, with doubts", f"{found}. Look at the warnings before training."
    return "better", "Nothing is wrong", found or "No check has found anything. Look at the examples all the same."


def _groups(check: DataCheck, album: Album) -> list[FindingGroup]:
    """Return the findings by severity and kind; they are sorted so already."""
    groups = []
    for (severity, kind), members in groupby(check.findings, key=lambda f: (f.severity, f.kind)):
        rows = tuple(
            ShownFinding(finding.message, evidence(finding, album) if k < _PICTURED else [])
            for k, finding in enumerate(members)
        )
        groups.append(FindingGroup(_TITLES.get(kind, kind.replace("_", " ")), severity, rows))
    return groups


def _examples(check: DataCheck, album: Album) -> list[Panel]:
    """Return images from the fewest to the most dots, so that everybody can see whether dots are where they should."""
    records = sorted(check.collection.annotated().records, key=lambda r: (r.count or 0, r.name))
    places = sorted({round(k * (len(records) - 1) / (_EXAMPLES - 1)) for k in range(_EXAMPLES)}) if records else []
    return [panel for place in places for panel in overview(records[place], album)]


def _facts(found: Statistics) -> list[tuple[str, str]]:
    """Return the figures of the collection as (what, text)."""
    counts = f"{found.count_min:,} to {found.count_max:,}, median {found.count_median:g}, mean {found.count_mean:.1f}"
    width, height = (f"{low:,} to {high:,}" if low != high else f"{low:,}" for low, high in (found.width, found.height))
    facts = [
        ("images", f"{found.images:,}" + (f", {found.empty:,} without dots" if found.empty else "")),
        ("dots", f"{found.dots:,}"),
        ("dots in an image", counts),
        ("size, px", f"width {width}; height {height}"),
    ]
    if found.spacing:
        low, middle, high = found.spacing
        text = f"10 % below {low:.1f}, half below {middle:.1f}, 90 % below {high:.1f}"
        facts.append(("distance to the nearest dot, px", text))
    facts += [(f"split {name}", f"{images:,} images, {dots:,} dots") for name, (images, dots) in found.splits.items()]
    facts += [(f"class {name}", f"{number:,} dots") for name, number in found.classes.items()]
    return facts


def _settings(found: Suggestions) -> list[tuple[str, str]]:
    """Return the settings to start from as (what, text)."""
    settings = [("crop", f"{found.crop:,} px"), ("stride", f"at most {found.stride} px")]
    if found.sigma:
        settings.append(("sigma of a Gaussian density", f"{found.sigma:g} px"))
    return [*settings, ("length scale of the transport", f"{found.length_scale:g} px")]
