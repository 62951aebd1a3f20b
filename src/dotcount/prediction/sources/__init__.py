"""Where frames come from, one file a source with ``@SOURCES.register("name")``; the folder is searched."""

from __future__ import annotations

from dotcount.prediction.sources.base import SOURCES, Source
from dotcount.prediction.sources.listing import SourceFiles, find
from dotcount.prediction.sources.search import OWN, SkippedFile, natural_key
from dotcount.registry import import_folder

import_folder(__name__)

__all__ = ["OWN", "SOURCES", "SkippedFile", "Source", "SourceFiles", "find", "natural_key"]
