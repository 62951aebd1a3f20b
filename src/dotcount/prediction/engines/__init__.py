"""What turns frames into predictions, one file an engine with ``@ENGINES.register("name")``; the folder is searched."""

from __future__ import annotations

from dotcount.prediction.engines.base import ENGINES, CountedBy, Engine
from dotcount.prediction.engines.local import LocalEngine
from dotcount.registry import import_folder

import_folder(__name__)

__all__ = ["ENGINES", "CountedBy", "Engine", "LocalEngine"]
