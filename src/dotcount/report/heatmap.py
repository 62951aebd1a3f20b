"""The density of a prediction as a picture of its own, with the colours and the legend of the overlays."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image

from dotcount.inference.result import Prediction
from dotcount.report.heat import HeatScale, faintest, heat_colours, heat_values
from dotcount.report.legend import SMALLEST, legend_colours, with_legend

_LARGEST = 1200  # longer side of a map, px
_COLOURS = 224  # of 256 places in the palette; those of the legend have the others


def heatmap(prediction: Prediction, *, side: int | None = None) -> Image.Image:
    """Return the density as colours, without the image, above a legend that tells what they mean.

    The colours are those of the overlays, see :class:`dotcount.report.heat.HeatScale`. Every cell has its own; nothing
    is smoothed or clipped, so that the picture can be read against the numbers.

    Parameters
    ----------
    prediction
        What to draw.
    side
        Longer side of the map, px. None: that of the image, between 512 and 1,200.

    Returns
    -------
    Image
        With a palette, whose first 224 colours are those of the map.
    """
    if side is None:
        side = min(max(SMALLEST, prediction.width, prediction.height), _LARGEST)
    scale = side / max(prediction.width, prediction.height)
    size = max(1, round(prediction.width * scale)), max(1, round(prediction.height * scale))
    sx, sy = prediction.stride
    density = prediction.density / np.float32(sx * sy)
    top = max(float(density.max(initial=0)), faintest(max(sx, sy) / 2))
    values = (heat_values(density, top) * np.float32((_COLOURS - 1) / 255) + np.float32(0.5)).astype(np.uint8)
    rows, columns = prediction.density.shape
    box = 0.0, 0.0, min(prediction.width / sx, columns), min(prediction.height / sy, rows)
    layer = Image.fromarray(values).resize(size, Image.Resampling.NEAREST, box=box)
    layer.putpalette(_palette())
    return with_legend(layer, f"count {prediction.count:,.1f}", HeatScale.of(top))


@lru_cache(maxsize=1)
def _palette() -> bytes:
    colours = heat_colours()[np.linspace(0, 255, _COLOURS).round().astype(int)]
    return np.concatenate([colours, legend_colours(256 - _COLOURS)]).round().astype(np.uint8).tobytes()
