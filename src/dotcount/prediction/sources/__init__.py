"""Where frames come from, one file a source; importing this package registers them all."""

from __future__ import annotations

from dotcount.prediction.sources import images
from dotcount.prediction.sources.base import SOURCES, Source
from dotcount.prediction.sources.listing import OWN, LeftOut, Listing, find, natural_key

__all__ = ["OWN", "SOURCES", "LeftOut", "Listing", "Source", "find", "images", "natural_key"]
