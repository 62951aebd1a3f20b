"""The page of an audit: suspicions with pictures to decide by, and how well the dots of each image fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from dotcount.audit.suspicions import KINDS, ImageAudit, Suspicion
from dotcount.audit.table import COLUMNS, cells
from dotcount.audit.whole import Audit
from dotcount.data import Record
from dotcount.data.images import UnitArray
from dotcount.files import csv_line
from dotcount.points import FloatArray
from dotcount.report.check_evidence import Album
from dotcount.report.marks import EXTRA, FOUND, Colour, Marks
from dotcount.report.page import Panel, render_page, write_page
from dotcount.report.view import View, Window

SHOWN = 120
"""Suspicions with pictures on a page; the table holds them all."""

_SIDE = 300  # of a picture, px
_AROUND = 3.5  # half the side of what a picture shows, as a multiple of the reach
_LEAST, _MOST = 24.0, 160.0  # px of the image
_CLOSE, _WHOLE = 0.035, 0.015  # radius of marks, as a share of a picture
_DOT: Colour = (255, 220, 0)
_EDGE: Colour = (20, 20, 20)
_TITLES = {
    "missing": "object without a dot",
    "spurious": "dot without an object",
    "misplaced": "dot beside its object",
    "doubled": "two dots on one object",
    "exchanged": "dots of another image",
}


@dataclass(frozen=True)
class ShownSuspicion:
    """One suspicion on the page: what it says, its pictures, and its row for the table of decisions."""

    number: int
    kind: str
    title: str
    score: float
    image: str
    correction: str
    row: str
    pictures: list[Panel]


def write_audit_page(
    path: Path,
    audit: Audit,
    records: Mapping[str, Record],
    *,
    title: str,
    judged: str,
    shown: int = SHOWN,
) -> None:
    """Write the page of an audit to ``path`` in one step.

    Parameters
    ----------
    audit
        What is shown.
    records
        By name; their images are read again for the pictures.
    title
        Of the page.
    judged
        A sentence that says which models judged.
    shown
        Suspicions that get pictures.

    Examples
    --------
    >>> from pathlib import Path
    >>> import dotcount
    >>> from dotcount.audit import audit
    >>> from dotcount.data.synthetic import write_dataset
    >>> record = dotcount.open_collection(write_dataset("data", train=1, val=0, test=0, size=96)).records[0]
    >>> found = audit([(record, dotcount.load("cells").predict(record.image))], least=0.1)
    >>> write_audit_page(Path("audit.html"), found, {record.name: record}, title="Audit", judged="By cells.")
    >>> "object without a dot" in Path("audit.html").read_text(encoding="utf-8")
    True
    """
    album, audits, suspicions = Album(dict(records)), audit.images, audit.suspicions
    number: Counter[str] = Counter(s.kind for s in suspicions)
    mood, verdict, advice = _verdict(audit)
    of_image = Counter(s.image for s in suspicions)
    text = render_page(
        "audit.html.j2",
        title=title,
        subtitle=judged,
        mood=mood,
        verdict=verdict,
        advice=advice,
        kinds=[(_TITLES[kind], number[kind], KINDS[kind]) for kind in KINDS],
        shown=_shown(suspicions[:shown], {audit.image: audit for audit in audits}, album),
        total=len(suspicions),
        header=csv_line(*COLUMNS),
        images=[(a.image, len(a.dots), a.count, a.fit, of_image[a.image]) for a in sorted(audits, key=lambda a: a.fit)],
    )
    write_page(path, text)


def _verdict(audit: Audit) -> tuple[str, str, str]:
    audits, suspicions = audit.images, audit.suspicions
    strong = sum(s.score >= 0.8 for s in suspicions)
    dots = sum(len(audit.dots) for audit in audits)
    told = f"{len(suspicions):,} suspicions, {strong:,} strong (0.8), about {dots:,} dots in {len(audits):,} images."
    if audit.caution:
        return "no-better", "Hardly any image fits its dots", f"{audit.caution} {told}"
    if not suspicions:
        return "better", "Model and dots agree", told
    advice = f"{told} A suspicion is a question, not an error: look, decide, and save the decisions."
    return "unclear", "Look at these dots again", advice


def _shown(suspicions: Sequence[Suspicion], audits: Mapping[str, ImageAudit], album: Album) -> list[ShownSuspicion]:
    """Return what the page says about suspicions; every image is read once, whatever their order."""
    pictures: dict[int, list[Panel]] = {}
    for image in dict.fromkeys(s.image for s in suspicions):
        pixels = album.pixels(album.records[image])
        for place, suspicion in enumerate(suspicions):
            if suspicion.image == image:
                pictures[place] = [] if pixels is None else _pictures(suspicion, audits, pixels)
    return [
        ShownSuspicion(
            place + 1,
            suspicion.kind,
            _TITLES[suspicion.kind],
            suspicion.score,
            suspicion.image,
            suspicion.correction,
            csv_line(*cells(suspicion)).rstrip("\n"),
            pictures[place],
        )
        for place, suspicion in enumerate(suspicions)
    ]


def _pictures(suspicion: Suspicion, audits: Mapping[str, ImageAudit], pixels: UnitArray) -> list[Panel]:
    """Return the place without and with marks; for dots of another image, both sets of dots on the whole image."""
    own = audits[suspicion.image]
    if suspicion.place is None:
        view = View.fit(pixels, _SIDE)
        other = audits[suspicion.other or suspicion.image]
        return [
            Panel.of(_marked(view, own.dots, None, None), f"its dots: {len(own.dots):,}"),
            Panel.of(_marked(view, other.dots, None, None), f"those of {suspicion.other}: {len(other.dots):,}"),
        ]
    view = View.fit(pixels, _SIDE, window=_window(suspicion, own.reach, pixels))
    wrong = None if suspicion.dot is None else own.dots[suspicion.dot]
    target = suspicion.target if suspicion.kind == "misplaced" else suspicion.place if wrong is None else None
    marked = _marked(view, own.dots, wrong, target)
    return [Panel.of(view.image, "the place"), Panel.of(marked, "the dots, as they are and as they would be")]


def _window(suspicion: Suspicion, reach: float, pixels: UnitArray) -> Window:
    """Return a square around what a suspicion is about, inside the image."""
    places = [place for place in (suspicion.place, suspicion.target) if place is not None]
    centre = np.mean(places, axis=0)
    apart = float(np.abs(np.array(places) - centre).max())
    half = max(float(np.clip(_AROUND * reach, _LEAST, _MOST)), apart + 2 * reach)
    height, width = pixels.shape[:2]
    side = int(min(2 * half, width, height))
    left, top = (int(np.clip(c - side / 2, 0, size - side)) for c, size in zip(centre, (width, height)))
    return left, top, left + side, top + side


def _marked(view: View, dots: FloatArray, wrong: FloatArray | None, target: tuple[float, float] | None) -> Image.Image:
    """Return the view with all dots, a cross through the one in question, and a ring where one should be."""
    inside = dots[view.inside(dots)]
    one = wrong is not None or target is not None
    marks = Marks(view, np.zeros((0, 2)) if one else inside, _CLOSE if one else _WHOLE)
    marks.dot(inside, _DOT, _EDGE, 0.45 if one else 0.8)
    if wrong is not None:
        marks.cross(wrong, EXTRA)
    if target is not None:
        marks.ring(np.asarray(target), FOUND)
    return marks.over(view.image)
