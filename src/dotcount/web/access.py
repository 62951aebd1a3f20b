"""Who may ask: the address that is listened on, a token beyond this machine, and what browsers say of a request.

A page on this machine is within reach of every site that its user visits: by a form sent across sites, or by a name
that is made to point at 127.0.0.1 after it was loaded (DNS rebinding). So every request must name a host that is this
machine, and none may come from a page of another.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import secrets
import socket
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dotcount.errors import UsageError

LEAST_TOKEN = 16
"""Characters of the shortest token."""

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""Content-Security-Policy of every answer: nothing inline, nothing from elsewhere, in no frame."""

_SEND_SECONDS = 60.0

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "geolocation=(), microphone=(), payment=(), usb=()",
}

_SIGN_IN = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>dotcount</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,"></head>
<body><main><h1>dotcount</h1><p>{message}</p><form method="get" action="{path}"><label>Token
<input name="token" type="password" autocomplete="off" required autofocus></label> <button>Open</button></form></main>
</body></html>"""


@dataclass(frozen=True)
class Access:
    """Who may use a server.

    Parameters
    ----------
    host
        Address that is listened on.
    token
        What a visitor must show; None on this machine alone.
    names
        Further names of this machine that may stand in the address bar.

    Examples
    --------
    >>> Access.of("127.0.0.1").token is None, len(Access.of("0.0.0.0").token) >= LEAST_TOKEN
    (True, True)
    """

    host: str = "127.0.0.1"
    token: str | None = field(default=None, repr=False)
    names: frozenset[str] = frozenset()

    @classmethod
    def of(cls, host: str, token: str | None = None) -> Access:
        """Return the access for an address: beyond this machine a token is made where none is given.

        Raises
        ------
        UsageError
            If the token is shorter than :data:`LEAST_TOKEN` characters or can't stand in a header.
        """
        if token is not None and (len(token) < LEAST_TOKEN or not all(33 <= ord(c) < 127 for c in token)):
            raise UsageError(f"`token` must have at least {LEAST_TOKEN} characters, without spaces or accents")
        if is_loopback(host):
            return cls(host, token)
        own = socket.gethostname().lower()
        names = frozenset({own, f"{own.split('.')[0]}.local", host.lower()})
        return cls(host, token or secrets.token_urlsafe(24), names)

    def knows(self, name: str) -> bool:
        """Return whether the host of a request, without its port, is this machine."""
        if name == "localhost" or name in self.names:
            return True
        address = _address(name)
        if address is None:
            return False
        return address.is_loopback or not is_loopback(self.host)


LOCAL = Access()
"""This machine alone, without a token."""


def is_loopback(host: str) -> bool:
    """Return whether an address is reached from this machine alone.

    >>> is_loopback("localhost"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


class Guard:
    """Refuses what :class:`Access` does not allow, and more requests at a time than ``most``; adds :data:`HEADERS`."""

    def __init__(self, app: ASGIApp, access: Access, most: int) -> None:
        self.app, self.access, self.most = app, access, most
        self._at_work = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # no websockets here: uvicorn answers 403

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            # Who doesn't read what was asked for must not hold a place for ever.
            await asyncio.wait_for(send(message), _SEND_SECONDS)

        refused = self._refusal(scope)
        if refused is None and self._at_work >= self.most:
            refused = _refuse(503, f"busy with {self.most} requests; try again in a moment")
            refused.headers["Retry-After"] = "1"
        if refused is not None:
            await refused(scope, receive, send_guarded)
            return
        self._at_work += 1
        try:
            await self.app(scope, receive, send_guarded)
        finally:
            self._at_work -= 1

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if len(headers.getlist("host")) != 1 or not self.access.knows(_name(host)):
            return _refuse(403, f"{host[:80]!r} is not the name of this machine; open the address that was printed")
        return self._foreign(scope, headers, host) or self._unsigned(scope, headers, host)

    def _foreign(self, scope: Scope, headers: Headers, host: str) -> Response | None:
        """Refuse what a page of another site has sent."""
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
        own = origin is None or (urlsplit(origin).netloc == host and urlsplit(origin).scheme in ("http", "https"))
        visit = scope["method"] in ("GET", "HEAD") and headers.get("sec-fetch-mode") == "navigate"
        if own and (site in ("none", "same-origin") or (visit and not scope["path"].startswith("/api/"))):
            return None
        return _refuse(403, "requests from other sites are refused; use the page of this server itself")

    def _unsigned(self, scope: Scope, headers: Headers, host: str) -> Response | None:
        """Refuse who does not show the token; a right one in the address becomes a cookie."""
        token = self.access.token
        if token is None:
            return None
        cookie = f"dotcount_{host.rpartition(':')[2] if ':' in host else 'token'}"
        given = headers.get("authorization", "").removeprefix("Bearer ")
        if _same(given, token) or _same(_cookies(headers).get(cookie, ""), token):
            return None
        page = scope["method"] in ("GET", "HEAD") and not scope["path"].startswith(("/api/", "/static/"))
        asked = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if page and _same(asked, token):
            signed = RedirectResponse("/", status_code=303)
            signed.set_cookie(cookie, token, httponly=True, samesite="strict")
            return signed
        message = "wrong token" if asked or given else "a token is needed; it was printed when the server was started"
        if page:
            return HTMLResponse(_SIGN_IN.format(message=f"{message.capitalize()}.", path="/"), status_code=401)
        return _refuse(401, message)


def _name(host: str) -> str:
    """Return a Host header without its port, lower case."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), token.encode())


def _cookies(headers: Headers) -> dict[str, str]:
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(headers.get("cookie", "")).items()}
    except CookieError:
        return {}


def _refuse(status: int, message: str) -> Response:
    return JSONResponse({"error": message}, status_code=status)
