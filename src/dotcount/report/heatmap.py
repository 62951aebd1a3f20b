"""The density of a prediction as a picture of its own, with the colours and the legend of the overlays."""

from __future__ import annotations

import numpy as np
from PIL import Image

from dotcount.inference.result import Prediction
from dotcount.report.heat import HeatScale, faintest, heat_colours, heat_values
from dotcount.report.legend import with_legend


def heatmap(prediction: Prediction, *, side: int = 1200) -> Image.Image:
    """Return the density as colours, without the image, above a legend that tells what they mean.

    The colours are those of the overlays, see :class:`dotcount.report.heat.HeatScale`. Every cell has its own; nothing
    is smoothed or clipped, so that the picture can be read against the numbers.

    Parameters
    ----------
    prediction
        What to draw.
    side
        Longest side of the map, px.
    """
    scale = side / max(prediction.width, prediction.height)
    size = max(1, round(prediction.width * scale)), max(1, round(prediction.height * scale))
    sx, sy = prediction.stride
    density = prediction.density / np.float32(sx * sy)
    top = max(float(density.max(initial=0)), faintest(max(sx, sy) / 2))
    colours = heat_colours()[heat_values(density, top)].round().astype(np.uint8)
    rows, columns = prediction.density.shape
    box = 0.0, 0.0, min(prediction.width / sx, columns), min(prediction.height / sy, rows)
    layer = Image.fromarray(colours).resize(size, Image.Resampling.NEAREST, box=box)
    return with_legend(layer, f"count {prediction.count:,.1f}", HeatScale.of(top))
