"""Pictures that show a finding: the image with its dots, those at fault marked, and what it would be corrected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.spatial import KDTree

from dotcount.data import Record
from dotcount.data.checks import Finding
from dotcount.data.checks.dots import explain
from dotcount.data.images import PixelArray, UnitArray, orientation, read_pixels, to_unit
from dotcount.errors import ImageReadError, InputError
from dotcount.intensity import IntensityRule
from dotcount.points import FloatArray, Points
from dotcount.report.marks import Colour, Marks
from dotcount.report.page import Panel
from dotcount.report.view import View

_SIDE = 420  # longer side of a picture, px
_DETAIL = (48, 36)  # what an enlarged detail shows, px of the image
_SAMPLE = 8  # images on which the brightness of deep ones is fitted
_SOUND: Colour = (255, 220, 0)
_FAULTY: Colour = (255, 45, 45)
_EDGE: Colour = (20, 20, 20)


@dataclass(frozen=True, eq=False)
class Album:
    """The images of a collection as the page shows them: all with one rule from stored values to brightness."""

    records: Mapping[str, Record]
    _rules: dict[str, IntensityRule] = field(default_factory=dict, init=False)

    def pixels(self, record: Record) -> UnitArray | None:
        """Return an image, float32 in [0, 1]; None where it can't be read."""
        stored = _stored(record)
        if stored is None:
            return None
        return to_unit(stored, None if stored.dtype == np.uint8 else self._rule)

    @cached_property
    def _rule(self) -> IntensityRule | None:
        names = sorted(self.records)
        chosen = names[:: max(1, len(names) // _SAMPLE)][:_SAMPLE]
        images = [_stored(self.records[name]) for name in chosen]
        try:
            return IntensityRule.fit([image for image in images if image is not None])
        except InputError:  # the images have no range in common; each is shown in its own
            return None


def evidence(finding: Finding, album: Album) -> list[Panel]:
    """Return pictures of the records that a finding names; fewer where an image can't be read."""
    shown: list[Panel] = []
    for name in (finding.name, *finding.related):
        record = album.records.get(name)
        pixels = None if record is None else album.pixels(record)
        if record is not None and pixels is not None:
            shown += _of_record(finding.kind, record, pixels)
    return shown


def overview(record: Record, album: Album) -> list[Panel]:
    """Return a picture of an image with its dots, nothing marked; none where it can't be read."""
    pixels = album.pixels(record)
    if pixels is None or record.points is None:
        return []
    return [Panel.of(draw(pixels, record.points.xy), _caption(record))]


def faulty(kind: str, points: Points) -> npt.NDArray[np.bool_]:
    """Return which dots a finding of this kind is about."""
    if kind == "duplicate_dots":
        _, place, number = np.unique(points.xy, axis=0, return_inverse=True, return_counts=True)
        return np.asarray(number[place.ravel()] > 1)
    if kind == "near_dots" and len(points) > 1:
        apart, place = np.unique(points.xy, axis=0, return_inverse=True)
        if len(apart) > 1:
            return np.asarray(KDTree(apart).query(apart, k=2)[0][:, 1] < 1.0)[place.ravel()]
    return ~points.inside()


def draw(pixels: UnitArray, xy: FloatArray, marked: npt.NDArray[np.bool_] | None = None) -> Image.Image:
    """Return a small picture with dots; marked ones are red and larger, those outside at the nearest border.

    Parameters
    ----------
    pixels
        (H, W, 3) in [0, 1].
    xy
        (n, 2) px.
    marked
        (n,) which dots are at fault.
    """
    view = View.fit(pixels, _SIDE)
    marked = np.zeros(len(xy), dtype=bool) if marked is None else marked
    margin = 5 / view.scale
    size = np.array(view.image.size) / view.scale
    sound, bad = xy[~marked], np.clip(xy[marked], np.minimum(margin, size / 2), np.maximum(size - margin, size / 2))
    marks = Marks(view, np.concatenate([sound, bad]))
    marks.dot(sound, _SOUND, _EDGE, 0.6)
    marks.dot(bad, _FAULTY, _EDGE, 1.0)
    return marks.over(view.image)


def _caption(record: Record) -> str:
    n = len(record.points) if record.points is not None else 0
    return f"{record.name}: {n:,} dot{'' if n == 1 else 's'}"


def _of_record(kind: str, record: Record, pixels: UnitArray) -> list[Panel]:
    points = record.points
    if points is None:
        return [Panel.of(draw(pixels, np.zeros((0, 2))), record.name)]
    marked = faulty(kind, points)
    shown = [Panel.of(draw(pixels, points.xy, marked), _caption(record))]
    found = explain(points, orientation(record.image))
    if found is not None and found.kind == kind:
        shown.append(Panel.of(draw(pixels, found.corrected.xy), "corrected"))
    elif kind in ("duplicate_dots", "near_dots") and marked.any():
        shown.append(Panel.of(_detail(pixels, points, marked), "the first of them, enlarged"))
    return shown


def _detail(pixels: UnitArray, points: Points, marked: npt.NDArray[np.bool_]) -> Image.Image:
    """Return the surroundings of the first marked dot."""
    frame = np.array([points.width, points.height])
    side = np.minimum(_DETAIL, frame)
    corner = np.clip(points.xy[marked][0] - side / 2, 0, frame - side).astype(int)
    (left, top), (right, bottom) = corner, corner + side
    within = ((points.xy >= corner) & (points.xy < corner + side)).all(axis=1)
    return draw(pixels[top:bottom, left:right], points.xy[within] - corner, marked[within])


def _stored(record: Record) -> PixelArray | None:
    try:
        return read_pixels(record.image)
    except ImageReadError:
        return None
