"""Requests and files that mean no good, each with the answers that are right."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

from PIL import Image

FORM = "application/octet-stream"
REFUSED = range(400, 500)


def request(
    method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"", host: str = "localhost"
) -> bytes:
    """Return an HTTP request as it goes over the wire; header values may hold anything."""
    lines = {"Host": host, "Content-Length": str(len(body)), "Connection": "close", **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("utf-8", "surrogateescape") + body


def requests() -> Iterator[tuple[str, bytes, range | tuple[int, ...]]]:
    """Yield (what it is, the bytes, the statuses that are right); none of them may be answered by a page or a file."""
    for path in (
        "/static/../access.py",
        "/static/%2e%2e/access.py",
        "/static/..%2faccess.py",
        "/static/%252e%252e/access.py",
        "/static//etc/passwd",
        "/static/..%5c..%5caccess.py",
        "/../../../../etc/passwd",
        "/templates/count.html",
        "/api/images/../../etc/passwd/points",
        "/api/images/..%2f..%2fetc/density",
        "/api/images/%00/points",
        "/api/images/x/tiles/0/0/0",
        "/api/images/x/tiles/-1/0/0",
        "/api/images/x/tiles/0/99999999999999999999999/0",
        "/docs",
        "/openapi.json",
        "/.env",
    ):
        yield f"path {path}", request("GET", path), REFUSED
    for method in ("POST", "PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "CONNECT", "BREW"):
        yield f"method {method}", request(method, "/"), REFUSED
    for host in (
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost:80@evil.example",
        "[::ffff:7f00:1",
        "\x7f",
        "a b",
    ):
        yield f"host {host!r}", request("GET", "/api/info", host=host), REFUSED
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "file://"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
        {"Content-Type": "text/plain", "Origin": "http://evil.example"},
        {"Content-Type": "multipart/form-data; boundary=x", "Sec-Fetch-Site": "cross-site"},
    ):
        yield f"headers {headers}", request("PUT", "/api/images?name=a.png", headers, b"x"), REFUSED
    for kind in ("", "text/plain", "image/png", "multipart/form-data; boundary=x"):
        yield f"content type {kind!r}", request("PUT", "/api/images?name=a.png", {"Content-Type": kind}, b"x"), REFUSED
    for body in (
        b"",
        b"{",
        b"[" * 100_000,
        b'{"images": ' + b"9" * 5000 + b"}",
        b'{"images": ["../../etc"], "write": ["csv"]}',
        b'{"images": ["x"], "write": ["../../x"]}',
        b'{"images": NaN}',
        b"\xff\xfe",
        b'{"write": {"__proto__": 1}, "images": {}}',
        b"x" * 1_200_000,
    ):
        headers = {"Content-Type": "application/json"}
        yield f"message {body[:30]!r}", request("POST", "/api/results", headers, body), REFUSED
    yield "both lengths", request("PUT", "/api/images", {"Transfer-Encoding": "chunked"}, b"0\r\n\r\n"), REFUSED
    yield "a broken chunk", request_chunked(b"zz\r\nxx\r\n"), (400,)
    yield "two hosts", b"GET /api/info HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", REFUSED
    yield "no host", b"GET /api/info HTTP/1.1\r\nConnection: close\r\n\r\n", REFUSED
    yield "a long header", request("GET", "/", {"X": "x" * 200_000}), REFUSED
    yield "a long address", request("GET", "/?" + "x" * 200_000), REFUSED
    yield "a split header", request("GET", "/none", {"X": "a\nSet-Cookie: b"}), REFUSED
    yield "no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), REFUSED
    yield "another length", request("PUT", "/api/images?name=a", {"Content-Type": FORM, "Content-Length": "-5"}), (400,)
    yield (
        "a stated gigabyte",
        request("PUT", "/api/images?name=a", {"Content-Type": FORM, "Content-Length": "1" * 10}),
        (413,),
    )
    yield (
        "an endless length",
        request("PUT", "/api/images?name=a", {"Content-Type": FORM, "Content-Length": "9" * 30}),
        REFUSED,
    )
    yield (
        "a websocket",
        request("GET", "/api/info", {"Connection": "Upgrade", "Upgrade": "websocket", "Origin": "http://evil.example"}),
        REFUSED,
    )


def request_chunked(chunks: bytes) -> bytes:
    """Return an upload without a stated length."""
    return (
        b"PUT /api/images?name=a.png HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n"
        b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + chunks
    )


def png(width: int, height: int, data: bytes, depth: int = 8, kind: int = 2) -> bytes:
    """Return a PNG whose header may say anything."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def encoded(kind: str, size: tuple[int, int] = (40, 30), **options: object) -> bytes:
    """Return a small image."""
    buffer = io.BytesIO()
    Image.new("RGB", size).save(buffer, kind, **options)
    return buffer.getvalue()


