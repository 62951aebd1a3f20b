"""One network in eval mode on one image: resizing, tiles, peaks, and what comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dotcount.lazy import lazy_names

if TYPE_CHECKING:
    from dotcount.inference.counter import ImageCounter
    from dotcount.inference.locate import find_model, model_folder
    from dotcount.inference.network import counts, density_maps
    from dotcount.inference.peaks import DEFAULT_THRESHOLD, find_peaks
    from dotcount.inference.result import Prediction
    from dotcount.inference.tiling import density_of

# Imported on first use: a network needs torch, whose import takes seconds; finding a model needs none.
_HOME = {
    "counter": ("ImageCounter",),
    "locate": ("find_model", "model_folder"),
    "network": ("counts", "density_maps"),
    "peaks": (
        "DEFAULT_THRESHOLD",
        "find_peaks",
    ),
    "result": ("Prediction",),
    "tiling": ("density_of",),
}

__all__ = [
    "DEFAULT_THRESHOLD",
    "ImageCounter",
    "Prediction",
    "counts",
    "density_maps",
    "density_of",
    "find_model",
    "find_peaks",
    "model_folder",
]

__getattr__ = lazy_names(__name__, _HOME)
