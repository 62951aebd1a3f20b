"""Pictures that show a finding: the image with its dots, those at fault marked, and what it would be corrected."""

from __future__ import annotations

import base64
import io

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy.spatial import cKDTree

from dotcount.data.checks.dots import explain
from dotcount.data.checks.finding import Finding
from dotcount.data.images import PixelArray, orientation, read_pixels, to_unit
from dotcount.data.records import Record
from dotcount.data.resizing import resize_pixels
from dotcount.data.synthetic.drawing import to_bytes
from dotcount.errors import ImageReadError
from dotcount.points import FloatArray, Points

_SIDE = 360  # longer side of a picture, px
_DETAIL = (48, 36)  # what an enlarged detail shows, px of the image
_SOUND, _FAULTY = (255, 220, 0), (255, 45, 45)

Shown = tuple[str, str]
"""Caption and data URI."""


def evidence(finding: Finding, records: dict[str, Record]) -> list[Shown]:
    """Return pictures of the records that a finding names; fewer where an image can't be read."""
    shown: list[Shown] = []
    for name in (finding.name, *finding.related):
        record = records.get(name)
        pixels = None if record is None else _pixels(record)
        if record is not None and pixels is not None:
            shown += _of_record(finding.kind, record, pixels)
    return shown


def overview(record: Record) -> list[Shown]:
    """Return a picture of an image with its dots, nothing marked; none where it can't be read."""
    pixels = _pixels(record)
    if pixels is None or record.points is None:
        return []
    return [(f"{record.name}: {len(record.points)} dots", draw(pixels, record.points.xy))]


def faulty(kind: str, points: Points) -> npt.NDArray[np.bool_]:
    """Return which dots a finding of this kind is about."""
    if kind == "duplicate_dots":
        _, place, number = np.unique(points.xy, axis=0, return_inverse=True, return_counts=True)
        return np.asarray(number[place.ravel()] > 1)
    if kind == "near_dots" and len(points) > 1:
        apart, place = np.unique(points.xy, axis=0, return_inverse=True)
        if len(apart) > 1:
            return np.asarray(cKDTree(apart).query(apart, k=2)[0][:, 1] < 1.0)[place.ravel()]
    return ~points.inside()


def draw(pixels: PixelArray, xy: FloatArray, marked: npt.NDArray[np.bool_] | None = None) -> str:
    """Return a small picture with dots as a data URI; marked ones are red, those outside at the nearest border.

    Parameters
    ----------
    pixels
        (H, W, 3), any depth.
    xy
        (n, 2) px.
    marked
        (n,) which dots are at fault.
    """
    height, width = pixels.shape[:2]
    scale = _SIDE / max(width, height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    image = Image.fromarray(to_bytes(to_unit(resize_pixels(pixels, *size)).astype(float)))
    pen = ImageDraw.Draw(image)
    marked = np.zeros(len(xy), dtype=bool) if marked is None else marked
    for (x, y), bad in sorted(zip((xy * scale).tolist(), marked), key=lambda pair: bool(pair[1])):
        r = 4 if bad else 2
        if bad:
            x, y = (min(max(value, r), side - r) for value, side in zip((x, y), size))
        pen.ellipse((x - r, y - r, x + r, y + r), outline=(0, 0, 0), fill=_FAULTY if bad else _SOUND)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _of_record(kind: str, record: Record, pixels: PixelArray) -> list[Shown]:
    points = record.points
    if points is None:
        return [(record.name, draw(pixels, np.zeros((0, 2))))]
    marked = faulty(kind, points)
    shown = [(f"{record.name}: {len(points)} dots", draw(pixels, points.xy, marked))]
    found = explain(points, orientation(record.image))
    if found is not None and found.kind == kind:
        shown.append(("corrected", draw(pixels, found.corrected.xy)))
    elif kind in ("duplicate_dots", "near_dots") and marked.any():
        shown.append(("the first of them, enlarged", _detail(pixels, points, marked)))
    return shown


def _detail(pixels: PixelArray, points: Points, marked: npt.NDArray[np.bool_]) -> str:
    """Return the surroundings of the first marked dot."""
    frame = np.array([points.width, points.height])
    side = np.minimum(_DETAIL, frame)
    corner = np.clip(points.xy[marked][0] - side / 2, 0, frame - side).astype(int)
    (left, top), (right, bottom) = corner, corner + side
    within = ((points.xy >= corner) & (points.xy < corner + side)).all(axis=1)
    return draw(pixels[top:bottom, left:right], points.xy[within] - corner, marked[within])


def _pixels(record: Record) -> PixelArray | None:
    try:
        return read_pixels(record.image)
    except ImageReadError:
        return None