def patched(data: bytes, old: bytes, new: bytes) -> bytes:
    """Return bytes with one part replaced, which must be there."""
    assert old in data
    return data.replace(old, new, 1)


def files() -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of what is no image that should be counted."""
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(1)</script></svg>'
    bomb = png(25_000, 25_000, bytes(75_000_000))
    yield from (
        ("bomb.png", bomb),
        ("bomb-16.png", png(20_000, 20_000, b"", depth=16)),
        ("wide.png", png(2**31 - 1, 1, b"")),
        ("none.png", png(0, 0, b"")),
        ("palette.png", png(10, 10, b"", kind=3)),
        ("chunk.png", b"\x89PNG\r\n\x1a\n" + b"\xff" * 300),
        ("text.png", patched(encoded("PNG"), b"IDAT", b"IDOT")),
        ("huge.jpg", patched(encoded("JPEG"), struct.pack(">HH", 30, 40), struct.pack(">HH", 65500, 65500))),
        ("half.jpg", encoded("JPEG", (4000, 3000))[:900]),
        ("head.jpg", b"\xff\xd8\xff\xe0" + bytes(100)),
        ("huge.gif", patched(encoded("GIF"), struct.pack("<HH", 40, 30), struct.pack("<HH", 65535, 65535))),
        ("huge.bmp", patched(encoded("BMP"), struct.pack("<ii", 40, 30), struct.pack("<ii", 60_000, 60_000))),
        ("huge.ppm", b"P6 999999 999999 255\n" + bytes(100)),
        ("words.ppm", b"P6 " + b"9" * 5000),
        ("loop.tif", b"II*\x00\x08\x00\x00\x00" + b"\x01\x00" + bytes(12) + b"\x08\x00\x00\x00"),
        ("huge.tif", _tiff(200_000, 200_000)),
        ("half.tif", encoded("TIFF")[:100]),
        ("head.webp", b"RIFF\xff\xff\xff\xffWEBPVP8L" + b"\xff" * 60),
        ("head.jp2", b"\x00\x00\x00\x0cjP  \r\n\x87\n" + b"\xff" * 60),
        ("drawing.svg", svg),
        ("drawing.png", svg),
        ("page.html", b"<!DOCTYPE html><script>alert(1)</script>"),
        ("page.jpg", b"<html><script>alert(1)</script></html>"),
        ("document.pdf", b"%PDF-1.7\n" + b"x" * 100),
        ("script.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run\n"),
        ("script.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run\n"),
        ("archive.zip", b"PK\x03\x04" + bytes(60)),
        ("program.png", b"\x7fELF" + bytes(200)),
        ("pickle.npy", b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }" + b" " * 60),
        ("photo.heic", b"\x00\x00\x00\x18ftypheic" + bytes(60)),
        ("film.mp4", b"\x00\x00\x00\x18ftypisom" + bytes(60)),
        ("noise.bin", bytes(range(256)) * 40),
        ("one.png", b"\x89"),
    )


def _tiff(width: int, height: int) -> bytes:
    entries = [
        (256, 4, width),
        (257, 4, height),
        (258, 3, 8),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 8),
        (277, 3, 1),
        (279, 4, 99),
    ]
    table = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    return b"II*\x00\x08\x00\x00\x00" + struct.pack("<H", len(entries)) + table + bytes(4)


NAMES = (
    "../../../../tmp/evil.png",
    "/etc/cron.d/evil.png",
    "..\\..\\evil.png",
    "C:\\evil.png",
    "\\\\server\\share\\evil.png",
    "a/../../evil.png",
    "evil.png\x00.txt",
    "evil\r\nSet-Cookie: a=b.png",
    "<script>alert(1)</script>.png",
    '"><img src=x onerror=alert(1)>.png',
    "=cmd|' /C calc'!A0.png",
    "\u202egnp.exe",
    "CON.png",
    ".htaccess",
    "~/.ssh/authorized_keys",
    "$(touch evil).png",
    "x" * 30_000 + ".png",
    "\U0001f400" * 200,
    "%2e%2e%2fevil.png",
    "",
)
"""What no file on the server may be called because a visitor says so."""
