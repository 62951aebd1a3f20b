"""Folders that appear complete or not at all, and folders that only one process may use."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dotcount.errors import OutputError
from dotcount.files import make_folder, reason, sync
from dotcount.temporary import remove, temporary_name

LOCK = ".dotcount-lock"


@contextmanager
def writing_folder(path: Path, *, replace: bool = False, durable: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``, which it becomes at the end of the block; nothing is left on failure.

    Parameters
    ----------
    path
        The folder to make.
    replace
        Take the place of what is there. A process killed in the moment of the exchange leaves the former folder under
        a hidden name, which the next call puts back.
    durable
        Wait until all is on the disk, for what hours of work went into.

    Raises
    ------
    OutputError
        If the folder is there, not empty, and not to be replaced, or the file system refuses.

    Examples
    --------
    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp()) / "results"
    >>> with writing_folder(place) as folder:
    ...     _ = (folder / "a.txt").write_text("complete", encoding="utf-8")
    ...     place.exists()
    False
    >>> [file.name for file in place.iterdir()]
    ['a.txt']
    """
    make_folder(path.parent)
    former = path.with_name(f".dotcount-{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:12]}.former")
    if former.exists():
        remove(former) if path.exists() else former.rename(path)
    if not replace and path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise OutputError(f"{path} exists already; choose another `out` or remove it")
    temporary = temporary_name(path)
    try:
        temporary.mkdir()
        yield temporary
        if durable:
            for folder, _, files in os.walk(temporary):
                for name in files:
                    sync(Path(folder) / name)
        if path.exists():
            path.rename(former)
        temporary.rename(path)
        if durable:
            sync(path.parent)
    except OSError as error:
        raise OutputError(f"can't write {path}: {reason(error)}; choose another `out`") from error
    finally:
        if former.exists() and not path.exists():
            former.rename(path)
        remove(former)
        remove(temporary)


@contextmanager
def locked(folder: Path, work: str = "dotcount") -> Iterator[None]:
    """Keep other processes from using ``folder`` in the same way while the block runs.

    The lock belongs to the process: it ends with it, also when that is killed. The file ``.dotcount-lock`` stays.

    Parameters
    ----------
    folder
        An existing folder.
    work
        What is done there, for the message.

    Raises
    ------
    OutputError
        If another process holds it.
    """
    from filelock import FileLock, Timeout

    path = folder / LOCK
    try:
        lock = FileLock(path, timeout=0)
        lock.acquire()
    except Timeout as error:
        raise OutputError(
            f"{folder} is in use by another {work}{_holder(path)}; wait until it has ended or choose another `out`"
        ) from error
    except OSError as error:
        raise OutputError(f"can't write to {folder}: {reason(error)}; choose another `out`") from error
    try:
        path.write_text(str(os.getpid()), encoding="utf-8")
        yield
    finally:
        lock.release()


def _holder(path: Path) -> str:
    try:
        number = path.read_text(encoding="utf-8")[:20]
    except (OSError, ValueError):
        return ""
    return f" (process {number})" if number.isdigit() else ""
