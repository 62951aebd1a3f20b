"""Marks on pictures, which differ in shape and colour and never cover what they mark."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from scipy.spatial import KDTree

from dotcount.points import FloatArray, nearest_distances
from dotcount.report.view import View

Colour = tuple[int, int, int]
_Ink = tuple[int, int, int, int]

FOUND, MISSED, EXTRA = (56, 189, 248), (255, 176, 0), (235, 80, 160)
"""Colours that stay apart for colour-blind readers (after Okabe and Ito); shapes differ as well."""

_SMOOTH = 4  # marks are drawn this much larger and scaled down, for smooth edges
_PLACES = 2  # in a pixel, along each side, at which a mark may lie
_STEP = 1.05  # ratio of a radius to the next smaller one that is drawn
_LARGEST = 0.012  # radius, as a share of the longer side
_SPACING = 0.36  # radius, as a share of the distance to the neighbours
_LEAST = 1.1  # radius, px of the display
_BARE = 3.0  # radius below which marks have no edge, px of the display
_NEIGHBOURS = 3
_DARK = (20, 20, 20, 150)


def mark_radii(places: FloatArray, longest: int, largest: float = _LARGEST) -> FloatArray:
    """Return (n,) radii for marks at ``places`` (n, 2), px of the display, that leave room between neighbours.

    The radius follows the mean distance to the nearest marks, so that dense parts of a picture have small marks.
    """
    most = max(largest * longest, _LEAST)
    apart, index = np.unique(places, axis=0, return_inverse=True)
    near = nearest_distances(apart, _NEIGHBOURS)
    return np.asarray(np.clip(_SPACING * near, _LEAST, most)[index.ravel()])


class Marks:
    """Marks over a view, drawn when all are known.

    Equal ones are drawn once and stamped: radii are rounded to 5 %, and places to half a pixel of the view.

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
        longest = max(view.image.size)
        places = view.shown(xy)
        self._tree = KDTree(places) if len(places) else None
        self._radii = mark_radii(places, longest, largest)
        self._largest = largest * longest
        self._stamps: list[tuple[int, int, Image.Image]] = []

    def ring(self, xy: FloatArray, colour: Colour) -> None:
        """Draw a ring around each of (n, 2) places, with a dark edge where there is room."""
        self._add(_ring, xy, (*colour, 255))

    def disc(self, xy: FloatArray, colour: Colour) -> None:
        """Draw a disc at each of (n, 2) places, with a white edge where there is room."""
        self._add(_disc, xy, (*colour, 255))

    def dot(self, xy: FloatArray, colour: Colour, edge_colour: Colour, size: float = 0.4) -> None:
        """Draw small discs, ``size`` times as wide as the other marks, so that these can go around them."""
        self._add(_dot, xy, (*colour, 255), (*edge_colour, 255), size)

    def cross(self, xy: FloatArray, colour: Colour) -> None:
        """Draw a cross at each of (n, 2) places, with a dark edge where there is room."""
        self._add(_cross, xy, (*colour, 255))

    def over(self, base: Image.Image) -> Image.Image:
        """Return ``base``, of the size of the view, with the marks on it."""
        picture = base.convert("RGB") if base.mode != "RGB" else base.copy()
        for x, y, stamp in self._stamps:
            picture.paste(stamp, (x, y), stamp)
        return picture

    def _add(self, paint: _Paint, xy: FloatArray, *style: Any) -> None:
        places = self.view.shown(xy)
        radii = np.full(len(places), self._largest)
        if self._tree is not None and len(places):
            radii = self._radii[self._tree.query(places)[1]]
        steps = np.round(np.log(radii) / math.log(_STEP)).astype(int).tolist()
        whole, rest = np.divmod(np.round(places * _PLACES).astype(int), _PLACES)
        for (x, y), within, step in zip(whole.tolist(), rest.tolist(), steps):
            stamp = _stamp(paint, step, tuple(within), style)
            self._stamps.append((x - stamp.width // 2, y - stamp.height // 2, stamp))


@dataclass(frozen=True)
class _Pen:
    """Draws around (x, y) on a canvas; lengths are px of the canvas. ``edge`` 0: there is no room for one."""

    draw: ImageDraw.ImageDraw
    x: float
    y: float
    radius: float
    line: int
    edge: int

    def circle(self, radius: float, **style: Any) -> None:
        x, y = self.x, self.y
        self.draw.ellipse((x - radius, y - radius, x + radius, y + radius), **style)


_Paint = Callable[..., None]


@lru_cache(maxsize=4096)
def _stamp(paint: _Paint, step: int, within: tuple[int, int], style: tuple[Any, ...]) -> Image.Image:
    """Return a mark on a transparent square of odd side; its place is so far within the middle pixel."""
    radius = _STEP**step
    edge = max(1, round(0.15 * radius * _SMOOTH)) if radius >= _BARE else 0
    line = max(1, round((0.3 if edge else 0.45) * radius * _SMOOTH))
    reach = math.ceil(radius + (line + 2 * edge) / _SMOOTH) + 1
    side = (2 * reach + 1) * _SMOOTH
    canvas = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    x, y = ((reach + part / _PLACES) * _SMOOTH - 0.5 for part in within)
    paint(_Pen(ImageDraw.Draw(canvas), x, y, radius * _SMOOTH, line, edge), *style)
    return canvas.reduce(_SMOOTH)


def _ring(pen: _Pen, colour: _Ink) -> None:
    if pen.edge:
        pen.circle(pen.radius + pen.edge, outline=_DARK, width=pen.line + pen.edge)
    pen.circle(pen.radius, outline=colour, width=pen.line)


def _disc(pen: _Pen, colour: _Ink) -> None:
    pen.circle(0.6 * pen.radius, fill=colour, outline=(255, 255, 255) if pen.edge else None, width=pen.edge)


def _dot(pen: _Pen, colour: _Ink, edge_colour: _Ink, size: float) -> None:
    radius = max(size * pen.radius, 0.8 * _SMOOTH)
    if pen.edge:
        pen.circle(radius + pen.edge, fill=edge_colour)
    pen.circle(radius, fill=colour)


def _cross(pen: _Pen, colour: _Ink) -> None:
    arm = 0.85 * pen.radius
    for width, ink in ((pen.line + 2 * pen.edge, _DARK), (pen.line, colour))[0 if pen.edge else 1 :]:
        for sign in (1, -1):
            ends = (pen.x - arm, pen.y - sign * arm, pen.x + arm, pen.y + sign * arm)
            pen.draw.line(ends, fill=ink, width=width)


def draw_points(view: View, base: Image.Image, xy: FloatArray, *, colour: Colour = FOUND) -> Image.Image:
    """Return ``base`` (the view, or a heat layer of it) with a ring at each point."""
    canvas = Marks(view, xy)
    canvas.ring(xy, colour)
    return canvas.over(base)
