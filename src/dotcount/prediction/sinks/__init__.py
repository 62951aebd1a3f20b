"""What results are written as, one file a sink with ``@SINKS.register("name")``; the folder is searched."""

from __future__ import annotations

from dotcount.prediction.sinks.annotations import Annotations, create_sink, record_of, writable
from dotcount.prediction.sinks.base import SINKS, Sink
from dotcount.registry import import_folder

import_folder(__name__)

__all__ = ["SINKS", "Annotations", "Sink", "create_sink", "record_of", "writable"]
