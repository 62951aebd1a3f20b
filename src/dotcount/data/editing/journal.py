"""A list of changes that are not in the data set's own files yet, one a line, on the disk before they are confirmed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from dotcount.data.editing.marks import MarkChange
from dotcount.errors import AnnotationError, OutputError
from dotcount.files import make_folder, read_bytes, reason, sync, write_text
from dotcount.temporary import remove

FOLDER = ".dotcount"
"""The hidden folder of a data set that holds what its own format has no place for."""

JOURNAL = "journal.jsonl"
_MOST_BYTES = 1 << 30


class ChangeJournal:
    """The journal of a data set.

    Parameters
    ----------
    path
        Its file; made with the first change, removed with the last.

    Examples
    --------
    >>> from pathlib import Path
    >>> from dotcount.data.editing.marks import Mark
    >>> journal = ChangeJournal(Path("journal.jsonl"))
    >>> journal.append("a.png", MarkChange({Mark(3.0, 4.0): 1}))
    >>> [name for name, change in journal.read()]
    ['a.png']
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None

    def read(self) -> Iterator[tuple[str, MarkChange]]:
        """Yield (image, change) in the order in which they were made.

        The last line of a killed process may be incomplete: it was not confirmed, and is passed over.

        Raises
        ------
        AnnotationError
            If another line can't be read.
        """
        if not self.path.exists():
            return
        try:
            lines = read_bytes(self.path, _MOST_BYTES).split(b"\n")
        except OSError as error:
            raise AnnotationError(f"journal {self.path}: {reason(error)}; check the file") from error
        for line, text in enumerate(lines[:-1], start=1):
            try:
                content = json.loads(text)
                yield str(content["image"]), MarkChange.parse(content)
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                raise AnnotationError(
                    f"journal {self.path}, line {line} is no change of dots; mend the line, or remove it"
                ) from error

    def append(self, image: str, change: MarkChange) -> None:
        """Write a change and wait until it is on the disk.

        Raises
        ------
        OutputError
            If that is not possible; nothing of it counts as written then.
        """
        new = self._handle is None
        try:
            if self._handle is None:
                make_folder(self.path.parent)
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
                self._handle = os.open(self.path, flags, 0o666)
            before = os.fstat(self._handle).st_size
            try:
                _write_all(self._handle, _line(image, change))
                os.fsync(self._handle)
            except OSError:
                os.ftruncate(self._handle, before)
                raise
        except OSError as error:
            raise OutputError(f"can't write {self.path}: {reason(error)}; the change was not made") from error
        if new:
            sync(self.path.parent)

    def replace(self, changes: Iterable[tuple[str, MarkChange]]) -> None:
        """Keep these changes and no others."""
        self.close()
        lines = b"".join(_line(image, change) for image, change in changes)
        if lines:
            write_text(self.path, lines.decode(), durable=True)
        else:
            remove(self.path)

    def close(self) -> None:
        """Close the file; the next change opens it again."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _line(image: str, change: MarkChange) -> bytes:
    return json.dumps({"image": image, **change.told()}).encode() + b"\n"


def _write_all(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]


def pending(root: Path) -> int:
    """Return how many confirmed changes are in the journal below a folder, and not in the files of the data set.

    Examples
    --------
    >>> from pathlib import Path
    >>> pending(Path("."))
    0
    """
    try:
        return read_bytes(root / FOLDER / JOURNAL, _MOST_BYTES).count(b"\n")
    except OSError:
        return 0
