"""Every annotation format that can be written becomes an output, by one adapter from a prediction to a record."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from dotcount.data.formats import FORMATS
from dotcount.data.formats.base import Format, Sidecar, Table
from dotcount.data.records import Record
from dotcount.errors import DataError, UsageError
from dotcount.inference.result import Prediction
from dotcount.points import Points
from dotcount.prediction.frame import Frame
from dotcount.prediction.output import OutputFolder
from dotcount.prediction.sinks.base import SINKS, Sink
from dotcount.registry import did_you_mean

ROWS = "rows"


def record_of(frame: Frame, prediction: Prediction) -> Record:
    """Return the located points as if they were annotated, so that every format for dots can hold them."""
    points = Points(prediction.points, prediction.width, prediction.height)
    return Record(frame.meta.path or Path(frame.name), frame.name, points)


class Annotations(Sink):
    """Writes located points in an annotation format, into a folder of its name.

    Parameters
    ----------
    form
        The format; a table of all images is written at the end, files of single images as they come.
    """

    def __init__(self, form: Format) -> None:
        self.form = form
        self.title = f"points as {form.title}"
        self.names = (f"{form.name}/",)

    def open(self, out: OutputFolder) -> None:
        """Begin or continue."""
        self._out = out
        # Shards keep their rows, of which the table of all is made when they are merged.
        scratch = out.settings.shard == (1, 1)
        self._file = out.grow(f"{self.form.name}/{ROWS}", scratch=scratch) if isinstance(self.form, Table) else None
        self._taken: dict[PurePosixPath, str] = {}
        if isinstance(self.form, Sidecar):
            for name in out.done:
                self._taken.setdefault(self.form.place(PurePosixPath(name)), name)

    def write(self, frame: Frame, prediction: Prediction | None) -> None:
        """Write one image."""
        if prediction is None:
            return
        if self._file is not None:
            size = [prediction.width, prediction.height]
            self._file.write(json.dumps([frame.name, *size, prediction.points.tolist()]) + "\n")
            return
        assert isinstance(self.form, Sidecar)
        place = self.form.place(PurePosixPath(frame.name))
        owner = self._taken.setdefault(place, frame.name)
        if owner != frame.name:
            raise DataError(f"{self.form.name} would share the file {place} with {owner}; rename one image")
        with self._out.file(f"{self.form.name}/{place}") as path:
            self.form.write(path, record_of(frame, prediction))

    def close(self) -> None:
        """Write the table of all images."""
        if self._file is not None and isinstance(self.form, Table):
            with self._out.file(f"{self.form.name}/{self.form.filename}") as path:
                self.write_table(path, self._file.text())

    def write_table(self, path: Path, rows: str) -> None:
        """Write a table of the rows, one JSON list a line, that :meth:`write` made."""
        assert isinstance(self.form, Table)
        found = map(json.loads, rows.splitlines())
        self.form.write(path, [Record(Path(name), name, Points(xy, w, h)) for name, w, h, xy in found])


def writable() -> Iterator[str]:
    """Yield the names of all outputs: the sinks of their own, then the annotation formats that can be written."""
    yield from SINKS
    for name in FORMATS:
        if name not in SINKS and FORMATS.create(name).writable:
            yield name


def create_sink(name: str) -> Sink:
    """Return the sink called ``name``.

    Raises
    ------
    UsageError
        If there is none; the message lists the known names and suggests the nearest.
    """
    if name in SINKS:
        return SINKS.create(name)
    if name in FORMATS:
        form = FORMATS.create(name)
        if form.writable:
            return Annotations(form)
        raise UsageError(f"format {name!r} can only be read, so it can't be an output; use csv, for example")
    known = list(writable())
    raise UsageError(f"unknown output {name!r}.{did_you_mean(name, known)} Known: {', '.join(known)}.")
