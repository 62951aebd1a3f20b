"""More than a hundred requests that mean no good: each gets an answer, memory stays bounded, the server goes on."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from PIL import Image

from dotcount.data.synthetic import generate
from dotcount.web.access import LOCAL
from dotcount.web.limits import DEFAULT
from tests.web.conftest import Running, drained
from tests.web.hostile import FORM, NAMES, encoded, files, request, requests

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads the memory of processes from /proc")
OPTIONS = ["--max-mb", "4", "--max-megapixels", "4", "--max-seconds", "30", "--port", "0"]
MOST_SERVER, MOST_WORKER = 400, 1500
"""MB that the server and its worker may hold at most."""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The command itself, in a process of its own, so that its memory can be seen."""
    folder = tmp_path_factory.mktemp("served")
    environment = {**os.environ, "TMPDIR": str(folder), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "dotcount.cli.main", "serve", "cells", *OPTIONS]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        line = process.stdout.readline()
        port = int(re.search(r":(\d+)/", line)[1])
        found = Running(port, DEFAULT, LOCAL)
        found.process, found.folder = process, folder
        assert status_of(found.raw(request("GET", "/api/info"), wait=60)) == 200
        yield found
    finally:
        process.send_signal(signal.SIGINT)
        try:
            _, errors = process.communicate(timeout=30)
        finally:
            process.kill()
    assert "Traceback" not in errors, errors
    assert list(folder.iterdir()) == []  # nothing is left of anybody's photos


def status_of(answer: bytes) -> int:
    found = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
    return int(found[1]) if found else 0


def message_of(answer: bytes) -> str:
    body = answer.partition(b"\r\n\r\n")[2]
    try:
        return json.loads(body)["error"]
    except (ValueError, KeyError):
        return body.decode("utf-8", "replace")


def send(server, name: str, data: bytes) -> bytes:
    path = f"/api/images?name={quote(name.encode('utf-8', 'surrogatepass'))}"
    return server.raw(request("PUT", path, {"Content-Type": FORM}, data), wait=60)


def count(server, name: str, data: bytes) -> bytes:
    answer = send(server, name, data)
    if status_of(answer) != 201:
        return answer
    key = json.loads(answer.partition(b"\r\n\r\n")[2])["id"]
    return server.raw(request("POST", f"/api/images/{key}/count"), wait=90)


