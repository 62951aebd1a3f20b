"""A trained model in a form that other programs run: ONNX files, one file a form; the folder is searched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dotcount.lazy import lazy_names

if TYPE_CHECKING:
    from dotcount.export.base import EXPORTS, Exporter, TrainedModel
    from dotcount.export.cache import cached_onnx
    from dotcount.export.parity import Parity
    from dotcount.export.run import export
    from dotcount.export.settings import with_settings

# Imported on first use: most of it needs torch, whose import takes seconds; looking for what was exported needs none.
_HOME = {
    "base": ("EXPORTS", "Exporter", "TrainedModel"),
    "cache": ("cached_onnx",),
    "parity": ("Parity",),
    "run": ("export",),
    "settings": ("with_settings",),
}

__all__ = ["EXPORTS", "Exporter", "Parity", "TrainedModel", "cached_onnx", "export", "with_settings"]

__getattr__ = lazy_names(__name__, _HOME)
