"""A plot of counts over time."""

from __future__ import annotations

import io

from matplotlib.figure import Figure
from PIL import Image

from dotcount.data.images.opening import open_raster
from dotcount.points import FloatArray


def timeline_picture(
    title: str,
    seconds: FloatArray,
    counts: FloatArray,
    band: FloatArray | None = None,
    smooth: FloatArray | None = None,
    window: float = 0.0,
) -> Image.Image:
    """Return counts of frames over time, with their intervals and a smoothed line where there are any.

    Parameters
    ----------
    title
        Name of the video.
    seconds, counts
        (n,) time and count of each frame.
    band
        (n, 2) lower and upper ends of the intervals.
    smooth
        (n,) smoothed counts, by a median over ``window`` s.

    Examples
    --------
    >>> import numpy as np
    >>> timeline_picture("a.mp4", np.arange(5.0), np.arange(5.0)).size
    (1080, 420)
    """
    figure = Figure(figsize=(9, 3.5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    if band is not None:
        axes.fill_between(
            seconds, band[:, 0], band[:, 1], color="#0072b2", alpha=0.18, lw=0, label="interval of a frame"
        )
    alone = smooth is None
    axes.plot(seconds, counts, color="#0072b2", lw=1.6 if alone else 0.8, marker=".", ms=4, label="count of a frame")
    if smooth is not None:
        axes.plot(seconds, smooth, color="#d55e00", lw=1.8, label=f"median over {window:g} s")
    axes.set(xlabel="seconds", ylabel="objects in the frame")
    axes.set_ylim(bottom=0)
    axes.set_title(title, loc="left", fontsize=10)
    axes.grid(color="#dddddd", lw=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="best")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return open_raster(buffer)
