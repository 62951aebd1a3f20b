"""The paper's figures of any prediction: density maps, located points (Figure 2) and transport maps (Figure 1)."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from PIL import Image
from scipy.spatial import KDTree

from dotcount.audit.explanation import TransportMap
from dotcount.files import replacing
from dotcount.inference import Prediction
from dotcount.points import FloatArray
from dotcount.report.marks import EXTRA, FOUND, MISSED, Marks
from dotcount.report.view import Shown, View

BLACK, WHITE, GREEN = (0, 0, 0), (255, 255, 255), (40, 200, 90)

_HUES, _NEIGHBOURS = 24, 7
_PANEL = 4.6  # width of a panel, inches


def dot_colours(dots: FloatArray) -> FloatArray:
    """Return (m, 3) a colour in [0, 1] for every dot (m, 2), each unlike those of its neighbours.

    Dots are coloured one after the other with the hue that is farthest from those of the nearest coloured ones; a small
    offset keeps equal hues of distant dots apart.
    """
    if not len(dots):
        return np.zeros((0, 3))
    near = KDTree(dots).query(dots, k=min(_NEIGHBOURS, len(dots)))[1].reshape(len(dots), -1)
    known: list[set[int]] = [set() for _ in dots]
    for k, others in enumerate(near.tolist()):
        for other in others:  # neighbours are mutual: a lone dot's nearest may have eight that are nearer
            known[k].add(other)
            known[other].add(k)
    hues = np.full(len(dots), np.nan)
    candidates = np.arange(_HUES) / _HUES
    for k, around in enumerate(known):
        near_hues = hues[list(around)]
        taken = near_hues[np.isfinite(near_hues)]
        apart = np.abs((candidates[:, None] - taken + 0.5) % 1 - 0.5).min(axis=1, initial=0.5)
        # Ties go to another hue each time, so that scattered dots do not all start with red.
        best = np.flatnonzero(apart >= apart.max() - 1e-9)
        hues[k] = candidates[best[k % len(best)]] + k / (4 * len(dots) * _HUES)
    return np.array([colorsys.hsv_to_rgb(hue % 1, 0.75, 1.0) for hue in hues])


def map_picture(transport: TransportMap, prediction: Prediction, view: View) -> Image.Image:
    """Return the transport map at the size of ``view``.

    Annotated dots are black. Every cell has the colour of the dot that takes most of its mass, the brighter the more
    it takes: the square root of the mass, relative to its 99 % quantile. A pink cross marks predicted mass that goes
    nowhere, an amber ring a dot that less than half a predicted object goes to from nearby, a blue one a dot that more
    than one and a half go to.

    Examples
    --------
    >>> import numpy as np
    >>> import dotcount
    >>> from dotcount.data.synthetic import generate
    >>> from dotcount.audit import transport_map, transport_settings
    >>> from dotcount.report.view import View
    >>> image, dots = generate("cells", size=96)
    >>> predictor = dotcount.load("cells")
    >>> prediction = predictor.predict(image)
    >>> found = transport_map(prediction, dots.xy, predictor.stride, transport_settings(predictor.metadata))
    >>> map_picture(found, prediction, View.fit(image / np.float32(255), 480)).size
    (480, 480)
    """
    brightness = np.zeros_like(transport.taken)
    some = transport.taken > 0
    if some.any():
        top = float(np.quantile(transport.taken[some], 0.99))
        brightness[some] = np.sqrt(np.clip(transport.taken[some] / top, 0, 1))
    colours = np.concatenate([dot_colours(transport.dots), np.zeros((1, 3))])  # the last is of owner -1
    cells = (colours[transport.owner] * brightness[..., None] * 255).astype(np.uint8)
    base = _on_view(Image.fromarray(cells), prediction, view)
    marks = Marks(view, np.concatenate([transport.dots, transport.unmatched]))
    marks.dot(transport.dots, BLACK, WHITE)
    marks.ring(transport.missed, MISSED)
    marks.ring(transport.overcounted, FOUND)
    marks.cross(transport.unmatched, EXTRA)
    return marks.over(base)


def points_picture(view: View, xy: FloatArray, colour: tuple[int, int, int] = GREEN) -> Image.Image:
    """Return the image with a disc at each point (n, 2) px.

    Examples
    --------
    >>> import numpy as np
    >>> from dotcount.report.view import View
    >>> view = View.fit(np.zeros((30, 40, 3), np.float32), 400)
    >>> points_picture(view, np.array([[20.0, 15.0]])).size
    (400, 300)
    """
    marks = Marks(view, xy)
    marks.dot(xy, colour, BLACK, 0.6)
    return marks.over(view.image)


def _on_view(cells: Image.Image, prediction: Prediction, view: View) -> Image.Image:
    """Enlarge one picture pixel a cell to the view; cells stay visible, those outside the image are cut."""
    width, height = view.image.size
    sx, sy = prediction.stride[0] * view.scale, prediction.stride[1] * view.scale
    box = (0.0, 0.0, min(width / sx, cells.width), min(height / sy, cells.height))
    return cells.resize((width, height), Image.Resampling.NEAREST, box=box)


def _density_panel(figure: Figure, axes: Any, prediction: Prediction) -> None:
    """Draw the density, warmer where it is higher, on a square-root scale with its own bar."""
    sx, sy = prediction.stride
    rows, columns = prediction.density.shape
    top = float(np.quantile(prediction.density, 0.999)) or float(prediction.density.max()) or 1.0
    drawn = axes.imshow(
        prediction.density,
        cmap="inferno",
        norm=PowerNorm(0.5, 0, max(top, 0.05)),
        extent=(0, columns * sx, rows * sy, 0),
        interpolation="nearest",
    )
    axes.set(xlim=(0, prediction.width), ylim=(prediction.height, 0))
    figure.colorbar(drawn, ax=axes, label="objects per cell", shrink=0.8, pad=0.02, extend="max")


def _picture_panel(axes: Any, picture: Image.Image, prediction: Prediction) -> None:
    axes.imshow(np.asarray(picture), extent=(0, prediction.width, prediction.height, 0), interpolation="antialiased")


def transport_figure(pixels: Shown, prediction: Prediction, transport: TransportMap, *, side: int = 1200) -> Figure:
    """Return Figure 1 of the paper for one image: the image with its dots, the density map, the transport map.

    Parameters
    ----------
    pixels
        (H, W, 3) in [0, 1].
    prediction, transport
        Of this image.
    side
        Longer side of the drawn pictures, px.

    Examples
    --------
    >>> from pathlib import Path
    >>> import numpy as np
    >>> import dotcount
    >>> from dotcount.data.synthetic import generate
    >>> from dotcount.audit import transport_map, transport_settings
    >>> image, dots = generate("cells", size=96)
    >>> predictor = dotcount.load("cells")
    >>> prediction = predictor.predict(image)
    >>> found = transport_map(prediction, dots.xy, predictor.stride, transport_settings(predictor.metadata))
    >>> figure = transport_figure(image / np.float32(255), prediction, found, side=200)
    >>> save_figure(Path("figure1.png"), figure)
    """
    view = View.fit(pixels, side)
    flat = prediction.width > 1.6 * prediction.height
    aspect = prediction.height / prediction.width
    size = (_PANEL * 1.1, _PANEL * aspect * 3 + 1.4) if flat else (_PANEL * 3.1, _PANEL * aspect + 0.7)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(3, 1) if flat else figure.subplots(1, 3)
    _picture_panel(panels[0], points_picture(view, transport.dots, MISSED), prediction)
    panels[0].set_title(f"(a) {len(transport.dots)} annotated dots")
    _density_panel(figure, panels[1], prediction)
    panels[1].set_title(f"(b) density map, sum {prediction.count:.1f}")
    _picture_panel(panels[2], map_picture(transport, prediction, view), prediction)
    panels[2].set_title("(c) transport map")
    figure.supxlabel(
        "(c): a cell has the colour of the dot that takes most of its mass, the brighter the more. Black: dots.\n"
        "Amber ring: dot with less than half a predicted object nearby. Blue ring: with more than 1.5. "
        "Pink cross: mass that goes to no dot.",
        fontsize="small",
    )
    for axes in panels:
        axes.set_axis_off()
    return figure


def located_figure(
    images: Sequence[Shown], predictions: Sequence[Prediction], truth: Sequence[int | None] = (), *, side: int = 1000
) -> Figure:
    """Return Figure 2 of the paper: a column an image; rows: the image, its density map, its located points in green.

    A single image is laid out as a row.

    Parameters
    ----------
    images
        n arrays (H, W, 3) in [0, 1].
    predictions
        n predictions.
    truth
        n annotated counts for the titles, None where unknown; may be left out.
    side
        Longer side of the drawn pictures, px.

    Examples
    --------
    >>> from pathlib import Path
    >>> import numpy as np
    >>> import dotcount
    >>> from dotcount.data.synthetic import generate
    >>> image, dots = generate("cells", size=96)
    >>> predictor = dotcount.load("cells")
    >>> prediction = predictor.predict(image)
    >>> figure = located_figure([image / np.float32(255)], [prediction], [len(dots)], side=200)
    >>> save_figure(Path("figure2.png"), figure)
    """
    n = len(images)
    heights = [prediction.height / prediction.width for prediction in predictions]
    rows, columns = (1, 3) if n == 1 else (3, n)
    size = (_PANEL * columns, rows * (_PANEL * 0.86 * max(heights) + 0.35))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False)
    panels = panels.T if n == 1 else panels
    for column, (pixels, prediction) in enumerate(zip(images, predictions)):
        view = View.fit(pixels, side)
        true = truth[column] if column < len(truth) else None
        _picture_panel(panels[0, column], view.image, prediction)
        panels[0, column].set_title("image" if true is None else f"image, {true} annotated")
        _density_panel(figure, panels[1, column], prediction)
        panels[1, column].set_title(f"density map, sum {prediction.count:.1f}")
        _picture_panel(panels[2, column], points_picture(view, prediction.points), prediction)
        panels[2, column].set_title(f"{len(prediction.points)} located points")
    for axes in panels.flat:
        axes.set_axis_off()
    return figure


def save_figure(path: Path, figure: Figure, *, dpi: int = 150) -> None:
    """Write a figure in one step, as PNG or JPEG by the ending of ``path``.

    Examples
    --------
    >>> from pathlib import Path
    >>> from matplotlib.figure import Figure
    >>> save_figure(Path("empty.png"), Figure(figsize=(1, 1)))
    >>> Path("empty.png").exists()
    True
    """
    kind = "jpeg" if path.suffix.lower() in (".jpg", ".jpeg") else "png"
    options: dict[str, Any] = {"pil_kwargs": {"quality": 88}} if kind == "jpeg" else {"metadata": {"Software": None}}
    with replacing(path) as temporary:
        figure.savefig(temporary, format=kind, dpi=dpi, **options)
