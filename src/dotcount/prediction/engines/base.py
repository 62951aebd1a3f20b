"""What an engine is: it turns frames into predictions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator

from dotcount.inference.result import Prediction
from dotcount.prediction.frame import Frame
from dotcount.registry import Registry


class Engine(ABC):
    """Turns frames into predictions, one after the other; knows no format of files."""

    @abstractmethod
    def run(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Prediction | None]]:
        """Yield each frame with its prediction, in order; ``None`` for a frame that then states its error.

        The pixels of a frame are there until the next one is asked for.
        """


ENGINES: Registry[Engine] = Registry("engine", "dotcount.engines", Engine)
