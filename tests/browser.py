"""Chromium without a window, and pages in it whose console and requests are watched."""

from __future__ import annotations

import shutil
import time
from urllib.parse import urlsplit

import pytest

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
