"""A server on 127.0.0.1 in a thread of the tests, raw requests to it, and a browser."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
import pytest

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


CHROMIUM = next((path for name in ("chromium", "chromium-browser") if (path := shutil.which(name))), None)
REFUSED = "Failed to load resource: the server responded with a status of 4"
GONE = "Failed to load resource: net::ERR_CONNECTION_REFUSED"
"""What Chromium writes into its console of every refusal, which a page shows in its own words, and of a server that has
ended before the page was closed; one that ends earlier, a test sees anyway."""


@pytest.fixture(scope="session")
def chromium():
    """Debian's Chromium without a window."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed (apt-get install chromium)")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


class Visit:
    """A page whose console and requests are watched."""

    def __init__(self, browser, **options) -> None:
        self.context = browser.new_context(accept_downloads=True, **options)
        self.context.set_default_timeout(60_000)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append(f"dialog {dialog.message}"), dialog.dismiss()))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def _heard(self, message) -> None:
        if message.type in ("error", "warning") and not message.text.startswith((REFUSED, GONE)):
            self.complaints.append(message.text)

    def close(self) -> None:
        """Close the page; there must have been no complaint, and no request to another machine."""
        self.context.close()
        assert self.complaints == []
        hosts = {urlsplit(url).hostname for url in self.requests if url.startswith("http")}
        assert hosts <= {"127.0.0.1"}


def until(page, expression: str, seconds: float = 60.0) -> None:
    """Wait until an expression holds in the page; what a page may evaluate by itself, its policy forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"{expression} never came true"
        page.wait_for_timeout(50)


@pytest.fixture
def visit(chromium):
    """Return a function that opens watched pages; what they complained of fails the test."""
    opened = []

    def make(**options) -> Visit:
        opened.append(Visit(chromium, **options))
        return opened[-1]

    yield make
    for one in opened:
        one.close()