def peak(process: int) -> float:
    """Return the most memory that a process has held, MB."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    return int(found[1]) / 1024


def test_every_odd_request_is_refused_with_a_message(server):
    cases = list(requests())
    assert len(cases) >= 60
    for what, data, statuses in cases:
        answer = server.raw(data)
        assert status_of(answer) in statuses, (what, answer[:300])
        assert message_of(answer).strip(), what
        assert b"root:" not in answer, what
        assert b"Set-Cookie: b" not in answer, what


def test_every_odd_file_is_refused_by_its_name(server):
    cases = list(files())
    assert len(cases) >= 30
    for name, data in cases:
        answer = count(server, name, data)
        assert status_of(answer) in (413, 422, 500), (name, answer[:500])
        told = message_of(answer)
        assert "defect" not in told, (name, told)
        assert name in told or "larger than" in told, (name, told)
        assert str(server.folder) not in told, (name, told)


def test_names_lead_nowhere_and_stay_text(server):
    photo = io.BytesIO()
    Image.fromarray(generate("cells", size=64)[0]).save(photo, "PNG")
    keys = []
    for name in NAMES:
        answer = send(server, name, photo.getvalue())
        if len(name) > 20_000 and status_of(answer) == 400:
            continue  # longer than an address may be
        assert status_of(answer) == 201, (name[:50], answer)
        assert b"set-cookie:" not in answer.lower().partition(b"\r\n\r\n")[0]
        found = json.loads(answer.partition(b"\r\n\r\n")[2])
        assert found["name"].isprintable()
        assert ".." not in found["name"].split("/")
        assert status_of(server.raw(request("POST", f"/api/images/{found['id']}/count"), wait=60)) == 200
        keys.append(found["id"])
    body = json.dumps({"images": keys, "write": ["csv", "overlays", "geojson"]}).encode()
    answer = server.raw(request("POST", "/api/results", {"Content-Type": "application/json"}, body), wait=90)
    assert status_of(answer) == 200, answer[:300]
    with zipfile.ZipFile(io.BytesIO(answer.partition(b"\r\n\r\n")[2])) as packed:
        assert not any(name.startswith("/") or ".." in name.split("/") or "\\" in name for name in packed.namelist())
        rows = packed.read("counts.csv").decode().splitlines()
    assert len(rows) == len(keys) + 1
    assert not any(re.match(r'"?[=+@-]', row) for row in rows)
    uploads = [path.name for path in server.folder.glob("*/*/upload*")]
    assert uploads
    assert set(uploads) <= {"upload", "upload.png", "upload.txt", "upload.exe"}


def test_a_stream_without_end_is_cut_off(server):
    """A gigabyte without a stated length: refused while it comes, and kept nowhere."""
    head = request("PUT", "/api/images?name=a.png", {"Content-Type": FORM, "Transfer-Encoding": "chunked"})
    head = head.replace(b"Content-Length: 0\r\n", b"")
    chunk = b"100000\r\n" + bytes(2**20) + b"\r\n"
    sent = 0
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(head)
        try:
            for _ in range(1024):
                connection.sendall(chunk)
                sent += 1
        except OSError:
            pass
        answer = drained(connection)
    assert sent < 1024 or status_of(answer) == 413
    assert status_of(answer) in (413, 0)  # 0: the connection was reset while more was on its way
    assert sum(path.stat().st_size for path in server.folder.rglob("*") if path.is_file()) < 100_000_000


def test_many_at_a_time_are_answered_or_refused(server):
    """As many requests at once as this process may open connections, up to 1,500."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    number = min(1500, soft - 200)
    statuses, lock = [], threading.Lock()
    barrier = threading.Barrier(30)

    def ask(many: int) -> None:
        barrier.wait()
        connections = []
        for _ in range(many):
            try:
                connection = socket.create_connection(("127.0.0.1", server.port), timeout=60)
                connection.sendall(request("GET", "/api/info"))
                connections.append(connection)
            except OSError:
                with lock:
                    statuses.append(0)
        for connection in connections:
            status = status_of(drained(connection))
            connection.close()
            with lock:
                statuses.append(status)

    threads = [threading.Thread(target=ask, args=(number // 30,)) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(statuses) == 30 * (number // 30)
    assert set(statuses) <= {200, 503, 0}
    assert 200 in statuses


@contextmanager
def file_limit():
    """Raise how many files this process may have open as far as the system allows; yields the number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 65_536 if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
    try:
        yield max(soft, most)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def all_at_once(port: int, number: int) -> list[int]:
    """Ask on so many connections at the same time; return the statuses, 0 for one that was closed without an answer."""

    async def asked() -> int:
        try:
            async with asyncio.timeout(120):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                try:
                    writer.write(request("GET", "/api/info"))
                    return status_of(await reader.read(400))
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return 0

    return list(await asyncio.gather(*(asked() for _ in range(number))))


@pytest.mark.slow
def test_ten_thousand_at_a_time_are_answered_or_refused(server):
    """In waves only where the system lets a process open fewer files."""
    statuses: list[int] = []
    with file_limit() as files_:
        wave = min(10_000, files_ - 200)
        while len(statuses) < 10_000:
            statuses += asyncio.run(all_at_once(server.port, min(wave, 10_000 - len(statuses))))
    found = Counter(statuses)
    print(f"waves of {wave:,}: {dict(found)}, the server's peak {peak(server.process.pid):.0f} MB")
    assert set(found) <= {200, 503, 0}
    assert found[200] + found[503] >= 9_900  # a connection may be lost on the way; refusals are answers
    assert peak(server.process.pid) < MOST_SERVER
    assert status_of(server.raw(request("GET", "/api/info"), wait=60)) == 200


def test_slow_visitors_do_not_keep_others_out(server):
    begun = [socket.create_connection(("127.0.0.1", server.port), timeout=60) for _ in range(40)]
    for k, connection in enumerate(begun):
        start = request("PUT", "/api/images?name=a.png", {"Content-Type": FORM, "Content-Length": "100000"})
        connection.sendall(start[: 20 if k % 2 else None])
    start = time.monotonic()
    assert status_of(server.raw(request("GET", "/api/info"))) == 200
    assert time.monotonic() - start < 60
    for connection in begun:
        connection.close()


def test_afterwards_all_is_well(server):
    """Last in this file: an ordinary photo is counted as ever, and neither process has grown."""
    image, dots = generate("cells", size=256, seed=5)
    photo = io.BytesIO()
    Image.fromarray(image).save(photo, "PNG")
    answer = count(server, "photo.png", photo.getvalue())
    assert status_of(answer) == 200, answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["count"] == pytest.approx(len(dots), rel=0.2)
    assert status_of(count(server, "large.png", encoded("PNG", (1900, 2000)))) == 200
    tasks = Path(f"/proc/{server.process.pid}/task").glob("*/children")
    children = [child for task in tasks for child in task.read_text().split()]
    workers = [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
    assert peak(server.process.pid) < MOST_SERVER
    assert max(map(peak, workers)) < MOST_WORKER
