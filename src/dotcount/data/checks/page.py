"""The report as one HTML page that needs nothing else: findings with their pictures, figures, suggestions."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from jinja2 import Environment, PackageLoader
from PIL import Image, ImageDraw

from dotcount.data.checks.finding import Finding
from dotcount.data.checks.report import Report
from dotcount.data.images import read_pixels, to_unit
from dotcount.data.records import Record
from dotcount.data.resizing import resize_pixels
from dotcount.data.synthetic.drawing import to_bytes
from dotcount.errors import ImageReadError

_SIDE = 360
_MOST_PICTURES = 60
_BARS = 24


def write_page(report: Report, path: Path) -> None:
    """Write the page, by way of a temporary file."""
    records = {record.name: record for record in report.collection.records}
    rows = []
    for number, finding in enumerate(report.findings):
        shown = number < _MOST_PICTURES
        rows.append((finding, _pictures(finding, records) if shown else []))
    environment = Environment(loader=PackageLoader("dotcount.data.checks", "templates"), autoescape=True)
    text = environment.get_template("check.html.j2").render(
        report=report,
        rows=rows,
        tally={s: sum(f.severity == s for f in report.findings) for s in ("error", "warning", "info")},
        bars=_histogram(report),
    )
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def _pictures(finding: Finding, records: dict[str, Record]) -> list[tuple[str, str]]:
    named = [records[name] for name in (finding.name, *finding.related) if name in records]
    drawn = [(record.name, _draw(record)) for record in named]
    return [(name, uri) for name, uri in drawn if uri]


def _draw(record: Record) -> str:
    """Return a small picture with its dots as a data URI; empty where the image can't be read."""
    try:
        pixels = read_pixels(record.image)
    except ImageReadError:
        return ""
    height, width = pixels.shape[:2]
    scale = _SIDE / max(width, height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    image = Image.fromarray(to_bytes(to_unit(resize_pixels(pixels, *size)).astype(float)))
    if record.points is not None:
        pen = ImageDraw.Draw(image)
        for x, y in record.points.xy * scale:
            pen.ellipse((x - 2, y - 2, x + 2, y + 2), outline=(0, 0, 0), fill=(255, 220, 0))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


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
