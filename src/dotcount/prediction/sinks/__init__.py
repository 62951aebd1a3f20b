"""What results are written as, one file a sink; importing this package registers them all."""

from __future__ import annotations

from dotcount.prediction.sinks import csv, density, heatmap, jsonl, overlays
from dotcount.prediction.sinks.annotations import Annotations, create_sink, record_of, writable
from dotcount.prediction.sinks.base import SINKS, Sink

__all__ = [
    "SINKS",
    "Annotations",
    "Sink",
    "create_sink",
    "csv",
    "density",
    "heatmap",
    "jsonl",
    "overlays",
    "record_of",
    "writable",
]
