"""Pictures of a prediction: the density as a layer of heat, dots and located points as marks that differ in shape."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy.spatial import KDTree

from dotcount.files import replacing
from dotcount.inference import Prediction
from dotcount.metrics import optimal_match
from dotcount.points import FloatArray

ByteImage = npt.NDArray[np.uint8]

FOUND, MISSED, EXTRA = (56, 189, 248), (255, 176, 0), (235, 80, 160)
"""Colours that stay apart for colour-blind readers (after Okabe and Ito); shapes differ as well."""

_SMOOTH = 4  # marks are drawn this much larger and scaled down, for smooth edges


@dataclass(frozen=True, eq=False)
class View:
    """An image at display size, and the factor from its pixels to the display's."""

    image: Image.Image
    scale: float

    @classmethod
    def fit(cls, pixels: npt.NDArray[np.float32], side: int, *, enlarge: bool = True) -> View:
        """Scale (H, W, 3) pixels in [0, 1] so that the longer side is ``side`` px (or at most, without ``enlarge``)."""
        height, width = pixels.shape[:2]
        scale = side / max(height, width)
        if scale > 1 and not enlarge:
            scale = 1.0
        image = Image.fromarray((np.clip(pixels, 0, 1) * 255 + 0.5).astype(np.uint8))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        return cls(image.resize(size, Image.Resampling.LANCZOS), scale)


@dataclass(frozen=True, eq=False)
class Matches:
    """Located points against dots within ``radius`` px: found and extra points, missed dots, each (n, 2) px."""

    found: FloatArray
    missed: FloatArray
    extra: FloatArray
    radius: float


def match_points(predicted: FloatArray, dots: FloatArray, least: float) -> Matches:
    """Match one to one within half the median distance of neighbouring dots, at least ``least`` px."""
    radius = least
    if len(dots) > 1:
        distances, _ = KDTree(dots).query(dots, k=2)
        radius = max(least, float(np.median(distances[:, 1])) / 2)
    guess, dot = optimal_match(predicted, dots, radius)[:2]
    extra = np.setdiff1d(np.arange(len(predicted)), guess)
    missed = np.setdiff1d(np.arange(len(dots)), dot)
    return Matches(predicted[guess], dots[missed], predicted[extra], radius)


def heat_layer(view: View, prediction: Prediction, *, backdrop: float = 0.4, strength: float = 1.0) -> Image.Image:
    """Return the image in dimmed grey with the density on top: the brighter, the more objects in a place.

    The map is smoothed a little and its square root is shown, relative to its own upper end: sharp peaks of single
    cells would be too small to see, and crowded regions would outshine all others.

    Parameters
    ----------
    view
        The image at display size.
    prediction
        Its density.
    backdrop
        Brightness of the grey image, 0 to 1; at 1 the image keeps its colours.
    strength
        Opacity of the brightest heat.
    """
    width, height = view.image.size
    rows, columns = prediction.density.shape
    sx, sy = prediction.stride[0] * view.scale, prediction.stride[1] * view.scale
    box = (0.0, 0.0, min(width / sx, columns), min(height / sy, rows))
    layer = Image.fromarray(prediction.density).resize((width, height), Image.Resampling.BILINEAR, box=box)
    blur = max(0.5 * max(sx, sy), 0.006 * max(width, height))
    heat = np.sqrt(np.clip(_blurred(np.asarray(layer), blur), 0, None))
    peak = float(np.quantile(heat, 0.998)) or float(heat.max())
    # An empty scene must not be stretched until noise looks like objects: a tenth of an object a patch stays dark.
    floor = float(np.sqrt(0.1 / (2 * np.pi * blur**2) * sx * sy))
    value = np.clip(heat / max(peak, floor, 1e-12), 0, 1)[..., None]
    base = np.asarray(view.image, dtype=np.float32)
    if backdrop < 1:
        base = np.repeat(np.asarray(view.image.convert("L"), dtype=np.float32)[..., None], 3, axis=2) * backdrop
    opacity = np.minimum(value * 1.4, 1) * strength
    mixed = base * (1 - opacity) + _colours()[(value[..., 0] * 255).astype(np.uint8)] * opacity
    return Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8))


def _blurred(values: npt.NDArray[np.float32], sigma: float) -> npt.NDArray[np.float32]:
    from scipy.ndimage import gaussian_filter

    smooth: npt.NDArray[np.float32] = gaussian_filter(values, sigma, mode="constant")
    return smooth


@lru_cache(maxsize=1)
def _colours() -> npt.NDArray[np.float32]:
    from matplotlib import colormaps

    table: npt.NDArray[np.float32] = (colormaps["inferno"](np.linspace(0.25, 1, 256))[:, :3] * 255).astype(np.float32)
    return table


