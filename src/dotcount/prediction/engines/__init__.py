"""What turns frames into predictions, one file an engine; importing this package registers them all."""

from __future__ import annotations

from dotcount.prediction.engines.base import ENGINES, Engine
from dotcount.prediction.engines.local import LocalEngine

__all__ = ["ENGINES", "Engine", "LocalEngine"]
