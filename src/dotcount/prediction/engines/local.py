"""One network in this process; pictures are decoded and results written beside it, small ones in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from dotcount.errors import ModelError, OutputError
from dotcount.inference.counter import ImageCounter
from dotcount.inference.result import NetworkOutput, Prediction
from dotcount.prediction.engines.base import ENGINES, CountedBy, Engine
from dotcount.prediction.frame import Frame
from dotcount.prediction.scale import foreign_size

NONE_FINITE = 3
"""After so many images whose density is not finite, and none before whose density is, the model is at fault."""

BATCH, BATCH_PIXELS = 16, 600_000
"""Images of one size go through the network together, up to so many, and so many pixels in all."""

LARGE = 8_000_000
"""Pictures of more pixels are counted with nothing but the next one beside them in memory."""


@dataclass
class _Group:
    """Frames of one size that go through the network together, and what became of them."""

    frames: list[Frame]
    size: tuple[int, int] | None = None
    """(width, height) px as the network sees them; ``None`` where there is nothing to count."""

    maps: list[NetworkOutput | None] = field(default_factory=list)
    errors: list[Exception | None] = field(default_factory=list)

    @property
    def pixels(self) -> int:
        return 0 if self.size is None else len(self.frames) * self.size[0] * self.size[1]


@ENGINES.register("local")
class LocalEngine(Engine):
    """Counts frame by frame with one network.

    Three things go on at a time: a picture is decoded, the one before is at the network, and what came of the one
    before that is with the caller.

    Parameters
    ----------
    counter
        The network with its settings.
    progress
        Called with the share that is done of an image that is too large for the memory.
    """

    def __init__(self, counter: ImageCounter, progress: Callable[[float], None] | None = None) -> None:
        self.counter, self.progress = counter, progress

    @property
    def counted_by(self) -> CountedBy:
        """See :attr:`Engine.counted_by`."""
        return CountedBy(self.counter.name, self.counter.fingerprint(), self.counter.runtime.name)

    def run(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Prediction | None]]:
        """See :meth:`Engine.run`.

        Raises
        ------
        ModelError
            If the density of each of the first :data:`NONE_FINITE` images is not finite: so will be the others.
        """
        self._counted, self._strange = False, 0
        with (
            ThreadPoolExecutor(max_workers=1, thread_name_prefix="decode") as decode,
            ThreadPoolExecutor(max_workers=1, thread_name_prefix="network") as network,
        ):
            before: Future[_Group] | None = None
            for group in self._groups(iter(frames), decode):
                if before is not None and group.pixels > LARGE:
                    yield from self._hand_out(before.result())
                    before = None
                now = network.submit(self._count, group)
                if before is not None:
                    yield from self._hand_out(before.result())
                before = now
            if before is not None:
                yield from self._hand_out(before.result())

    def predict(self, frame: Frame) -> Prediction | None:
        """Return the prediction of one frame, or ``None`` and the reason in ``frame.error``."""
        group = self._count(_Group([frame], self._size(frame.load())))
        try:
            return self._finish(group, 0)
        except ModelError as error:
            frame.fail(error)
            return None

    def _size(self, frame: Frame) -> tuple[int, int] | None:
        if frame.error is not None:
            return None
        height, width = (max(1, round(side * frame.magnify)) for side in frame.shape[:2])
        return self.counter.metadata.input.resize.size(width, height)

    def _groups(self, coming: Iterator[Frame], decode: ThreadPoolExecutor) -> Iterator[_Group]:
        """Yield the frames in order; the next one is being decoded meanwhile."""

        def load() -> Frame | None:
            frame = next(coming, None)
            return None if frame is None else frame.load()

        ahead = decode.submit(load)
        group: _Group | None = None
        while (frame := ahead.result()) is not None:
            size = self._size(frame)
            if group is not None and not self._fits(group, size):
                yield group
                group = None
            ahead = decode.submit(load)
            if group is None:
                group = _Group([frame], size)
            else:
                group.frames.append(frame)
        if group is not None:
            yield group

    def _fits(self, group: _Group, size: tuple[int, int] | None) -> bool:
        if not self.counter.runtime.batches or size is None or size != group.size or len(group.frames) >= BATCH:
            return False
        return group.pixels + size[0] * size[1] <= BATCH_PIXELS

    def _count(self, group: _Group) -> _Group:
        """Bring the frames to the network; errors are kept with their frames."""
        group.maps, group.errors = [None] * len(group.frames), [None] * len(group.frames)
        images: dict[int, npt.NDArray[np.float32]] = {}
        for k, frame in enumerate(group.frames if group.size is not None else ()):
            try:
                intensity = frame.choose_intensity(self.counter.metadata.input.intensity)
                if frame.windows is not None:
                    group.maps[k] = self.counter.streamed(frame.windows, intensity, frame.magnify, self.progress)
                else:
                    images[k] = self.counter.prepare(frame.pixels, intensity, frame.magnify)
            except Exception as error:
                group.errors[k] = error
        if len(images) > 1:
            try:
                found = self.counter.outputs(np.stack(list(images.values())))
            except Exception:  # which one is at fault, each by itself will tell
                pass
            else:
                for k, output in zip(images, found):  # copied: whoever keeps one does not keep all
                    group.maps[k] = output._replace(density=output.density.copy())
                return group
        for k, image in images.items():
            try:
                group.maps[k] = self.counter.outputs(image[None])[0]
            except Exception as error:
                group.errors[k] = error
        return group

    def _hand_out(self, group: _Group) -> Iterator[tuple[Frame, Prediction | None]]:
        for k, frame in enumerate(group.frames):
            try:
                prediction = self._finish(group, k)
            except ModelError as error:
                prediction, self._strange = None, self._strange + 1
                if not self._counted and self._strange == NONE_FINITE:
                    raise
                frame.fail(error)
            if prediction is not None:
                self._counted = True
                self._compare(frame, prediction)
            yield frame, prediction
            frame.release()

    def _finish(self, group: _Group, k: int) -> Prediction | None:
        """Return the prediction of the k-th frame, or raise what concerns more than this frame."""
        frame, output, error = group.frames[k], group.maps[k], group.errors[k]
        group.maps[k] = None
        try:
            if error is not None:
                raise error
            if output is None:  # there were no pixels, and the frame says why
                return None
            width, height = frame.size
            assert group.size is not None, "there is a density of it"
            return self.counter.finish(output, group.size[::-1], width, height)
        except (OutputError, ModelError):
            raise
        except Exception as odd:  # whatever one picture does to the network, the others go on
            frame.fail(odd)
            return None

    def _compare(self, frame: Frame, prediction: Prediction) -> None:
        """Warn of what sets the image, its count and its distances apart from the training images."""
        size = foreign_size(self.counter.metadata, prediction, frame.magnify)
        for warning in (*([] if size is None else [size]), *prediction.warnings):
            frame.warn(warning)
