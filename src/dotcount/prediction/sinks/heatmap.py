"""Pictures of the density alone, with the legend of the overlays."""

from __future__ import annotations

from dotcount.inference.result import Prediction
from dotcount.prediction.frame import Frame
from dotcount.prediction.output import OutputFolder
from dotcount.prediction.shrinking import in_larger_cells
from dotcount.prediction.sinks.base import SINKS, Sink
from dotcount.report.heatmap import heatmap


@SINKS.register("heatmap")
class HeatMaps(Sink):
    """``heatmaps/NAME.png``."""

    title = "pictures of the density with a colour bar"
    names = ("heatmaps/",)

    def open(self, out: OutputFolder) -> None:
        """Begin or continue."""
        self._out = out

    def write(self, frame: Frame, prediction: Prediction | None) -> None:
        """Draw one map."""
        if prediction is not None:
            with self._out.file(f"heatmaps/{frame.name}.png") as path:
                heatmap(in_larger_cells(prediction)).save(path, format="PNG", compress_level=1)
