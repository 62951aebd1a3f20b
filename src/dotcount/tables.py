"""Parquet tables; the only user of pyarrow, which comes with the extra ``tables``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from dotcount.errors import DataError, OutputError
from dotcount.files import reason

GROUP = 65_536
"""Rows of a row group: so many are in memory at a time."""

_MISSING = "needs the extra tables; install it with: pip install 'dotcount[tables]'"


def read_texts(path: Path, columns: Sequence[str]) -> list[str]:
    """Return the first of the columns that a Parquet file has, as texts; missing ones are empty.

    Parameters
    ----------
    path
        The file.
    columns
        Names in lower case, in the order in which they are looked for.

    Raises
    ------
    DataError
        If the extra ``tables`` is missing, or the file is damaged, has none of the columns or no texts in it.

    Examples
    --------
    >>> write_rows(Path("a.parquet"), {"image": str, "plot": float}, [{"image": "a.png", "plot": 7.0}])
    >>> read_texts(Path("a.parquet"), ["path", "image"])
    ['a.png']
    """
    pq, arrow = _parquet()
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            found = {name.strip().lower(): name for name in schema.names}
            name = next((found[column] for column in columns if column in found), None)
            if name is None:
                raise DataError(f"table {path} has no column of paths; name one of its columns {', '.join(columns)}")
            kind = schema.field(name).type
            inner = kind.value_type if arrow.types.is_dictionary(kind) else kind
            if not (arrow.types.is_string(inner) or arrow.types.is_large_string(inner)):
                raise DataError(
                    f"column {name!r} of table {path} holds {kind}, no texts; write the paths of the images"
                )
            batches = file.iter_batches(batch_size=GROUP, columns=[name])
            return [text or "" for batch in batches for text in batch.column(0).to_pylist()]
    except (arrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"table {path} can't be read ({' '.join(str(error).split())[:200]}); write it anew") from error


def require_tables() -> None:
    """Raise a :class:`DataError` if the extra ``tables`` is missing.

    Examples
    --------
    >>> require_tables()
    """
    _parquet()


def write_rows(path: Path, columns: Mapping[str, type], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a Parquet file in row groups of :data:`GROUP`, so that the memory it takes is bounded.

    Parameters
    ----------
    path
        The file.
    columns
        Names and types, ``str`` or ``float``.
    rows
        Values by column; ``None``: missing.

    Raises
    ------
    DataError
        If the extra ``tables`` is missing.
    OutputError
        If the file can't be written.

    Examples
    --------
    >>> write_rows(Path("b.parquet"), {"image": str, "count": float}, [{"image": "a.png", "count": None}])
    >>> Path("b.parquet").exists()
    True
    """
    pq, arrow = _parquet()
    types = {str: arrow.string(), float: arrow.float64()}
    schema = arrow.schema([(name, types[kind]) for name, kind in columns.items()])
    left = iter(rows)
    with _writing(path), pq.ParquetWriter(path, schema, compression="zstd") as writer:
        while group := list(islice(left, GROUP)):
            writer.write_table(arrow.Table.from_pylist(group, schema))


def concatenate(path: Path, parts: Sequence[Path]) -> None:
    """Write the rows of several Parquet files of the same columns behind each other, in row groups of :data:`GROUP`.

    Raises
    ------
    DataError
        If the extra ``tables`` is missing, or the files have different columns.
    OutputError
        If the file can't be written.

    Examples
    --------
    >>> write_rows(Path("c.parquet"), {"image": str}, [{"image": "a.png"}])
    >>> concatenate(Path("d.parquet"), [Path("c.parquet"), Path("c.parquet")])
    >>> read_texts(Path("d.parquet"), ["image"])
    ['a.png', 'a.png']
    """
    pq, arrow = _parquet()
    try:
        schema = pq.read_schema(parts[0])
        for part in parts:
            if pq.read_schema(part) != schema:
                raise DataError(f"{part} has other columns than {parts[0]}; write both with one version")
        with _writing(path), pq.ParquetWriter(path, schema, compression="zstd") as writer:
            waiting = schema.empty_table()
            for part in parts:
                with pq.ParquetFile(part) as file:
                    for batch in file.iter_batches(batch_size=GROUP):
                        waiting = arrow.concat_tables([waiting, arrow.Table.from_batches([batch])]).combine_chunks()
                        if len(waiting) >= GROUP:
                            writer.write_table(waiting[:GROUP])
                            waiting = waiting[GROUP:]
            if len(waiting):
                writer.write_table(waiting)
    except arrow.ArrowException as error:
        raise DataError(f"tables such as {parts[0]} can't be read ({error}); write them anew") from error


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn what goes wrong with a file that is written into an :class:`OutputError`."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"can't write {path}: {reason(error)}; free some space") from error


def _parquet() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise DataError(f"reading and writing Parquet tables {_MISSING}") from error
    return pyarrow.parquet, pyarrow
