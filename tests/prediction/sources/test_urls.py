"""Images and lists by their URLs: a local web server and a file system in memory; limits, errors, credentials."""

from __future__ import annotations

import io
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import numpy as np
import pytest
from PIL import Image

from dotcount.cli.main import main
from dotcount.errors import DataError, UsageError
from dotcount.prediction import Predictor, find
from dotcount.remote import UNLESS_TOLD, DownloadLimits, Url
from tests.prediction.oracles import Bright


def png(k=0, size=(48, 32)):
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[4:8, 4 : 8 + k] = 255
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


class Handler(BaseHTTPRequestHandler):
    files: dict[str, bytes]
    asked: list[str]

    def do_GET(self):
        path = self.path.partition("?")[0]
        self.asked.append(self.path)
        if path.startswith("/private/") and self.headers.get("Authorization") != "Basic bWU6c2VjcmV0":  # me:secret
            self.send_error(403)
        elif path == "/endless.png":
            self.send_response(200)
            self.end_headers()
            try:
                for _ in range(1000):
                    self.wfile.write(bytes(100_000))
            except OSError:
                pass
        elif path == "/slow.png":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(bytes(10))
            self.server.stop.wait(20)
        elif path == "/cut.png":
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            self.wfile.write(bytes(10))
        elif path in self.files:
            self.send_response(200)
            self.send_header("Content-Length", str(len(self.files[path])))
            self.end_headers()
            self.wfile.write(self.files[path])
        else:
            self.send_error(404)

    def log_message(self, *_):
        pass


