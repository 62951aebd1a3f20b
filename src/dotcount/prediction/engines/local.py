"""One network in this process: the next picture is decoded while the network is at the present one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from dotcount.errors import ModelError, OutputError
from dotcount.inference.counter import ImageCounter
from dotcount.inference.result import Prediction
from dotcount.prediction.engines.base import ENGINES, CountedBy, Engine
from dotcount.prediction.frame import Frame
from dotcount.prediction.scale import foreign_size

MARGIN = 0.1
"""How far beyond the counts of the training images a count may lie until it is reported, as a share of them."""

NONE_FINITE = 3
"""After so many images whose density is not finite, and none before whose density is, the model is at fault."""


@ENGINES.register("local")
class LocalEngine(Engine):
    """Counts frame by frame with one network.

    Parameters
    ----------
    counter
        The network with its settings.
    """

    def __init__(self, counter: ImageCounter) -> None:
        self.counter = counter

    @property
    def counted_by(self) -> CountedBy:
        """See :attr:`Engine.counted_by`."""
        return CountedBy(self.counter.name, self.counter.fingerprint(), self.counter.runtime.name)

    def run(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Prediction | None]]:
        """See :meth:`Engine.run`; two pictures are in memory at a time.

        Raises
        ------
        ModelError
            If the density of each of the first :data:`NONE_FINITE` images is not finite: so will be the others.
        """
        coming = iter(frames)
        counted, strange = False, 0

        def load() -> Frame | None:
            frame = next(coming, None)
            return None if frame is None else frame.load()

        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="decode") as pool:
            ahead = pool.submit(load)
            while (frame := ahead.result()) is not None:
                ahead = pool.submit(load)
                try:
                    prediction = self._predict(frame)
                except ModelError as error:
                    prediction, strange = None, strange + 1
                    if not counted and strange == NONE_FINITE:
                        raise
                    frame.fail(error)
                if prediction is not None:
                    counted = True
                    self._compare(frame, prediction)
                yield frame, prediction
                frame.release()

    def predict(self, frame: Frame) -> Prediction | None:
        """Return the prediction of one frame, or ``None`` and the reason in ``frame.error``."""
        try:
            return self._predict(frame)
        except ModelError as error:
            frame.fail(error)
            return None

    def _predict(self, frame: Frame) -> Prediction | None:
        """Like :meth:`predict`, but a density that is not finite is a :class:`ModelError`."""
        if frame.load().error is not None:
            return None
        try:
            intensity = frame.choose_intensity(self.counter.metadata.input.intensity)
            return self.counter.predict_pixels(frame.pixels, intensity=intensity, magnify=frame.magnify)
        except (OutputError, ModelError):
            raise
        except Exception as error:  # whatever one picture does to the network, the others go on
            frame.fail(error)
            return None

    def _compare(self, frame: Frame, prediction: Prediction) -> None:
        """Warn of a count, and of distances, unlike those of the training images."""
        size = foreign_size(self.counter.metadata, prediction, frame.magnify)
        if size is not None:
            frame.warn(size)
        facts = self.counter.metadata.training
        if facts is None or not facts.count.max:
            return
        low, high = facts.count.min, facts.count.max
        if prediction.count > high * (1 + MARGIN) + 1 or prediction.count < low * (1 - MARGIN) - 1:
            frame.warn(f"count outside the {low:,} to {high:,} of the training images")
