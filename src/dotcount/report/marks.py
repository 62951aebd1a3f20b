"""Marks on pictures, which differ in shape and colour and never cover what they mark."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from scipy.spatial import KDTree

from dotcount.points import FloatArray
from dotcount.report.view import View

Colour = tuple[int, int, int]

FOUND, MISSED, EXTRA = (56, 189, 248), (255, 176, 0), (235, 80, 160)
"""Colours that stay apart for colour-blind readers (after Okabe and Ito); shapes differ as well."""

_SMOOTH = 4  # marks are drawn this much larger and scaled down, for smooth edges
_LARGEST = 0.012  # radius, as a share of the longer side
_SPACING = 0.36  # radius, as a share of the distance to the neighbours
_LEAST = 1.1  # radius, px of the display
_BARE = 3.0  # radius below which marks have no edge, px of the display
_NEIGHBOURS = 3
_FEW = 600  # strokes up to which each is drawn on a canvas of its own, which costs less than a large one


def mark_radii(places: FloatArray, longest: int, largest: float = _LARGEST) -> FloatArray:
    """Return (n,) radii for marks at ``places`` (n, 2), px of the display, that leave room between neighbours.

    The radius follows the mean distance to the nearest marks, so that dense parts of a picture have small marks.
    """
    most = max(largest * longest, _LEAST)
    apart, index = np.unique(places, axis=0, return_inverse=True)
    if len(apart) < 2:
        return np.full(len(places), most)
    near = KDTree(apart).query(apart, k=min(_NEIGHBOURS + 1, len(apart)))[0][:, 1:].mean(axis=1)
    return np.asarray(np.clip(_SPACING * near, _LEAST, most)[index.ravel()])


@dataclass(frozen=True)
class _Mark:
    """A stroke around (x, y), px of the canvas, that reaches so far; ``paint`` takes the canvas's corner."""

    x: float
    y: float
    reach: float
    paint: Callable[[ImageDraw.ImageDraw, float, float], None]

    def box(self, factor: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Return the part of the view that it lies in, px."""
        reach = self.reach + factor
        left, top = (max(0, math.floor((place - reach) / factor)) for place in (self.x, self.y))
        ends = (math.ceil((place + reach) / factor) + 1 for place in (self.x, self.y))
        right, bottom = (min(end, side) for end, side in zip(ends, size))
        return left, top, right, bottom


class Marks:
    """A transparent canvas over a view.

    Parameters
    ----------
    view
        What lies below.
    xy
        (n, 2) px of the image: all places that will be marked, whose spacing sets the sizes.
    largest
        Radius of a mark that has room, as a share of the longer side.
    """

    def __init__(self, view: View, xy: FloatArray, largest: float = _LARGEST) -> None:
        self.view = view
        width, height = view.image.size
        self.factor = _SMOOTH if max(width, height) <= 1024 else 2
        self._strokes: list[_Mark] = []
        places = view.shown(xy)
        self._tree = KDTree(places) if len(places) else None
        self._radii = mark_radii(places, max(width, height), largest)
        self._largest = largest * max(width, height)

    def ring(self, xy: FloatArray, colour: Colour) -> None:
        """Draw a ring, with a dark edge where there is room."""
        x, y, r, line, edge = self._measure(xy)
        if edge:
            self._circle(x, y, r + edge, outline=(20, 20, 20, 150), width=line + edge)
        self._circle(x, y, r, outline=colour, width=line)

    def disc(self, xy: FloatArray, colour: Colour) -> None:
        """Draw a disc, with a white edge where there is room."""
        x, y, r, _, edge = self._measure(xy)
        self._circle(x, y, 0.6 * r, fill=colour, outline=(255, 255, 255) if edge else None, width=edge)

    def dot(self, xy: FloatArray, colour: Colour, edge_colour: Colour, size: float = 0.4) -> None:
        """Draw a small disc, ``size`` times as wide as the other marks, so that these can go around it."""
        x, y, r, _, edge = self._measure(xy)
        r = max(size * r, 0.8 * self.factor)
        if edge:
            self._circle(x, y, r + edge, fill=edge_colour)
        self._circle(x, y, r, fill=colour)

    def cross(self, xy: FloatArray, colour: Colour) -> None:
        """Draw a cross, with a dark edge where there is room."""
        x, y, r, line, edge = self._measure(xy)
        a = 0.85 * r
        strokes: list[tuple[int, tuple[int, ...]]] = [(line, (*colour, 255))]
        if edge:
            strokes.insert(0, (line + 2 * edge, (20, 20, 20, 150)))

        def paint(draw: ImageDraw.ImageDraw, left: float, top: float) -> None:
            for width, ink in strokes:
                for sign in (1, -1):
                    ends = (x - a - left, y - sign * a - top, x + a - left, y + sign * a - top)
                    draw.line(ends, fill=ink, width=width)

        self._strokes.append(_Mark(x, y, a + line + 2 * edge, paint))

    def over(self, base: Image.Image) -> Image.Image:
        """Return ``base``, of the size of the view, with the marks on it."""
        picture = base.convert("RGBA")
        few = len(self._strokes) <= _FEW
        boxes = [(mark.box(self.factor, picture.size), [mark]) for mark in self._strokes] if few else []
        if not few:
            boxes = [((0, 0, *picture.size), self._strokes)]
        for (left, top, right, bottom), marks in boxes:
            if left >= right or top >= bottom:
                continue
            size = (right - left) * self.factor, (bottom - top) * self.factor
            canvas = Image.new("RGBA", size, (0, 0, 0, 0))
            draw = ImageDraw.Draw(canvas)
            for mark in marks:
                mark.paint(draw, left * self.factor, top * self.factor)
            picture.alpha_composite(canvas.reduce(self.factor), (left, top))
        return picture.convert("RGB")

    def _measure(self, xy: FloatArray) -> tuple[float, float, float, int, int]:
        """Return centre, radius, width of a line and of an edge, px of the canvas; edge 0: no room."""
        place = self.view.shown(xy)[0]
        radius = self._largest
        if self._tree is not None:
            radius = float(self._radii[self._tree.query(place)[1]])
        edge = max(1, round(0.15 * radius * self.factor)) if radius >= _BARE else 0
        line = max(1, round((0.3 if edge else 0.45) * radius * self.factor))
        x, y = place * self.factor - 0.5
        return float(x), float(y), radius * self.factor, line, edge

    def _circle(self, x: float, y: float, radius: float, **style: Any) -> None:
        def paint(draw: ImageDraw.ImageDraw, left: float, top: float) -> None:
            draw.ellipse((x - radius - left, y - radius - top, x + radius - left, y + radius - top), **style)

        self._strokes.append(_Mark(x, y, radius, paint))


def draw_points(view: View, base: Image.Image, xy: FloatArray, *, colour: Colour = FOUND) -> Image.Image:
    """Return ``base`` (the view, or a heat layer of it) with a ring at each point."""
    canvas = Marks(view, xy)
    for point in xy:
        canvas.ring(point, colour)
    return canvas.over(base)
