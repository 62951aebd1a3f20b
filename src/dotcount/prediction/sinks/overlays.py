"""Pictures of the image with its density and located points drawn in."""

from __future__ import annotations

from dotcount.inference.result import Prediction
from dotcount.prediction.frame import Frame
from dotcount.prediction.output import OutputFolder
from dotcount.prediction.shrinking import at_size, in_larger_cells
from dotcount.prediction.sinks.base import SINKS, Sink
from dotcount.report.overlay import overlay


@SINKS.register("overlays")
class Overlays(Sink):
    """``overlays/NAME.jpg``."""

    title = "pictures with density and points drawn in"
    names = ("overlays/",)

    def open(self, out: OutputFolder) -> None:
        """Begin or continue."""
        self._out = out

    def write(self, frame: Frame, prediction: Prediction | None) -> None:
        """Draw one image."""
        if prediction is None:
            return
        picture = frame.display
        height, width = picture.shape[:2]
        reduced = width < prediction.width
        if reduced:
            step = round(prediction.width / width)
            frame.warn(f"drawn with one row and column in {step}; the legend counts those")
        shown = at_size(in_larger_cells(prediction), width, height)
        with self._out.file(f"overlays/{frame.name}.jpg") as path:
            overlay(picture, shown, side=max(width, height) if reduced else None).save(path, format="JPEG", quality=88)
