"""A prediction run: frames through an engine into sinks, each frame once, whatever happens on the way."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

from dotcount.errors import OutputError
from dotcount.inference.result import Prediction
from dotcount.metadata.familiarity import WARN_BELOW
from dotcount.prediction.engines import Engine
from dotcount.prediction.frame import Frame, error_text
from dotcount.prediction.journal import Settings, Standing, Summary
from dotcount.prediction.output import OutputFolder
from dotcount.prediction.sinks import Sink, create_sink, writable
from dotcount.prediction.sources import SourceFiles
from dotcount.prediction.video import EACH_SECOND
from dotcount.remote import Url

_OF_ONE_FRAME = (None, errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL)
"""What the system says of a file that could not be written because of its own name or content, not of the disk."""


class PredictionRun(Iterator[tuple[Frame, Prediction | None]]):
    """Counts the frames of a listing and writes them; iterate over it to make it go.

    Every frame is written before it is handed out. A run that is left early, or killed, goes on where it stopped when
    one with the same settings is made for the same folder: frames that are done are not handed out again.

    Parameters
    ----------
    engine
        What predicts.
    listing
        What to count.
    sinks
        What to write: names, see :func:`dotcount.prediction.sinks.writable`, or sinks.
    out
        The folder to write to.
    overwrite
        Replace results of other settings in the folder, instead of refusing it.

    Attributes
    ----------
    summary
        What came of the frames so far, those of an earlier unfinished run included.

    Raises
    ------
    OutputError
        If the folder can't be written to, or holds results of other settings.
    UsageError
        If a sink is unknown.

    Examples
    --------
    >>> from PIL import Image
    >>> import dotcount
    >>> from dotcount.data.synthetic import generate
    >>> Image.fromarray(generate("cells", size=96)[0]).save("a.png")
    >>> run = dotcount.load("cells").stream("a.png", out="counts", sinks=["csv", "imagej"])
    >>> for frame, prediction in run:
    ...     print(frame.name, frame.status)
    a.png ok
    >>> run.summary.counted
    1
    """

    def __init__(
        self,
        engine: Engine,
        listing: SourceFiles,
        sinks: Sequence[str | Sink],
        out: Path,
        *,
        overwrite: bool = False,
    ) -> None:
        self._engine, self._listing = engine, listing
        made = [create_sink(sink) if isinstance(sink, str) else sink for sink in sinks]
        self._sinks = sorted(made, key=lambda sink: sink.rows)  # those that state warnings come last
        write = tuple(sink if isinstance(sink, str) else sink.described for sink in sinks)
        settings = _settings(listing, engine, write)
        names = list(dict.fromkeys(name for sink in self._sinks for name in sink.names))
        others = (name for sink in map(create_sink, writable()) for name in sink.names) if overwrite else ()
        self._out = OutputFolder(out, settings, names, others=others, overwrite=overwrite)
        self.summary = self._out.complete or Summary()
        self.summary.left_out = listing.without_use
        for done in self._out.done.values():
            self.summary.add(done.count, done.error, done.warned, done.standing)
        self.summary.earlier = self.summary.total
        self._frames = iter(()) if self._out.complete else self._go()

    def __next__(self) -> tuple[Frame, Prediction | None]:
        return next(self._frames)

    def close(self) -> None:
        """Stop early; the results so far stay, to be continued."""
        if isinstance(self._frames, Generator):
            self._frames.close()

    def _go(self) -> Iterator[tuple[Frame, Prediction | None]]:
        out = self._out
        try:
            for sink in self._sinks:
                sink.open(out)
            out.start()
            for frame, prediction in self._engine.run(self._todo()):
                self._write(frame, prediction)
                yield frame, prediction
            for sink in self._sinks:
                sink.close()
            out.commit(self.summary)
        except BaseException:
            out.close()
            raise

    def _todo(self) -> Iterator[Frame]:
        return (frame for frame in self._listing if frame.name not in self._out.done)

    def _write(self, frame: Frame, prediction: Prediction | None) -> None:
        for sink in self._sinks:
            try:
                sink.write(frame, prediction)
            except Exception as error:  # one odd image must not end the run: what could not be written is reported
                if isinstance(error, OutputError) and getattr(error.__cause__, "errno", None) not in _OF_ONE_FRAME:
                    raise
                if sink.rows:
                    raise
                frame.warn(f"{sink.names[0].rstrip('/')} not written: {error_text(error)}")
        count = None if prediction is None else prediction.count
        standing = _standing(frame, prediction)
        self._out.finish(frame.name, count, frame.error, bool(frame.warnings), standing)
        self.summary.add(count, frame.error, bool(frame.warnings), standing)
        if self.summary.rule is None and prediction is not None and prediction.rule is not None:
            self.summary.rule = prediction.rule.to_dict()


def _standing(frame: Frame, prediction: Prediction | None) -> Standing:
    if prediction is None:
        return Standing()
    meta, familiarity = frame.meta, prediction.familiarity
    shares = any(value is not None for value in (meta.page, meta.time, meta.window))  # with other frames of its file
    return Standing(
        promised=prediction.interval is not None,
        unlike=familiarity is not None and familiarity < WARN_BELOW,
        moment=meta.time is not None,
        file=str(meta.path) if shares and meta.path is not None else "",
    )


def _choices(listing: SourceFiles) -> tuple[object, ...]:
    """Return what is chosen about a listing; choices that are left out are not there, as in older versions."""
    regions = () if listing.regions is None else (listing.regions.digest(),)
    scale = () if listing.scale is None else (listing.scale,)
    video = () if listing.video == EACH_SECOND else (listing.video,)
    return (listing.selection, listing.every_page, *regions, *scale, *video)


def _state(path: Path | Url) -> str:
    """Return what changes when a file does; one that lies elsewhere is not asked."""
    if isinstance(path, Url):
        return path.shown
    try:
        state = path.stat()
    except OSError:
        return "-"
    return f"{state.st_size} {state.st_mtime_ns}"


def _settings(listing: SourceFiles, engine: Engine, write: Iterable[str]) -> Settings:
    """Return what the run is of, for later runs into the same folder."""
    names, contents = hashlib.sha256(), hashlib.sha256(repr(_choices(listing)).encode())
    for path, name in listing.files:
        names.update(name.encode() + b"\0")
        contents.update(_state(path).encode() + b"\0")
    by = engine.counted_by
    return Settings(
        model=by.model,
        weights=by.weights,
        runtime=by.runtime,
        write=tuple(write),
        images=len(listing.files),
        names=names.hexdigest(),
        contents=contents.hexdigest(),
        dotcount=version("dotcount"),
        shard=listing.shard,
    )
