"""What an engine is: it turns frames into predictions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dotcount.inference.result import Prediction
from dotcount.prediction.frame import Frame
from dotcount.registry import Registry


@dataclass(frozen=True)
class CountedBy:
    """What counts: runs with the same may continue each other.

    Attributes
    ----------
    model
        Name of the network.
    weights
        Digest of its weights and metadata.
    runtime
        What runs it.
    """

    model: str
    weights: str
    runtime: str


class Engine(ABC):
    """Turns frames into predictions, one after the other; knows no format of files."""

    @property
    @abstractmethod
    def counted_by(self) -> CountedBy:
        """Of the results, for later runs into the same folder."""

    @abstractmethod
    def run(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Prediction | None]]:
        """Yield each frame with its prediction, in order; ``None`` for a frame that then states its error.

        The pixels of a frame are there until the next one is asked for.
        """


ENGINES: Registry[Engine] = Registry("engine", "dotcount.engines", Engine)
