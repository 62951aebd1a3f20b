"""Counting with a trained model: one image or many."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dotcount.lazy import lazy_names

if TYPE_CHECKING:
    from dotcount.prediction.frame import Frame, FrameMeta
    from dotcount.prediction.journal import Summary
    from dotcount.prediction.merging import merge, shard_folder
    from dotcount.prediction.predictor import Predictor, load
    from dotcount.prediction.run import PredictionRun
    from dotcount.prediction.scale import ImageScale
    from dotcount.prediction.sinks import Sink
    from dotcount.prediction.sources import Source, SourceFiles, find

# Imported on first use: a predictor needs torch, whose import takes seconds; listing files or writing tables does not.
_HOME = {
    "frame": ("Frame", "FrameMeta"),
    "journal": ("Summary",),
    "merging": ("merge", "shard_folder"),
    "predictor": ("Predictor", "load"),
    "run": ("PredictionRun",),
    "scale": ("ImageScale",),
    "sinks": ("Sink",),
    "sources": ("SourceFiles", "Source", "find"),
}

__all__ = [
    "Frame",
    "FrameMeta",
    "ImageScale",
    "PredictionRun",
    "Predictor",
    "Sink",
    "Source",
    "SourceFiles",
    "Summary",
    "find",
    "load",
    "merge",
    "shard_folder",
]

__getattr__ = lazy_names(__name__, _HOME)
