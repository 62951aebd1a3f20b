"""One image of an evaluation in three pictures: as it is, its density, and its points against its dots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from dotcount.evaluation import Example
from dotcount.report.heat import heat_layer
from dotcount.report.overlay import draw_matches, match_points, worst_window
from dotcount.report.page import Panel, number, signed
from dotcount.report.view import View, Window

PANEL_SIDE = 520  # px of the longer side; three stand side by side on a wide screen


@dataclass(frozen=True)
class ExamplePanels:
    """The panels of one image."""

    name: str
    caption: str
    panels: Sequence[Panel]


def example_panels(example: Example) -> ExamplePanels:
    """Return image, density, and dots against located points of one image."""
    prediction = example.prediction
    view = _look(example, None)
    matches = match_points(prediction.points, example.points.xy, example.radius)
    window = worst_window(matches, prediction.width, prediction.height, PANEL_SIDE)
    found, missed, extra = len(matches.found), len(matches.missed), len(matches.extra)
    caption = f"{found:,} found, {missed:,} missed, {extra:,} extra, within {number(matches.radius)} px"
    close = view if window is None else _look(example, window)
    if window is not None:
        caption += "; here a part, framed in the first picture"
    interval = ""
    if prediction.interval is not None:
        interval = f" (interval {number(prediction.interval[0])} to {number(prediction.interval[1])})"
    layer, scale = heat_layer(view, prediction)
    return ExamplePanels(
        name=example.record.name,
        caption=f"{len(example.points):,} annotated, {number(prediction.count)} predicted{interval}, "
        f"error {signed(example.difference)}",
        panels=[
            Panel.of(_framed(view, window), f"image, {prediction.width:,} × {prediction.height:,} px"),
            Panel.of(layer, f"density, sum {number(prediction.count)}", scale),
            Panel.of(draw_matches(close, matches), caption),
        ],
    )


def _look(example: Example, window: Window | None) -> View:
    """Return the image, or a window of it, at display size; what is kept of a large one is smaller than the image."""
    zoom = example.shown.shape[1] / example.prediction.width
    part = None if window is None else tuple(round(value * zoom) for value in window)
    view = View.fit(example.shown, PANEL_SIDE, window=part)
    return View(view.image, view.scale * zoom, (view.origin[0] / zoom, view.origin[1] / zoom))


def _framed(view: View, window: Window | None) -> Image.Image:
    """Return the image with the outline of the window."""
    if window is None:
        return view.image
    image = view.image.copy()
    box = [value * view.scale for value in window]
    pen = ImageDraw.Draw(image)
    pen.rectangle(box, outline=(20, 20, 20), width=4)
    pen.rectangle([box[0] + 1, box[1] + 1, box[2] - 1, box[3] - 1], outline=(255, 255, 255), width=2)
    return image
