"""Lists of images: a text file with a path a line, or a csv or Parquet table with a column of paths."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from dotcount.errors import DataError
from dotcount.files import read_bytes
from dotcount.tables import read_texts

SUFFIXES = frozenset({".txt", ".csv", ".parquet"})
COLUMNS = ("image", "path", "file", "filename")
_MOST = 1 << 30


def listed(path: Path) -> list[Path]:
    r"""Return the images that a list names, relative to its folder, in its order; empty lines are passed over.

    Raises
    ------
    DataError
        If the list can't be read, names nothing, or is a table without a column of paths.

    Examples
    --------
    >>> _ = Path("list.csv").write_text("image,plot\na.png,7\n")
    >>> [one.name for one in listed(Path("list.csv"))]
    ['a.png']
    """
    names = read_texts(path, COLUMNS) if path.suffix.lower() == ".parquet" else _texts(path)
    found = [path.parent / name.strip() for name in names if name.strip()]
    if not found:
        raise DataError(f"list {path} names no image; write one path a line")
    return found


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
    return [row[column] or "" for row in table]