@pytest.fixture
def web(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    handler = type("Own", (Handler,), {"files": {}, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.stop = threading.Event()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    handler.root = f"http://127.0.0.1:{server.server_port}"
    yield handler
    server.stop.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def memory():
    filesystem = fsspec.filesystem("memory")
    filesystem.store.clear()
    yield filesystem
    filesystem.store.clear()


def counted(sources, tmp_path, downloads=UNLESS_TOLD, **options):
    listing = find(sources, downloads=downloads)
    run = Predictor(Bright()).stream(listing, out=tmp_path / "out", sinks=["csv"], **options)
    return {frame.name: frame.error if p is None else round(p.count, 3) for frame, p in run}


def local(tmp_path, *contents):
    folder = tmp_path / "local"
    folder.mkdir()
    for k, content in enumerate(contents):
        (folder / f"{k}.png").write_bytes(content)
    return [p.count for _, p in Predictor(Bright()).predict_many(folder)]


def test_images_of_the_web_count_as_those_of_the_disk(tmp_path, web):
    web.files |= {"/a/0.png": png(0), "/a/b/1.png": png(5)}
    first, second = local(tmp_path, png(0), png(5))
    found = counted([f"{web.root}/a/0.png", f"{web.root}/a/b/1.png?v=2"], tmp_path)
    assert found == {"0.png": round(first, 3), "b/1.png": round(second, 3)}
    assert second > first


@pytest.mark.parametrize("kind", ["txt", "csv", "parquet"])
def test_a_list_elsewhere_names_images_beside_it(tmp_path, web, memory, kind):
    names = ["x/0.png", f"{web.root}/one.png", "../1.png"]
    web.files |= {"/sets/x/0.png": png(0), "/one.png": png(1), "/1.png": png(2)}
    content = {"txt": "\n".join(names).encode(), "csv": ("image\n" + "\n".join(names)).encode()}
    if kind == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        file = io.BytesIO()
        pq.write_table(pa.table({"image": names}), file)
        content["parquet"] = file.getvalue()
    web.files[f"/sets/list.{kind}"] = content[kind]
    found = counted(f"{web.root}/sets/list.{kind}", tmp_path)
    assert list(found) == ["sets/x/0.png", "one.png", "1.png"]
    assert all(isinstance(count, float) for count in found.values())


def test_memory_and_lists_of_this_machine(tmp_path, memory):
    memory.pipe("/photos/a.png", png(1))
    memory.pipe("/photos/list.txt", b"a.png\n/photos/gone.png\n")
    (tmp_path / "b c.png").write_bytes(png(2))
    (tmp_path / "list.txt").write_text(f"memory://photos/a.png\n{(tmp_path / 'b c.png').as_uri()}\n")
    assert list(counted(tmp_path / "list.txt", tmp_path)) == ["photos/a.png", "b c.png"]
    found = counted("memory://photos/list.txt", tmp_path / "other")
    assert list(found) == ["a.png", "gone.png"]
    assert found["gone.png"] == "memory://photos/gone.png does not exist; check the address"


def test_errors_are_rows_and_the_others_go_on(tmp_path, web):
    web.files |= {"/ok.png": png(3), "/page.png": b"<html>sorry</html>"}
    names = ["gone.png", "private/a.png", "cut.png", "page.png", "endless.png", "slow.png", "ok.png"]
    began = time.monotonic()
    found = counted([f"{web.root}/{name}" for name in names], tmp_path, DownloadLimits(megabytes=2, seconds=1.5))
    assert time.monotonic() - began < 15  # and not the 20 s that the slow answer takes
    assert found["gone.png"] == f"{web.root}/gone.png does not exist; check the address"
    assert "is not open to this user (status 403)" in found["private/a.png"]
    assert "can't be had (ClientPayloadError)" in found["cut.png"]
    assert found["page.png"].startswith(f"image {web.root}/page.png is a web page")
    assert "holds more than 2 MB" in found["endless.png"]
    assert "took longer than 1.5 s" in found["slow.png"]
    assert isinstance(found["ok.png"], float)


def test_credentials_are_used_and_shown_nowhere(tmp_path, web, capsys, saved_model):
    web.files |= {"/private/a.png": png(1)}
    root = web.root.replace("http://", "http://me:secret@")
    sources = [f"{root}/private/a.png?token=hidden1", f"{root}/gone.png?token=hidden2", f"{root}/cut.png?token=hidden3"]
    assert main(["predict", str(saved_model), *sources, "--out", str(tmp_path / "out"), "--write", "csv,jsonl"]) == 0
    told = "".join(capsys.readouterr())
    written = "".join(path.read_text() for path in (tmp_path / "out").iterdir() if path.is_file())
    assert any("token=hidden1" in path for path in web.asked)
    assert "private/a.png" in written
    assert f"{web.root}/gone.png does not exist" in written
    for word in ("secret", "hidden"):
        assert word not in told
        assert word not in written


def test_pages_and_deep_images_from_elsewhere(tmp_path, memory):
    import tifffile

    for k, name in enumerate(("stack.tif", "deep.tif")):
        file = io.BytesIO()
        pages = (np.arange(3 * 20 * 30).reshape(3, 20, 30) * 7).astype(np.uint16)
        axes = {"axes": "ZYX" if k == 0 else "YX"}
        tifffile.imwrite(file, pages if k == 0 else pages[0], photometric="minisblack", metadata=axes)
        memory.pipe(f"/{name}", file.getvalue())
    found = counted(["memory://stack.tif", "memory://deep.tif"], tmp_path, every_page=True)
    assert list(found) == ["stack.tif#1", "stack.tif#2", "stack.tif#3", "deep.tif"]
    assert all(isinstance(count, float) for count in found.values())
    one = counted("memory://deep.tif", tmp_path / "one")
    Path(tmp_path / "deep.tif").write_bytes(memory.cat("/deep.tif"))
    assert one == counted(tmp_path / "deep.tif", tmp_path / "two")


def test_what_is_done_is_not_downloaded_again(tmp_path, web):
    web.files |= {f"/{k}.png": png(k) for k in range(4)}
    sources = [f"{web.root}/{k}.png" for k in range(4)]
    run = Predictor(Bright()).stream(sources, out=tmp_path / "out", sinks=["csv"])
    next(run), next(run)
    run.close()
    web.asked.clear()
    assert list(counted(sources, tmp_path)) == ["2.png", "3.png"]
    assert not {"/0.png", "/1.png"} & set(web.asked)
    assert counted(sources, tmp_path) == {}


def test_copies_are_removed(tmp_path, web, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    web.files |= {"/a.png": png(1), "/page.png": b"<html>"}
    counted([f"{web.root}/a.png", f"{web.root}/page.png", f"{web.root}/gone.png"], tmp_path)
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("nowhere://a.png", "addresses of 'nowhere' are not known"),
        ("memory://photos/*.png", "is a pattern; addresses are not searched"),
        ("memory://gone/list.csv", "memory://gone/list.csv does not exist"),
        ("memory://evil.txt", "list memory://evil.txt names file:///etc/passwd"),
        ("memory://empty.txt", "list memory://empty.txt names no image"),
        ("file://elsewhere/a.png", "names another machine"),
    ],
)
def test_what_can_not_begin_is_told(memory, source, words):
    memory.pipe("/evil.txt", b"file:///etc/passwd\n")
    memory.pipe("/empty.txt", b"\n")
    with pytest.raises(DataError, match=words.replace("*", r"\*")):
        find(source)


@pytest.mark.parametrize("module", ["fsspec", "aiohttp"])
def test_without_the_extra_the_pip_line_is_told(monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(DataError, match=r"pip install 'dotcount\[remote\]'"):
        find("http://127.0.0.1:9/a.png")


def test_limits_are_positive():
    with pytest.raises(UsageError, match="megabytes"):
        DownloadLimits(megabytes=0)


def test_names_lead_nowhere_else():
    assert Url("https://a.org/x/../%2e%2e/%2Fetc%2Fpasswd").parts == ("a.org", "x", "_etc_passwd")
