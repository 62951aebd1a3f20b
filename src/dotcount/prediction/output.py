"""The folder of a prediction run: growing files that can be continued, files of one image, one commit at the end."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath

from dotcount.errors import OutputError
from dotcount.files import make_folder, mark_output, output_of, reason, replacing
from dotcount.folders import LOCK, locked
from dotcount.names import below
from dotcount.prediction.journal import (
    MANIFEST,
    NOTHING_KNOWN,
    Done,
    Journal,
    Settings,
    Standing,
    Summary,
    read_manifest,
    write_manifest,
)
from dotcount.temporary import remove, remove_leftovers

PART = ".part"
KIND = "predictions"
"""What the marker calls these results."""

_LONGEST = 255
"""Bytes that file systems allow for a name."""


class GrowingFile:
    """A file that rows are added to; it has ``.part`` behind its name until the run is complete."""

    def __init__(self, path: Path, keep: int, *, scratch: bool = False) -> None:
        self.path, self.scratch = path, scratch
        self.part = path.with_name(path.name + PART)
        make_folder(path.parent)
        try:
            if keep and not self.part.exists() and path.exists():  # killed between the renaming of two files
                path.replace(self.part)
            self._file = self.part.open("r+b" if keep else "wb")
            self._file.truncate(keep)
            self._file.seek(keep)
        except OSError as error:
            raise OutputError(f"can't write {self.part}: {reason(error)}; choose another `out`") from error
        self.new = keep == 0

    def write(self, text: str) -> None:
        """Add text to the file."""
        try:
            self._file.write(text.encode("utf-8", "backslashreplace"))
        except OSError as error:
            raise self._full(error) from error

    def flush(self) -> int:
        """Hand what was added to the system and return how long the file is, bytes."""
        try:
            self._file.flush()
        except OSError as error:
            raise self._full(error) from error
        return self._file.tell()

    def text(self) -> str:
        """Return all that was added."""
        self.flush()
        return self.part.read_text(encoding="utf-8")

    def lines(self) -> Iterator[str]:
        """Yield the lines that were added, without having all of them in memory."""
        self.flush()
        with self.part.open(encoding="utf-8", newline="\n") as file:
            yield from file

    def close(self) -> None:
        """Close the file and leave it as it is."""
        try:
            self._file.close()
        except OSError as error:
            raise self._full(error) from error

    def commit(self) -> None:
        """Close the file and give it its name."""
        self.close()
        try:
            if not self.scratch:
                self.part.replace(self.path)
        except OSError as error:
            raise OutputError(f"can't write {self.path}: {reason(error)}; choose another `out`") from error

    def _full(self, error: OSError) -> OutputError:
        return OutputError(f"can't write {self.part}: {reason(error)}; free some space")


class OutputFolder:
    """Where the sinks of one run write.

    Parameters
    ----------
    path
        The folder; it may hold other things.
    settings
        What the results are of.
    names
        What the sinks write into the folder: files, and folders with a ``/`` behind their names.
    others
        What other sinks would write; of an earlier run in this folder it is removed as well.
    overwrite
        Whether results of other settings are removed instead of refused.

    Attributes
    ----------
    done
        What an earlier run of the same settings has finished, by name of the frame.
    complete
        What came of it, if that run had come to its end.

    Raises
    ------
    OutputError
        If the folder can't be written to, holds results of other settings, or is being written to.
    """

    def __init__(
        self,
        path: Path,
        settings: Settings,
        names: Sequence[str],
        *,
        others: Iterable[str] = (),
        overwrite: bool = False,
    ) -> None:
        self.path, self.settings = path, settings
        self.names, self._others = (*names, MANIFEST), tuple(others)
        make_folder(path)
        self._lock = ExitStack()
        locks = (path / LOCK).exists()
        self._lock.enter_context(locked(path, "prediction"))
        self._journal = Journal(path)
        try:
            self._growing: dict[str, GrowingFile] = {}
            self.done: dict[str, Done] = {}
            self.complete: Summary | None = None
            self._lengths: dict[str, int] = {}
            self._begin(overwrite)
        except BaseException:
            self._journal.close(remove=not self._journal.size)
            self._lock.close()
            if not locks:  # nothing of ours stays in a folder that is refused
                remove(path / LOCK)
            raise

    def _begin(self, overwrite: bool) -> None:
        journal, manifest = self._journal.read(), read_manifest(self.path)
        earlier = journal[0] if journal is not None else manifest[0] if manifest is not None else None
        if overwrite:
            self._remove()
        elif earlier is not None:
            difference = self.settings.difference(earlier)
            if difference is not None:
                raise OutputError(
                    f"{self.path} holds results {difference}; choose another `out`, or set `overwrite` to replace them"
                )
            if journal is not None:
                self._continue(journal[1], journal[2])
            elif manifest is not None and all((self.path / name).exists() for name in self.names if "/" not in name):
                self.complete = manifest[1]
                self._journal.close(remove=True)
                self._lock.close()
                return
        elif there := [name for name in self.names if (self.path / name).exists()]:
            raise OutputError(
                f"{self.path} holds {there[0]}, from something else than this run; choose another `out`, "
                "or set `overwrite` to replace it"
            )
        if not self.done:  # before there is any other file: what a run that is killed now leaves is known for its own
            self._journal.start(self.settings, [])
        for place in (self.path, *(path for path in self.path.rglob("*") if path.is_dir())):
            remove_leftovers(place)
        mark_output(self.path, KIND, "dotcount predict", [name.rstrip("/") for name in self.names])

    def _continue(self, growing: list[str], done: list[Done]) -> None:
        """Keep the frames whose rows are all there; after a loss of power the last ones may lack some."""
        sizes = [_size(self.path / name) for name in growing]
        while done and any(end > size for end, size in zip(done[-1].ends, sizes)):
            done.pop()
        if done:
            self._lengths = dict(zip(growing, done[-1].ends))
            self.done = {each.name: each for each in done}

    def _remove(self) -> None:
        """Remove what an earlier run left here; a folder only where the marker says that it is one of ours."""
        found = output_of(self.path)
        marked = set(found.names) if found is not None and found.kind == KIND else set()
        for name in dict.fromkeys((*self._others, *self.names)):  # the manifest last
            path, ours = self.path / name.rstrip("/"), name.rstrip("/") in marked
            if name not in self.names and not ours:
                continue
            if path.is_dir() and not path.is_symlink():
                if not ours:
                    raise OutputError(f"{path} is there already, and not from this package; choose another `out`")
                shutil.rmtree(path)
            else:
                remove(path)
                remove(path.with_name(path.name + PART))

    # For sinks

    def grow(self, name: str, *, scratch: bool = False) -> GrowingFile:
        """Return a file that rows are added to; what belongs to frames that are not done has been cut off.

        One for ``scratch`` is removed in the end.
        """
        self._growing[name] = file = GrowingFile(self.path / name, self._lengths.get(name, 0), scratch=scratch)
        return file

    @contextmanager
    def file(self, name: str) -> Iterator[Path]:
        """Yield a temporary name for the file ``name`` (with ``/``) of the folder; it gets its own at the end."""
        with replacing(below(self.path, fitting(name), "file")) as temporary:
            yield temporary

    # For the run

    def start(self) -> None:
        """Begin, when all sinks are open."""
        if self.done:
            self._journal.go_on(len(self.done))
        else:
            self._journal.start(self.settings, list(self._growing))

    def finish(
        self,
        name: str,
        count: float | None,
        error: str | None,
        warned: bool,
        standing: Standing = NOTHING_KNOWN,
    ) -> None:
        """State that everything about one frame is written; what it was is for :meth:`Summary.add`."""
        ends = tuple(growing.flush() for growing in self._growing.values())
        self._journal.add(Done(name, count, error, warned, ends, standing))

    def commit(self, summary: Summary) -> None:
        """Give all files their final names and state that the results are complete."""
        for file in self._growing.values():
            file.commit()
        write_manifest(self.path, self.settings, summary)
        for file in self._growing.values():
            if file.scratch:
                remove(file.part)
        self._journal.close(remove=True)
        self._lock.close()

    def close(self) -> None:
        """Leave an unfinished run so that it can be continued."""
        for file in self._growing.values():
            file.close()
        self._journal.close(remove=False)
        self._lock.close()


def fitting(name: str) -> str:
    """Return a relative file name that a file system takes: no part longer than 255 bytes, none that leads elsewhere.

    Where something must be cut, a digest of the whole name keeps it unique.

    Examples
    --------
    >>> fitting("overlays/a/b.png.jpg")
    'overlays/a/b.png.jpg'
    >>> len(fitting("n" * 254 + ".png.jpg")), fitting("../a.png").startswith(".._")
    (255, False)
    """
    parts = []
    for part in PurePosixPath(name).parts:
        if part in ("..", "/") or len(os.fsencode(part)) > _LONGEST:
            digest, suffix = hashlib.sha256(name.encode()).hexdigest()[:10], PurePosixPath(part).suffix[-12:]
            room = _LONGEST - len(digest) - len(os.fsencode(suffix)) - 1
            stem = os.fsencode(part.removesuffix(suffix).strip("./"))[:room].decode("utf-8", "ignore")
            part = f"{stem}~{digest}{suffix}"
        parts.append(part)
    return "/".join(parts)


def _size(path: Path) -> int:
    for each in (path.with_name(path.name + PART), path):
        if each.exists():
            return each.stat().st_size
    return 0
