"""The density as a layer of colour over an image, with the scale that says what the colours mean."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from dotcount.points import spacing
from dotcount.report.view import View

if TYPE_CHECKING:
    from dotcount.inference import Prediction

Values = npt.NDArray[Any]

_BLUR = 0.006  # most smoothing, as a share of the longer side
_APART = 0.3  # most smoothing, as a share of the distance between neighbouring points: between them the image is seen
_FINEST = 2.0  # smoothing that crowds get nevertheless, px of the view
_UPPER = 0.9995  # quantile of the smoothed map that gets the brightest colour
_FAINT = 0.1  # objects a smoothed patch below which nothing is stretched to the brightest colour


@dataclass(frozen=True)
class HeatScale:
    """What the colours of a heat layer stand for: they follow the square root of the density, from 0 to ``top``.

    Attributes
    ----------
    top
        Expected objects in a square of ``side`` x ``side`` px of the image, at the brightest colour.
    side
        Chosen so that ``top`` is a number that one can imagine, px.
    """

    top: float
    side: int

    @classmethod
    def of(cls, density: float) -> HeatScale:
        """Return the scale for a highest density, objects per px^2 of the image."""
        least = 1 / math.sqrt(density)
        power = 10.0 ** math.floor(math.log10(least)) if least > 1 else 1.0
        side = next(int(step * power) for step in (1, 2, 5, 10) if step * power >= least * (1 - 1e-9))
        return cls(density * side * side, side)

    @property
    def unit(self) -> str:
        """Return the unit in words."""
        return f"objects per {self.side:,} × {self.side:,} px"

    def ticks(self) -> list[tuple[float, str]]:
        """Return (place between 0 and 1 along the colours, number) of the marks of a colour bar."""
        return [(place, f"{self.top * place * place:.2g}") for place in (0.0, 0.5, 1.0)]


def heat_layer(
    view: View, prediction: Prediction, *, backdrop: float = 0.6, strength: float = 0.8
) -> tuple[Image.Image, HeatScale]:
    """Return the image in dimmed grey with the density on top, and what its colours mean.

    The map is smoothed a little and its square root is shown: single cells would be too small to see, and crowded
    regions would outshine all others. Colours are transparent where the density is low, and let the image through at
    the highest, too.

    Parameters
    ----------
    view
        The image, or a window of it, at display size.
    prediction
        Of the whole image.
    backdrop
        Brightness of the grey image, 0 to 1; at 1 the image keeps its colours.
    strength
        Opacity of the brightest colour.
    """
    sx, sy = (stride * view.scale for stride in prediction.stride)
    apart = max(_FINEST, _APART * view.scale * spacing(prediction.points))
    blur = max(0.5 * max(sx, sy), min(apart, _BLUR * max(view.image.size)))  # px of the view
    if min(sx, sy) >= 1:
        # Smoothed cell by cell and enlarged as a finished picture: a sixteenth of the work at stride 4.
        smooth = _blurred(prediction.density, (blur / sy, blur / sx))
        seen = _cells_in(view, prediction, smooth)
    else:
        smooth = seen = _blurred(_resized(view, prediction, prediction.density), (blur, blur))
    area = np.float32(prediction.stride[0] * prediction.stride[1])
    top = max(float(np.quantile(seen, _UPPER)) / float(area), faintest(blur / view.scale))
    places = heat_values((smooth / area).astype(np.float32), top)
    values = Image.fromarray(places if min(sx, sy) < 1 else _resized(view, prediction, places))
    base = view.image
    if backdrop < 1:
        base = base.convert("L").point([round(level * backdrop) for level in range(256)]).convert("RGB")
    opacity = values.point([round(level * strength) for level in range(256)])
    values.putpalette(heat_colours().round().astype(np.uint8).tobytes())
    return Image.composite(values.convert("RGB"), base, opacity), HeatScale.of(top)


def faintest(sigma: float) -> float:
    """Return the least density for the brightest colour, objects per px^2, of a map smoothed by ``sigma`` px.

    An empty scene must not be stretched until noise looks like objects.
    """
    return _FAINT / (2 * math.pi * sigma**2)


def heat_values(density: npt.NDArray[np.float32], top: float) -> npt.NDArray[np.uint8]:
    """Return the place of each density among :func:`heat_colours`; ``top`` is that of the brightest."""
    values: npt.NDArray[np.uint8] = (np.sqrt(np.clip(density / np.float32(top), 0, 1)) * 255).round().astype(np.uint8)
    return values


def _box(view: View, prediction: Prediction) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of the view, in cells."""
    rows, columns = prediction.density.shape
    (sx, sy), (x, y), (width, height) = prediction.stride, view.origin, view.image.size
    box = (x / sx, y / sy, (x + width / view.scale) / sx, (y + height / view.scale) / sy)
    return min(box[0], columns), min(box[1], rows), min(box[2], columns), min(box[3], rows)


def _resized(view: View, prediction: Prediction, cells: Values) -> Values:
    """Return the values of cells at each pixel of the view; 0 beyond the map."""
    layer = Image.fromarray(cells).resize(view.image.size, Image.Resampling.BILINEAR, box=_box(view, prediction))
    return np.asarray(layer, dtype=cells.dtype)


def _cells_in(view: View, prediction: Prediction, cells: Values) -> Values:
    left, top, right, bottom = _box(view, prediction)
    part = cells[int(top) : max(int(top) + 1, math.ceil(bottom)), int(left) : max(int(left) + 1, math.ceil(right))]
    return part if part.size else cells


def _blurred(values: Values, sigma: tuple[float, float]) -> Values:
    from scipy.ndimage import gaussian_filter

    return np.clip(gaussian_filter(np.asarray(values, np.float32), sigma, mode="constant"), 0, None)


@lru_cache(maxsize=1)
def heat_colours() -> npt.NDArray[np.float32]:
    """Return (256, 3) the colours from low to high, 0 to 255: inferno without its black end."""
    from matplotlib import colormaps

    table: npt.NDArray[np.float32] = (colormaps["inferno"](np.linspace(0.25, 1, 256))[:, :3] * 255).astype(np.float32)
    return table


def heat_gradient(stops: int = 9) -> str:
    """Return the colours from low to high as a CSS gradient."""
    colours = heat_colours()[np.linspace(0, 255, stops).round().astype(int)].round().astype(int)
    return "linear-gradient(90deg, " + ", ".join(f"rgb({r} {g} {b})" for r, g, b in colours.tolist()) + ")"
