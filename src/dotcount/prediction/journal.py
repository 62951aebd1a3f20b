"""The memory of a prediction run: which frames are done, so that a run that was killed goes on where it stopped."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dotcount.errors import OutputError
from dotcount.files import reason, write_text
from dotcount.prediction.sources.search import OWN

if TYPE_CHECKING:
    from dotcount.calibration import CombinedCount
    from dotcount.metadata import CountInterval

JOURNAL, MANIFEST = "prediction.part", "prediction.json"


@dataclass(frozen=True)
class Settings:
    """What makes two prediction runs the same; only then may one continue the other.

    Attributes
    ----------
    model
        Name of the network.
    weights
        Digest of its weights and metadata.
    runtime
        What ran it; versions that did not state it had PyTorch only.
    write
        Names of the sinks.
    shard
        (i, n): the i-th of n parts of the images; names and contents are of all.
    images
        Number of files to count.
    names, contents
        Digests of their names, and of their sizes and times of change.
    dotcount
        Version of the package.
    """

    model: str
    weights: str
    write: tuple[str, ...]
    images: int
    names: str
    contents: str
    dotcount: str
    runtime: str = "torch"
    shard: tuple[int, int] = (1, 1)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Settings:
        """Rebuild from plain values; KeyError or TypeError where they are not those of settings."""
        index, number = values.get("shard", (1, 1))
        return cls(**{**values, "write": tuple(values["write"]), "shard": (int(index), int(number))})

    def difference(self, other: Settings) -> str | None:
        """Return what tells the two apart, in words, or ``None`` if they are the same."""
        if self.weights != other.weights:
            return f"of another model ({other.model})"
        if self.names != other.names or self.images != other.images:
            return f"of other images ({other.images:,} of them)"
        if self.contents != other.contents:
            return "of images that have changed since"
        if self.shard != other.shard:
            return f"of shard {other.shard[0]} of {other.shard[1]}"
        if self.write != other.write:
            return f"of another kind ({', '.join(other.write)})"
        if self.runtime != other.runtime:
            return f"counted by another runtime ({other.runtime})"
        if self.dotcount != other.dotcount:
            return f"of dotcount {other.dotcount}"
        return None


@dataclass(frozen=True)
class Standing:
    """What a count is worth in a sum.

    Attributes
    ----------
    promised
        Whether it has an interval.
    unlike
        Whether its image is unlike the training images.
    moment
        Whether it is of a moment of a video.
    file
        Name of what its frame shares with others, a video or a stack, whose errors are alike; empty if alone.

    Examples
    --------
    >>> Standing(promised=True, file="stack.tif").unlike
    False
    """

    promised: bool = False
    unlike: bool = False
    moment: bool = False
    file: str = ""


NOTHING_KNOWN = Standing()


@dataclass
class Summary:
    """What came of a run.

    Attributes
    ----------
    counted, failed, warned
        Numbers of frames: with a count, without one, and with a warning.
    count
        Sum of all counts.
    first_error
        The error of the first frame that failed.
    left_out
        What the sources left out: (name, kind, way out) of each.
    earlier
        How many of the frames an earlier, unfinished run of the same settings had done.
    without_interval
        Frames with a count and no interval.
    unlike
        Frames with a count that are unlike the training images.
    moments
        Frames with a count that are moments of a video.
    common, squares, files
        What the interval of the sum rests on, see :func:`dotcount.calibration.combined`; ``files`` holds the sums over
        frames that share one.
    rule
        The model's interval, see :meth:`dotcount.metadata.CountInterval.to_dict`; None until a count has one.

    Examples
    --------
    >>> summary = Summary()
    >>> summary.add(12.5, None, warned=False)
    >>> summary.add(None, "b.png: truncated; copy it again", warned=False)
    >>> summary.total, summary.failed, summary.first_error
    (2, 1, 'b.png: truncated; copy it again')
    """

    counted: int = 0
    failed: int = 0
    warned: int = 0
    count: float = 0.0
    first_error: str | None = None
    left_out: list[tuple[str, str, str]] = field(default_factory=list)
    earlier: int = 0
    without_interval: int = 0
    unlike: int = 0
    moments: int = 0
    common: float = 0.0
    squares: float = 0.0
    files: dict[str, float] = field(default_factory=dict)
    rule: dict[str, object] | None = None

    @property
    def lacking(self) -> int:
        """Number of files that might have been counted and were left out; results of this package are none."""
        return sum(kind != OWN for _, kind, _ in self.left_out)

    @property
    def total(self) -> int:
        """Number of frames."""
        return self.counted + self.failed

    def add(self, count: float | None, error: str | None, warned: bool, standing: Standing = NOTHING_KNOWN) -> None:
        """Add one frame.

        Parameters
        ----------
        count, error
            What came of it.
        warned
            Whether there is a warning.
        standing
            What its count is worth in a sum.
        """
        self.warned += warned
        if count is None:
            self.failed += 1
            self.first_error = self.first_error or error
            return
        self.counted += 1
        self.count += count
        self.without_interval += not standing.promised
        self.unlike += standing.unlike
        self.moments += standing.moment
        size = math.sqrt(max(count, 0.0) + 1)
        self.common += size**2
        if standing.file:
            self.files[standing.file] = self.files.get(standing.file, 0.0) + size
        else:
            self.squares += size**2

    def sum(self, interval: CountInterval | None = None) -> CombinedCount:
        """Return the sum of all counts with its interval; a single count has its own.

        Frames of one file are taken to err alike, files independently. ``interval`` is the model's, where it is known.
        """
        return self._combined(interval, 1.0)

    def mean(self, interval: CountInterval | None = None) -> CombinedCount:
        """Return the mean of all counts with its interval, as :meth:`sum` does."""
        return self._combined(interval, 1 / max(1, self.counted))

    def _combined(self, interval: CountInterval | None, weight: float) -> CombinedCount:
        from dotcount.calibration.sums import CombinedCount, combined, void
        from dotcount.metadata import CountInterval

        if interval is None and self.rule is not None:
            interval = CountInterval.from_dict(self.rule)
        reason = ""
        if interval is not None:
            reason = interval.reason or void(self.counted, self.without_interval, self.unlike)
        if reason:
            return CombinedCount(weight * self.count, None, None, None, reason)
        if interval is not None and self.counted == 1:
            return CombinedCount(self.count, *interval.interval(max(0.0, self.count)), interval.level)
        squares = self.squares + sum(size**2 for size in self.files.values())
        return combined(interval, weight * self.count, weight * self.common, weight**2 * squares)


@dataclass(frozen=True)
class Done:
    """One frame that is done, with what its count is worth, and how long each growing file was then, bytes."""

    name: str
    count: float | None
    error: str | None
    warned: bool
    ends: tuple[int, ...]
    standing: Standing = NOTHING_KNOWN


class Journal:
    """An append-only file: the settings and the names of the growing files, then a line for each frame that is done.

    A line is written when everything about its frame is; a line cut off in the middle does not count. Settings that
    stand farther down begin the run anew: nothing is ever cut off for it, so that there is no moment without them.

    Parameters
    ----------
    folder
        Where the results go.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / JOURNAL
        self._ends: list[int] = []
        try:
            self._file = self.path.open("a+b")
        except OSError as error:
            raise OutputError(f"can't write {self.path}: {reason(error)}; choose another `out`") from error

    @property
    def size(self) -> int:
        """How long the file is, bytes."""
        return os.fstat(self._file.fileno()).st_size

    def read(self) -> tuple[Settings, list[str], list[Done]] | None:
        """Return settings, growing files and frames done, or ``None`` if nothing whole is there."""
        self._file.seek(0)
        lines = self._file.read().split(b"\n")[:-1]
        ends = itertools.accumulate(len(line) + 1 for line in lines)
        found: tuple[Settings, list[str], list[Done]] | None = None
        whole = False
        for line, end in zip(lines, ends):
            if not line:
                continue
            try:
                values = json.loads(line)
                if "settings" in values:
                    found = (Settings.from_dict(values["settings"]), [str(name) for name in values["growing"]], [])
                    self._ends, whole = [end], True
                elif found is not None and whole:
                    found[2].append(_done(values))
                    self._ends.append(end)
            except (ValueError, KeyError, TypeError):  # a disk that was full, or a machine that lost its power
                whole = False
        return found

    def start(self, settings: Settings, growing: Sequence[str]) -> None:
        """Begin a new run: whatever stands above is forgotten."""
        self._append("\n" + json.dumps({"settings": asdict(settings), "growing": list(growing)}) + "\n")

    def go_on(self, done: int) -> None:
        """Continue after the first ``done`` frames of what :meth:`read` returned."""
        self._file.truncate(self._ends[done])

    def add(self, done: Done) -> None:
        """Write that one frame is done."""
        self._append(json.dumps(asdict(done)) + "\n")

    def close(self, *, remove: bool) -> None:
        """Close the file; remove it when the results have their final names."""
        if remove:
            self.path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # a line that the disk refused, and that has been told of, is tried again
            self._file.close()

    def _append(self, text: str) -> None:
        try:
            self._file.write(text.encode())
            self._file.flush()
        except OSError as error:
            raise OutputError(f"can't write {self.path}: {reason(error)}; free some space") from error


def _done(values: dict[str, Any]) -> Done:
    ends, standing = tuple(map(int, values["ends"])), Standing(**values["standing"])
    return Done(**{**values, "ends": ends, "standing": standing})


def write_manifest(folder: Path, settings: Settings, summary: Summary) -> None:
    """Write ``prediction.json``, which says that the results are complete, and of what."""
    content = {"settings": asdict(settings), "summary": asdict(summary)}
    write_text(folder / MANIFEST, json.dumps(content, indent=1) + "\n")


def read_manifest(folder: Path) -> tuple[Settings, Summary] | None:
    """Return what a complete run in this folder was of and what came of it, or ``None``."""
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        summary = Summary(**content["summary"])
        summary.left_out = [(str(a), str(b), str(c)) for a, b, c in summary.left_out]
        return Settings.from_dict(content["settings"]), summary
    except (OSError, ValueError, KeyError, TypeError):
        return None
