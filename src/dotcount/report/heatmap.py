"""The density of a prediction as a picture of its own, with a colour bar in objects."""

from __future__ import annotations

import numpy as np
from PIL import Image

from dotcount.inference.result import Prediction


def heatmap(prediction: Prediction, *, side: int = 1200) -> Image.Image:
    """Return the density as colours, without the image, with a bar that tells what they mean.

    Colours follow the expected objects per cell, from zero to the largest cell; nothing is smoothed or clipped, so the
    picture can be read against the numbers.

    Parameters
    ----------
    prediction
        What to draw.
    side
        Longest side of the map, px.
    """
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    scale = side / max(prediction.width, prediction.height)
    width, height = max(1, round(prediction.width * scale)), max(1, round(prediction.height * scale))
    norm = Normalize(0, float(prediction.density.max()) or 1.0)
    colours = (colormaps["inferno"](norm(prediction.density))[..., :3] * 255).astype(np.uint8)
    rows, columns = prediction.density.shape
    box = (
        0.0,
        0.0,
        min(prediction.width / prediction.stride[0], columns),
        min(prediction.height / prediction.stride[1], rows),
    )
    layer = Image.fromarray(colours).resize((width, height), Image.Resampling.NEAREST, box=box)
    bar = max(240, height)
    figure = Figure(figsize=(1.1, bar / 100), dpi=100, facecolor="white")
    axes = figure.add_axes((0.12, 12 / bar, 0.2, 1 - 24 / bar))
    figure.colorbar(ScalarMappable(norm, "inferno"), cax=axes).set_label("objects per cell")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    legend = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    picture = Image.new("RGB", (width + legend.width, bar), "white")
    picture.paste(layer, (0, (bar - height) // 2))
    picture.paste(legend, (width, 0))
    return picture
