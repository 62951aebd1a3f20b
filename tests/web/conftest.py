"""A server on 127.0.0.1 in a thread of the tests, and raw requests to it."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import httpx

from dotcount.web.access import LOCAL, Access
from dotcount.web.limits import DEFAULT, ServerLimits
from dotcount.web.server import listen, make_server


@dataclass
class Running:
    """A server that answers."""

    port: int
    limits: ServerLimits
    access: Access

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, **options) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, trust_env=False, **options)

    def raw(self, data: bytes, *, wait: float = 10.0) -> bytes:
        """Send bytes as they are and return all that comes back until the server closes or pauses."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=wait) as connection:
            with suppress(OSError):
                connection.sendall(data)
            return drained(connection)


def drained(connection: socket.socket) -> bytes:
    """Return what comes until the end of one answer with a stated length, or of the connection."""
    answer = b""
    while True:
        try:
            more = connection.recv(65536)
        except OSError:
            return answer
        if not more:
            return answer
        answer += more
        head, _, body = answer.partition(b"\r\n\r\n")
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:") and len(body) >= int(line.split(b":")[1]):
                return answer


@contextmanager
def running(make_app, access: Access = LOCAL, limits: ServerLimits = DEFAULT):
    """Serve ``make_app(access, limits)`` on a free port of this machine; all ends with the block."""
    opened = listen("127.0.0.1", 0)
    server = make_server(make_app(access, limits), limits)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]}, daemon=True)
    thread.start()
    try:
        end = time.monotonic() + 60
        while not server.started and thread.is_alive() and time.monotonic() < end:
            time.sleep(0.01)
        assert server.started
        yield Running(opened.getsockname()[1], limits, access)
    finally:
        server.should_exit = True
        thread.join(30)
        opened.close()