def draw_matches(view: View, matches: Matches) -> Image.Image:
    """Return the image with found points (discs), missed dots (rings) and extra points (crosses)."""
    canvas = Marks(view, np.concatenate([matches.found, matches.missed, matches.extra]))
    for xy in matches.found:
        canvas.disc(xy, FOUND)
    for xy in matches.missed:
        canvas.ring(xy, MISSED)
    for xy in matches.extra:
        canvas.cross(xy, EXTRA)
    return canvas.over(view.image)


def draw_points(view: View, base: Image.Image, xy: FloatArray, *, colour: tuple[int, int, int] = FOUND) -> Image.Image:
    """Return ``base`` (the view, or a heat layer of it) with a ring at each point."""
    canvas = Marks(view, xy)
    for point in xy:
        canvas.ring(point, colour)
    return canvas.over(base)


class Marks:
    """A transparent canvas over a view; the size of marks follows the spacing of the points."""

    def __init__(self, view: View, xy: FloatArray) -> None:
        self.factor = _SMOOTH if max(view.image.size) <= 1024 else 2
        width, height = view.image.size
        self.canvas = Image.new("RGBA", (width * self.factor, height * self.factor), (0, 0, 0, 0))
        self.draw = ImageDraw.Draw(self.canvas)
        self.scale = view.scale * self.factor
        longest = max(width, height)
        radius = 0.012 * longest
        if len(xy) > 1:
            nearest = KDTree(xy).query(xy, k=2)[0][:, 1] * view.scale
            radius = min(radius, 0.33 * float(np.median(nearest)))
        self.radius = max(radius, 0.004 * longest, 1.6) * self.factor
        self.line = max(1, round(0.3 * self.radius))
        self.edge = max(1, round(0.15 * self.radius))

    def _box(self, xy: FloatArray, radius: float) -> tuple[float, float, float, float]:
        x, y = xy * self.scale - 0.5
        return x - radius, y - radius, x + radius, y + radius

    def disc(self, xy: FloatArray, colour: tuple[int, int, int]) -> None:
        """Draw a disc with a white edge."""
        self.draw.ellipse(self._box(xy, 0.85 * self.radius), fill=colour, outline=(255, 255, 255), width=self.edge)

    def dot(self, xy: FloatArray, colour: tuple[int, int, int], edge: tuple[int, int, int], size: float = 0.4) -> None:
        """Draw a small disc, ``size`` times as wide as the other marks, so that these can go around it."""
        self.draw.ellipse(self._box(xy, size * self.radius + self.edge), fill=edge)
        self.draw.ellipse(self._box(xy, size * self.radius), fill=colour)

    def ring(self, xy: FloatArray, colour: tuple[int, int, int]) -> None:
        """Draw a ring with a dark edge."""
        self.draw.ellipse(
            self._box(xy, self.radius + self.edge), outline=(20, 20, 20, 150), width=self.line + self.edge
        )
        self.draw.ellipse(self._box(xy, self.radius), outline=colour, width=self.line)

    def cross(self, xy: FloatArray, colour: tuple[int, int, int]) -> None:
        """Draw a cross with a dark edge."""
        left, top, right, bottom = self._box(xy, 0.85 * self.radius)
        for width, ink in ((self.line + 2 * self.edge, (20, 20, 20, 150)), (self.line, (*colour, 255))):
            self.draw.line((left, top, right, bottom), fill=ink, width=width)
            self.draw.line((left, bottom, right, top), fill=ink, width=width)

    def over(self, base: Image.Image) -> Image.Image:
        """Return ``base``, of the size of the view, with the marks on it."""
        marks = self.canvas.reduce(self.factor)
        return Image.alpha_composite(base.convert("RGBA"), marks).convert("RGB")


def overlay(pixels: npt.NDArray[np.float32], prediction: Prediction, *, side: int = 1600) -> Image.Image:
    """Return one picture of a prediction: the image, its density as heat, and a ring at each located point.

    Parameters
    ----------
    pixels
        (H, W, 3) float32 in [0, 1], the predicted image.
    prediction
        Its prediction.
    side
        Longest side of the picture, px; smaller images keep their size, but tiny ones are enlarged to 512 px.
    """
    longest = max(pixels.shape[:2])
    view = View.fit(pixels, min(side, max(512, longest)))
    return draw_points(view, heat_layer(view, prediction, backdrop=1.0, strength=0.6), prediction.points)


def save_overlay(path: Path, pixels: npt.NDArray[np.float32], prediction: Prediction, *, side: int = 1600) -> None:
    """Write :func:`overlay` as a JPEG file."""
    picture = overlay(pixels, prediction, side=side)
    with replacing(path) as temporary:
        picture.save(temporary, format="JPEG", quality=88)
