"""Bodies within limits, connections that ask nothing, and more requests than are answered."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest
from starlette.responses import JSONResponse
from starlette.routing import Route

from dotcount.web.app import build_app
from dotcount.web.limits import ServerLimits, receive_file, receive_json
from tests.web.conftest import drained, running

SMALL = ServerLimits(upload_bytes=100_000, json_bytes=100, requests=3, connections=40, patience=0.5)


@pytest.fixture
def small(tmp_path):
    release = threading.Event()

    def make_app(access, limits):
        async def upload(request):
            size = await receive_file(request, tmp_path / "file", limits)
            return JSONResponse({"size": size})

        async def message(request):
            return JSONResponse(await receive_json(request, limits))

        async def wait(request):
            await asyncio.to_thread(release.wait, 30)
            return JSONResponse({})

        routes = [
            Route("/api/file", upload, methods=["PUT"]),
            Route("/api/json", message, methods=["POST"]),
            Route("/api/wait", wait),
        ]
        return build_app(routes, access, limits)

    with running(make_app, limits=SMALL) as server:
        server.release = release
        yield server
    release.set()


def request(path, headers="", body=b"", method="PUT"):
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode() + body


def test_a_file_arrives_whole(small, tmp_path):
    with small.client() as client:
        assert client.put("/api/file", content=b"x" * 100_000).json() == {"size": 100_000}
    assert (tmp_path / "file").read_bytes() == b"x" * 100_000


@pytest.mark.parametrize("stated", [True, False])
def test_a_file_that_is_too_large_is_refused_with_a_message(small, tmp_path, stated):
    if stated:
        answer = small.raw(request("/api/file", "Content-Length: 1000000000\r\n", b"x" * 1000))
    else:
        chunk = b"2710\r\n" + b"x" * 10_000 + b"\r\n"
        answer = small.raw(request("/api/file", "Transfer-Encoding: chunked\r\n", chunk * 30))
    assert b" 413 " in answer
    assert b"cut it into tiles" in answer
    assert list(tmp_path.iterdir()) == []


def test_a_slow_upload_is_refused_and_leaves_nothing(small, tmp_path):
    answer = small.raw(request("/api/file", "Content-Length: 50000\r\n", b"x" * 10))
    assert b" 408 " in answer
    assert list(tmp_path.iterdir()) == []


def test_an_upload_that_ends_early_leaves_nothing(small, tmp_path):
    with socket.create_connection(("127.0.0.1", small.port), timeout=10) as connection:
        connection.sendall(request("/api/file", "Content-Length: 50000\r\n", b"x" * 10))
    with small.client() as client:
        assert client.put("/api/file", content=b"").status_code == 400
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("header", [b"", b"GET / HTTP/1.1\r\nHost: local"])
def test_a_connection_that_asks_nothing_is_closed(small, header):
    with socket.create_connection(("127.0.0.1", small.port), timeout=10) as connection:
        connection.sendall(header)
        assert connection.recv(100) == b""  # closed by the server, not by the time-out here


def test_messages_are_small_json(small):
    with small.client() as client:
        assert client.post("/api/json", json={"a": 1}).json() == {"a": 1}
        for content, status in ((b"{", 400), (b"[NaN]", 400), (b'"' + b"x" * 200 + b'"', 413)):
            answer = client.post("/api/json", content=content, headers={"Content-Type": "application/json"})
            assert answer.status_code == status
            assert answer.json()["error"]
        assert client.post("/api/json", content=b"{}").status_code == 415
        deep = client.post("/api/json", content=b"[" * 90, headers={"Content-Type": "application/json"})
        assert deep.status_code == 400


def test_more_requests_than_places_are_refused_and_then_answered(small):
    waiting = [socket.create_connection(("127.0.0.1", small.port), timeout=30) for _ in range(10)]
    for connection in waiting:
        connection.sendall(request("/api/wait", method="GET"))
    refused = [drained(connection) for connection in waiting[3:]]
    small.release.set()
    served = [drained(connection) for connection in waiting[:3]]
    assert all(b" 503 " in answer and b"try again" in answer for answer in refused)
    assert all(b" 200 " in answer for answer in served)
    for connection in waiting:
        connection.close()
