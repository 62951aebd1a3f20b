"""Many networks on a Ray cluster, through Ray Data; rows come in the order of the frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dotcount.errors import UsageError
from dotcount.inference.result import Prediction
from dotcount.prediction.engines.base import ENGINES, CountedBy, Engine
from dotcount.prediction.engines.local import LocalEngine
from dotcount.prediction.frame import Frame

if TYPE_CHECKING:
    from dotcount.intensity import IntensityRule

BLOCK = 10_000
"""Frames that are handed to the cluster together; workers are kept while they are at work on them."""

BLOCK_BYTES = 2**28
"""After so many bytes a block ends early: frames of a video travel with their pixels."""


@ENGINES.register("ray")
class RayEngine(Engine):
    """Counts frames on the workers of a Ray cluster, each with a network of its own.

    A cluster that this process is connected to is used, else one on this machine is started. Workers read the files
    themselves, so all of them must see the images and the model under the same names. An image that can't be counted is
    a row with its error there as well.

    Parameters
    ----------
    path
        The model, see :func:`dotcount.load`.
    counted_by
        What the results are of: that of the same model loaded here.
    workers
        Number of workers; each is given one CPU.
    options
        Further arguments of :func:`dotcount.load`.

    Raises
    ------
    UsageError
        If Ray is not installed, or the number of workers is not positive.
    """

    def __init__(
        self, path: str | Path, counted_by: CountedBy, *, workers: int = 2, options: Mapping[str, Any] = {}
    ) -> None:
        if workers < 1:
            raise UsageError(f"number of workers is {workers}; it must be at least 1")
        self._ray = _ray()
        self._path, self._counted_by = str(path), counted_by
        self._workers, self._options = workers, dict(options)

    @property
    def counted_by(self) -> CountedBy:
        """See :attr:`Engine.counted_by`."""
        return self._counted_by

    def run(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Prediction | None]]:
        """See :meth:`Engine.run`; pixels are read once more here only by what draws them."""
        from ray import cloudpickle

        block, rows, size = list[Frame](), list[dict[str, Any]](), 0
        for frame in frames:
            rows.append({"index": len(block), "frame": cloudpickle.dumps(_portable(frame))})
            block.append(frame)
            size += len(rows[-1]["frame"])
            if len(block) == BLOCK or size > BLOCK_BYTES:
                yield from self._run(block, rows)
                block, rows, size = [], [], 0
        if block:
            yield from self._run(block, rows)

    def _run(self, block: list[Frame], rows: list[dict[str, Any]]) -> Iterator[tuple[Frame, Prediction | None]]:
        from ray import cloudpickle

        found = self._ray.data.from_items(rows).map(
            _Worker,
            fn_constructor_args=(self._path, self._options),
            concurrency=self._workers,
            num_cpus=1,
        )
        waiting: dict[int, Any] = {}
        due = 0
        for row in found.iter_rows():
            waiting[row["index"]] = cloudpickle.loads(row["found"])
            while due in waiting:
                frame = block[due]
                prediction, frame.error, frame.warnings, frame.intensity, frame.meta = waiting.pop(due)
                yield frame, prediction
                frame.release()
                due += 1


class _Worker:
    """Loads the model once, and counts frame by frame as the local engine does."""

    def __init__(self, path: str, options: Mapping[str, Any]) -> None:
        from dotcount.prediction.predictor import load

        self._engine = LocalEngine(load(path, **options))

    def __call__(self, row: Mapping[str, Any]) -> dict[str, Any]:
        from ray import cloudpickle

        frame = cloudpickle.loads(row["frame"])
        ((frame, prediction),) = self._engine.run([frame])
        found = (prediction, frame.error, frame.warnings, frame.intensity, frame.meta)
        return {"index": row["index"], "found": cloudpickle.dumps(found)}


def _portable(frame: Frame) -> Frame:
    """Return a frame that another process can read: what it shares with its set is settled here."""
    if frame.meta.time is not None:
        frame.load()  # of a video, which is read from its beginning
    copy = frame.copy()
    if frame.of_set is not None:
        copy.of_set = partial(_known, frame.of_set())
    return copy


def _known(rule: IntensityRule) -> IntensityRule:
    return rule


def _ray() -> Any:
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise UsageError("Ray is not installed; run `pip install dotcount[ray]`") from error
    return ray
