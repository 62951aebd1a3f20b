"""Writing results so that nothing half-written is ever seen under its final name."""

from __future__ import annotations

import contextlib
import csv
import difflib
import errno
import io
import json
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from dotcount.errors import OutputError
from dotcount.names import cell
from dotcount.temporary import remove, temporary_name

MARKER = "dotcount.json"
"""The file that says which results lie in a folder."""


def require_writable(path: Path) -> None:
    """Raise an :class:`OutputError` if the folder ``path`` can't be made or written to; creates nothing.

    Asked before hours of work, so that they aren't lost at the end.

    Examples
    --------
    >>> from pathlib import Path
    >>> require_writable(Path("new/folder"))
    >>> Path("new").exists()
    False
    """
    place = path
    while not place.exists() and place != place.parent:
        place = place.parent
        if place.is_file():
            break
    if not place.is_dir():
        raise OutputError(f"can't write to {path}: {place} is a file, not a folder; choose another `out`")
    if not os.access(place, os.W_OK | os.X_OK):
        raise OutputError(f"can't write to {path}: no permission in {place}; choose another `out`")


def make_folder(path: Path) -> Path:
    """Create the folder ``path`` with its parents and return it.

    Examples
    --------
    >>> from pathlib import Path
    >>> make_folder(Path("new/folder")).is_dir()
    True
    """
    require_writable(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"can't write to {path}: {reason(error)}; choose another `out`") from error
    return path


def reason(error: OSError) -> str:
    """Return what the system says of a failure.

    Examples
    --------
    >>> import errno
    >>> reason(OSError(errno.ENOSPC, "No space left on device"))
    'no space is left on the disk'
    """
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None)):
        return "no space is left on the disk"
    return error.strerror or str(error) or type(error).__name__


