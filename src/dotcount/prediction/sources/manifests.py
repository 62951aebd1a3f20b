"""Lists of images: a text file with a path or URL a line, or a csv or Parquet table with a column of them."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit
from urllib.request import url2pathname

from dotcount.errors import DataError
from dotcount.files import read_bytes
from dotcount.names import plain_cell
from dotcount.remote import DownloadLimits, Url, fetch
from dotcount.tables import read_texts

SUFFIXES = frozenset({".txt", ".csv", ".parquet"})
COLUMNS = ("image", "path", "file", "filename")
_MOST = 1 << 30


def names_in(path: Path) -> list[str]:
    r"""Return what a list names, in its order; empty lines are passed over.

    Raises
    ------
    DataError
        If the list can't be read, names nothing, or is a table without a column of paths.

    Examples
    --------
    >>> _ = Path("list.csv").write_text("image,plot\na.png,7\n")
    >>> names_in(Path("list.csv"))
    ['a.png']
    """
    names = read_texts(path, COLUMNS) if path.suffix.lower() == ".parquet" else _texts(path)
    found = [name.strip() for name in names if name.strip()]
    if not found:
        raise DataError(f"list {path} names no image; write one path a line")
    return found


def names_at(url: Url, limits: DownloadLimits) -> list[Url]:
    """Return the addresses that a list elsewhere names, absolute or relative to it.

    Raises
    ------
    DataError
        If it can't be had or read, or names files of this machine.
    """
    with TemporaryDirectory(prefix="dotcount-") as folder:
        path = Path(folder) / f"list{url.suffix}"
        fetch(url, path, limits)
        try:
            names = names_in(path)
        except DataError as error:
            raise DataError(str(error).replace(str(path), url.shown)) from error
    return [url.joined(name) for name in names]


def local_path(text: str) -> Path | None:
    """Return the file of this machine that an address ``file://`` stands for.

    Examples
    --------
    >>> local_path("file:///photos/a%20b.png").as_posix(), local_path("https://example.org/a.png")
    ('/photos/a b.png', None)
    """
    parts = urlsplit(text)
    if parts.scheme.lower() != "file":
        return None
    if parts.netloc not in ("", "localhost"):
        raise DataError(f"{text} names another machine; write file:/// and the path")
    return Path(url2pathname(parts.path))


def _texts(path: Path) -> list[str]:
    try:
        text = read_bytes(path, _MOST).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"list {path} is not UTF-8 text; save it as such") from error
    except OSError as error:
        raise DataError(f"list {path} can't be read ({error.strerror or error}); check the path") from error
    return text.splitlines() if path.suffix.lower() == ".txt" else _column(path, text)


def _column(path: Path, text: str) -> list[str]:
    table = csv.DictReader(io.StringIO(text, newline=""))
    columns = {(name or "").strip().lower(): name for name in table.fieldnames or ()}
    column = next((columns[name] for name in COLUMNS if name in columns), None)
    if column is None:
        raise DataError(f"list {path} has no column of paths; name one of its columns {', '.join(COLUMNS)}")
    return [plain_cell(row[column] or "") for row in table]
