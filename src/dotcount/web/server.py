"""Listening on an address, and answering until the process is interrupted."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from dotcount.errors import OutputError, UsageError
from dotcount.web.limits import DEFAULT, ServerLimits


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 takes any that is free.

    Raises
    ------
    OutputError
        If the port is taken.
    UsageError
        If there is no such address here.

    Examples
    --------
    >>> with listen("127.0.0.1", 0) as opened:
    ...     opened.getsockname()[0]
    '127.0.0.1'
    """
    if not 0 <= port <= 65535:
        raise UsageError(f"`port` is {port}; it must be between 0 and 65535")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError, OverflowError) as error:
        raise UsageError(f"`host` {host!r} is no address of this machine; give 127.0.0.1 or 0.0.0.0") from error
    opened = socket.socket(family, kind, protocol)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
        opened.listen(128)
    except OSError as error:
        opened.close()
        raise OutputError(f"can't listen on {host}, port {port}: {error.strerror}; choose another `port`") from error
    return opened


def address_of(opened: socket.socket, host: str) -> str:
    """Return the address to type into a browser.

    >>> with listen("127.0.0.1", 0) as opened:
    ...     address_of(opened, "0.0.0.0").startswith("http://")
    True
    """
    name = socket.gethostname() if host in ("0.0.0.0", "::", "") else host
    return f"http://{f'[{name}]' if ':' in name else name}:{opened.getsockname()[1]}"


def make_server(app: ASGIApp, limits: ServerLimits = DEFAULT) -> uvicorn.Server:
    """Return uvicorn with the limits, for ``run(sockets=[...])``; ``should_exit`` ends it."""

    class Protocol(_Impatient):
        patience = limits.patience

    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="error",  # a line for each refused request would be a flood of its own, and wait for who reads it
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=limits.connections,
        timeout_graceful_shutdown=3,
    )
    return uvicorn.Server(config)


def serve(app: ASGIApp, opened: socket.socket, limits: ServerLimits = DEFAULT) -> None:
    """Answer requests on a socket until the process is interrupted."""
    with opened:
        make_server(app, limits).run(sockets=[opened])


class _Impatient(H11Protocol):
    """Closes connections on which no request is asked: uvicorn waits for the rest of a header for ever."""

    patience = DEFAULT.patience
    _deadline: asyncio.TimerHandle | None = None
    _waited = True

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._deadline = self.loop.call_later(self.patience, self._check)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def _check(self) -> None:
        idle = self.cycle is None or self.cycle.response_complete
        if idle and self.conn.their_state is h11.IDLE and self._waited:
            self.transport.close()
            return
        self._waited = idle
        self._deadline = self.loop.call_later(self.patience / 2, self._check)
