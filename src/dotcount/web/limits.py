"""How much may be asked of a server, and bodies of requests that are received within these limits."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.requests import ClientDisconnect, Request

from dotcount.errors import OutputError
from dotcount.files import make_folder, reason
from dotcount.temporary import remove, temporary_name

_LEAST_RATE = 10_000  # bytes per second
_LINGER = 2.0  # seconds for which the rest of a refused body is read and thrown away, so that the answer arrives


@dataclass(frozen=True)
class ServerLimits:
    """What one server takes upon itself.

    Attributes
    ----------
    upload_bytes
        Size of one file, bytes.
    pixels
        Width times height of one image.
    seconds
        Time for counting one image; the work is then ended.
    waiting
        Images that may wait to be counted.
    requests
        Requests that are answered at the same time.
    connections
        Connections that may be open.
    stored_bytes, stored_images
        What is kept of images on the disk; the oldest give way.
    json_bytes
        Size of a message, bytes.
    patience
        Time for asking a request, for a pause in an upload, and until an upload must come at 10 kB/s, seconds.

    Examples
    --------
    >>> ServerLimits().pixels
    100000000
    """

    upload_bytes: int = 500_000_000
    pixels: int = 100_000_000
    seconds: float = 300.0
    waiting: int = 32
    requests: int = 64
    connections: int = 256
    stored_bytes: int = 8_000_000_000
    stored_images: int = 1_000
    json_bytes: int = 1_000_000
    patience: float = 15.0


DEFAULT = ServerLimits()


class Refusal(Exception):
    """What is answered instead of a result: an HTTP status, and one line that says what to do.

    >>> str(Refusal(413, "too large; cut it into tiles"))
    'too large; cut it into tiles'
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, message)  # both, so that it can be sent between processes
        self.status, self.message = status, message

    def __str__(self) -> str:
        return self.message


async def receive_file(request: Request, path: Path, limits: ServerLimits) -> int:
    """Stream the body of a request to ``path``, which appears complete or not at all; return its size, bytes.

    Parameters
    ----------
    request
        Whose body is the file.
    path
        The file to write.
    limits
        On its size and its pace.

    Raises
    ------
    Refusal
        413 if the body is larger, 408 if it comes too slowly, 400 if it ends early or is empty.
    OutputError
        If the disk is full.
    """
    make_folder(path.parent)
    temporary, size = temporary_name(path), 0
    try:
        with temporary.open("xb") as file:
            async for chunk in _chunks(request, limits.upload_bytes, limits.patience):
                size += len(chunk)
                file.write(chunk)
        if not size:
            raise Refusal(400, "the file is empty; choose another one")
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"the upload can't be kept: {reason(error)}") from error
    finally:
        remove(temporary)
    return size


async def receive_json(request: Request, limits: ServerLimits) -> Any:
    """Return the message in the body of a request.

    Raises
    ------
    Refusal
        As :func:`receive_file`; 415 if it is not said to be JSON, 400 if it is none.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise Refusal(415, "send JSON, with the content type application/json")
    body = b"".join([chunk async for chunk in _chunks(request, limits.json_bytes, limits.patience)])
    try:
        return json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "the message is no JSON") from error


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number")


async def _chunks(request: Request, most: int, patience: float) -> AsyncIterator[bytes]:
    stated = request.headers.get("content-length", "")
    size, begun = 0, time.monotonic()
    if stated.isdigit() and int(stated) > most:
        await _linger(request)
        raise _too_large(most)
    stream = request.stream()
    while True:
        try:
            chunk = await asyncio.wait_for(anext(stream), patience)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise _too_slow() from error
        except ClientDisconnect as error:
            raise Refusal(400, "the upload ended early") from error
        size += len(chunk)
        if size > most:
            await _linger(request)
            raise _too_large(most)
        elapsed = time.monotonic() - begun
        if elapsed > patience and size < _LEAST_RATE * elapsed:
            raise _too_slow()
        yield chunk


async def _linger(request: Request) -> None:
    """Read on for a moment: who is still sending when the connection closes would not see the answer."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_LINGER):
            while True:
                message = await request.receive()
                if message["type"] != "http.request" or not message.get("more_body"):
                    return


def _too_large(most: int) -> Refusal:
    return Refusal(413, f"the file is larger than the {most / 1e6:,.0f} MB that are accepted; cut it into tiles")


def _too_slow() -> Refusal:
    return Refusal(408, "the upload is too slow; check the connection and send it again")
