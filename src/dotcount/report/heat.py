"""The density as a layer of colour over an image, with the scale that says what the colours mean."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from dotcount.report.view import View

if TYPE_CHECKING:
    from dotcount.inference import Prediction

_BLUR = 0.006  # smoothing, as a share of the longer side
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
    width, height = view.image.size
    sx, sy = (stride * view.scale for stride in prediction.stride)
    blur = max(0.5 * max(sx, sy), _BLUR * max(width, height))
    smooth = np.clip(_blurred(_resized(view, prediction), blur), 0, None) / (
        prediction.stride[0] * prediction.stride[1]
    )
    top = max(float(np.quantile(smooth, _UPPER)), faintest(blur / view.scale))
    value = heat_values(smooth, top)
    base = np.asarray(view.image, dtype=np.float32)
    if backdrop < 1:
        base = np.repeat(np.asarray(view.image.convert("L"), dtype=np.float32)[..., None], 3, axis=2) * backdrop
    opacity = value[..., None] / np.float32(255) * strength
    mixed = base * (1 - opacity) + heat_colours()[value] * opacity
    return Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8)), HeatScale.of(top)


def faintest(sigma: float) -> float:
    """Return the least density for the brightest colour, objects per px^2, of a map smoothed by ``sigma`` px.

    An empty scene must not be stretched until noise looks like objects.
    """
    return _FAINT / (2 * math.pi * sigma**2)


def heat_values(density: npt.NDArray[np.float32], top: float) -> npt.NDArray[np.uint8]:
    """Return the place of each density among :func:`heat_colours`; ``top`` is that of the brightest."""
    values: npt.NDArray[np.uint8] = (np.sqrt(np.clip(density / np.float32(top), 0, 1)) * 255).round().astype(np.uint8)
    return values


def _resized(view: View, prediction: Prediction) -> npt.NDArray[np.float32]:
    """Return the density at each pixel of the view, objects per cell; 0 beyond the map."""
    rows, columns = prediction.density.shape
    (sx, sy), (x, y), (width, height) = prediction.stride, view.origin, view.image.size
    box = (x / sx, y / sy, (x + width / view.scale) / sx, (y + height / view.scale) / sy)
    clipped = (min(box[0], columns), min(box[1], rows), min(box[2], columns), min(box[3], rows))
    layer = Image.fromarray(prediction.density).resize((width, height), Image.Resampling.BILINEAR, box=clipped)
    return np.asarray(layer, dtype=np.float32)


def _blurred(values: npt.NDArray[np.float32], sigma: float) -> npt.NDArray[np.float32]:
    from scipy.ndimage import gaussian_filter

    smooth: npt.NDArray[np.float32] = gaussian_filter(values, sigma, mode="constant")
    return smooth


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