def sync(path: Path) -> None:
    """Wait until a file or a folder is on the disk, to outlast a power cut; where that can't be asked, don't.

    Examples
    --------
    >>> from pathlib import Path
    >>> _ = Path("a.txt").write_text("kept")
    >>> sync(Path("a.txt"))
    """
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def replacing(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; renamed onto it at the end, removed when the block fails.

    Parameters
    ----------
    path
        The file to write; its folder is made if needed.
    durable
        Wait until it is on the disk, for what hours of work went into.

    Examples
    --------
    >>> from pathlib import Path
    >>> with replacing(Path("out/a.txt")) as temporary:
    ...     _ = temporary.write_text("complete")
    >>> Path("out/a.txt").read_text()
    'complete'
    """
    make_folder(path.parent)
    temporary = temporary_name(path)
    try:
        yield temporary
        if durable:
            sync(temporary)
        temporary.replace(path)
        if durable:
            sync(path.parent)
    except OSError as error:
        raise OutputError(f"can't write {path}: {reason(error)}; choose another `out`") from error
    finally:
        remove(temporary)


def write_text(path: Path, text: str, *, durable: bool = False) -> None:
    """Write a UTF-8 text file in one step; see :func:`replacing`.

    Examples
    --------
    >>> from pathlib import Path
    >>> write_text(Path("out/a.txt"), "complete")
    >>> Path("out/a.txt").read_text()
    'complete'
    """
    with replacing(path, durable=durable) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


class CsvWriter:
    """A context manager that writes rows; the file appears, complete, when the block ends without an error.

    Parameters
    ----------
    path
        The file to write; its folder is made if needed.
    columns
        Names in the first line.

    Examples
    --------
    >>> from pathlib import Path
    >>> with CsvWriter(Path("counts.csv"), ("image", "count")) as rows:
    ...     rows.write("a.png", 12.34567)
    ...     rows.write("b.png", None)
    >>> Path("counts.csv").read_text().splitlines()
    ['image,count', 'a.png,12.3457', 'b.png,']
    """

    def __init__(self, path: Path, columns: Iterable[str]) -> None:
        self.path = path
        self.columns = tuple(columns)
        self._temporary: Path
        self._file: IO[str]
        self._writer: Any

    def __enter__(self) -> CsvWriter:
        make_folder(self.path.parent)
        self._temporary = temporary_name(self.path)
        try:
            self._file = self._temporary.open("w", encoding="utf-8", newline="")
        except OSError as error:
            raise OutputError(f"can't write {self.path}: {reason(error)}; choose another `out`") from error
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(self.columns)
        return self

    def write(self, *values: object) -> None:
        """Write one row; floats are written with up to four decimals, None as an empty field."""
        try:
            self._writer.writerow([_text(value) for value in values])
        except OSError as error:
            raise OutputError(f"can't write {self.path}: {reason(error)}; choose another `out`") from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()
            if kind is None:
                self._temporary.replace(self.path)
        except OSError as failure:
            raise OutputError(f"can't write {self.path}: {reason(failure)}; choose another `out`") from failure
        finally:
            remove(self._temporary)


def csv_line(*values: object) -> str:
    """Return one row of a csv file; floats have up to four decimals, None is an empty field.

    Examples
    --------
    >>> print(csv_line("a.png", 12.34567, None), end="")
    a.png,12.3457,
    """
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow([_text(value) for value in values])
    return line.getvalue()


def _text(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, str):
        return cell(value)
    if isinstance(value, float):  # numpy's float64 is one
        return f"{value:.4f}".rstrip("0").rstrip(".")
    return value


# Folders of results


@dataclass(frozen=True)
class Output:
    """What the marker of a folder says: the kind of results, what wrote them, and their names (none: all of it).

    ``source``: the folder of the images that the folder holds copies of.

    Examples
    --------
    >>> from pathlib import Path
    >>> mark_output(Path("."), "predictions", "dotcount predict", ["counts.csv"])
    >>> output_of(Path("."))
    Output(kind='predictions', created_by='dotcount predict', names=('counts.csv',), source=None)
    """

    kind: str
    created_by: str
    names: tuple[str, ...] = ()
    source: Path | None = None


def mark_output(
    folder: Path, kind: str, created_by: str, names: Sequence[str] = (), *, source: Path | None = None
) -> None:
    """Write ``dotcount.json``, by which reading data knows results from what people brought, and leaves them out.

    Parameters
    ----------
    folder
        Where the results lie.
    kind
        ``data`` for what is meant to be read as data again, else what it is ("predictions", "run", "evaluation").
    created_by
        The command ("dotcount predict").
    names
        Files and folders of the results, relative to ``folder``, where other things may lie beside them. Those of
        an earlier marker of the same folder are kept. None: the whole folder.
    source
        Where the images come from that a folder of data holds copies of: reading that place leaves the copies out.

    Examples
    --------
    >>> from pathlib import Path
    >>> mark_output(Path("."), "predictions", "dotcount predict", ["counts.csv"])
    >>> is_output(Path("."))
    True
    """
    from importlib.metadata import PackageNotFoundError, version

    earlier = output_of(folder)
    if names and earlier is not None and earlier.kind != "data":
        names = [*dict.fromkeys((*earlier.names, *names))] if earlier.names else []
    try:
        number = version("dotcount")
    except PackageNotFoundError:
        number = "unknown"
    entry = {"kind": kind, "created_by": created_by, "dotcount": number, "names": list(names)}
    if source is not None:
        entry["source"] = str(source.resolve())
    write_text(folder / MARKER, json.dumps(entry, indent=1) + "\n")


def output_of(folder: Path) -> Output | None:
    """Return what the marker of a folder says, or ``None`` without one; never raises.

    Examples
    --------
    >>> from pathlib import Path
    >>> output_of(Path(".")) is None
    True
    >>> mark_output(Path("."), "data", "dotcount data convert")
    >>> output_of(Path(".")).kind
    'data'
    """
    try:
        content = json.loads(read_bytes(folder / MARKER, 1 << 20))
        kind, created_by, names = content["kind"], content["created_by"], content.get("names", [])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if not isinstance(kind, str) or not isinstance(created_by, str) or not isinstance(names, list):
        return None
    created_by = "".join(c for c in created_by if c.isprintable())[:60]
    source = content.get("source")
    return Output(kind, created_by, tuple(map(str, names)), Path(source) if isinstance(source, str) else None)


@contextmanager
def marking(folder: Path, kind: str, created_by: str) -> Iterator[None]:
    """Mark what the block writes into a folder: the whole folder if it was empty or ours, else the names that are new.

    See :func:`mark_output`. What a block that fails has written is marked as well.

    Examples
    --------
    >>> from pathlib import Path
    >>> with marking(Path("."), "predictions", "dotcount predict"):
    ...     write_text(Path("counts.csv"), "image,count")
    >>> output_of(Path(".")).kind
    'predictions'
    """
    before = _contents(folder)
    earlier = output_of(folder)
    whole = not before or (earlier is not None and earlier.kind != "data" and not earlier.names)
    try:
        yield
    finally:
        after = _contents(folder)
        names = sorted(name for name, state in after.items() if before.get(name) != state)
        if names:
            mark_output(folder, kind, created_by, () if whole else names)


def _contents(folder: Path) -> dict[str, tuple[int, int]]:
    """Return inode and time of change of what lies in a folder, hidden files and the marker aside."""
    if not folder.is_dir():
        return {}
    entries = [e for e in os.scandir(folder) if not e.name.startswith(".") and e.name != MARKER]
    states = [(e.name, e.stat(follow_symlinks=False)) for e in entries]
    return {name: (state.st_ino, state.st_mtime_ns) for name, state in states}


def is_output(folder: Path) -> bool:
    """Return whether the folder holds results of this package that are not data.

    Examples
    --------
    >>> from pathlib import Path
    >>> is_output(Path("."))
    False
    >>> mark_output(Path("."), "predictions", "dotcount predict")
    >>> is_output(Path("."))
    True
    """
    found = output_of(folder)
    return found is not None and found.kind != "data"


# Reading what others wrote


def regular_file(path: Path) -> int:
    """Return the size of a regular file, bytes; links are followed. To be asked before a file is opened.

    Raises
    ------
    OSError
        If it is a folder, a pipe (which would wait for a writer) or a device (which may have no end), or is missing.

    Examples
    --------
    >>> from pathlib import Path
    >>> _ = Path("a.txt").write_text("four")
    >>> regular_file(Path("a.txt"))
    4
    """
    state = path.stat()
    if stat.S_ISREG(state.st_mode):
        return state.st_size
    kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))
    kind = next((words for holds, words in kinds if holds(state.st_mode)), "a device")
    raise OSError(f"it is {kind}, not a regular file")


def read_bytes(path: Path, most: int) -> bytes:
    """Return the bytes of a regular file of at most ``most`` bytes.

    Raises
    ------
    OSError
        If it is no regular file (a pipe or a device would never end), larger, or unreadable.

    Examples
    --------
    >>> from pathlib import Path
    >>> _ = Path("a.txt").write_text("four")
    >>> read_bytes(Path("a.txt"), most=100)
    b'four'
    """
    regular_file(path)
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(f"it is larger than {most:,} bytes")
    return data


def nearest(path: Path) -> str:
    """Return `` Did you mean 'PATH'?`` for what exists under a similar name, or an empty string.

    Examples
    --------
    >>> from pathlib import Path
    >>> _ = make_folder(Path("images"))
    >>> nearest(Path("imagse"))
    " Did you mean 'images'?"
    """
    place = path
    while not place.exists() and place != place.parent:
        place, missing = place.parent, place.name
        if place.is_dir():
            try:
                there = [path.name for path in place.iterdir()]
            except OSError:
                return ""
            same = [name for name in there if name.casefold() == missing.casefold()]
            close = same or difflib.get_close_matches(missing, there, n=1, cutoff=0.6)
            return f" Did you mean {str(place / close[0])!r}?" if close else ""
    return ""
