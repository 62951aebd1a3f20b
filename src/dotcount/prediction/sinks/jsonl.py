"""Everything about a prediction but its density, as JSON lines."""

from __future__ import annotations

import json
from dataclasses import asdict

from dotcount.inference.result import Prediction
from dotcount.prediction.frame import Frame
from dotcount.prediction.output import OutputFolder
from dotcount.prediction.sinks.base import SINKS, Sink
from dotcount.prediction.sinks.regions import counts_of


@SINKS.register("jsonl")
class JsonLinesSink(Sink):
    """``predictions.jsonl``: one object an image."""

    title = "predictions.jsonl, one object an image"
    names = ("predictions.jsonl",)
    rows = True

    def open(self, out: OutputFolder) -> None:
        """Begin or continue."""
        self._file = out.grow("predictions.jsonl")

    def write(self, frame: Frame, prediction: Prediction | None) -> None:
        """Write one line."""
        row: dict[str, object] = {"image": frame.name, "status": frame.status}
        if prediction is not None:
            row |= {"count": prediction.count, "interval": prediction.interval, "familiarity": prediction.familiarity}
            row |= {"width": prediction.width, "height": prediction.height}
            row |= {"points": prediction.points.tolist(), "scores": prediction.scores.tolist()}
        row |= {"error": frame.error, "warnings": frame.warnings}
        row |= {key: getattr(frame.meta, key) for key in ("page", "time", "window") if getattr(frame.meta, key)}
        if prediction is not None and frame.meta.regions:
            row["regions"] = asdict(counts_of(frame, prediction))
        if prediction is not None and frame.meta.place is not None:
            area = frame.meta.place.area
            row |= {"crs": frame.meta.place.crs, "area_m2": area, "objects_per_hectare": prediction.count / area * 1e4}
        self._file.write(json.dumps(row, allow_nan=False) + "\n")
