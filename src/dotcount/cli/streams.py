"""Standard output and error that a reader who leaves, or who was never there, can't stop the work by."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

_GONE = (errno.EPIPE, errno.EBADF, errno.ESHUTDOWN)


class TolerantStream:
    """A text stream whose writes go nowhere once its reader has gone.

    ``train 2>&1 | head`` must not stop a training of hours: its results are files. All other errors, such as a full
    disk behind ``> log.txt``, stay errors.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._gone = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write, unless nobody reads."""
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Hand over what was written."""
        self._try(self._stream.flush)

    def isatty(self) -> bool:
        """Return whether a terminal is behind it; nothing is drawn where nobody looks."""
        return not self._gone and self._stream.isatty()

    def _try(self, act: Any) -> None:
        if self._gone:
            return
        try:
            act()
        except OSError as error:
            if error.errno not in _GONE:
                raise
            self._gone = True
            with suppress(OSError, ValueError):  # what is left in the buffer must not fail again when Python ends
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, self._stream.fileno())
                os.close(null)


@contextmanager
def tolerant_streams() -> Iterator[None]:
    """Let the work of the block go on without readers, and print names that the terminal can't show."""
    _fill_descriptors()
    before = sys.stdout, sys.stderr
    for stream in before:
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    null = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    out, err = (TolerantStream(null if stream is None else stream) for stream in before)
    sys.stdout, sys.stderr = out, err
    try:
        yield
    finally:
        for stream in (out, err):
            with suppress(OSError, ValueError):
                stream.flush()
        sys.stdout, sys.stderr = before
        null.close()


def _fill_descriptors() -> None:
    """Open what was closed: else the next file takes the number of standard error, and is written into by libraries."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
