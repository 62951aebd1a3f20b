"""The same code on a local Ray cluster."""

from __future__ import annotations

import csv
import os
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from PIL import Image

from dotcount.errors import UsageError
from dotcount.metadata import ModelMetadata
from dotcount.models import create, io
from dotcount.prediction import find
from dotcount.prediction.engines import LocalEngine
from dotcount.prediction.engines.ray_data import RayEngine
from dotcount.prediction.predictor import load
from tests.prediction.oracles import write_dotted

ray = pytest.importorskip("ray")


def test_a_number_of_workers_that_is_none_is_refused(tmp_path):
    with pytest.raises(UsageError, match="must be at least 1"):
        RayEngine(tmp_path, None, workers=0)


@pytest.fixture
def web(tmp_path, monkeypatch):
    """The address under which the files of ``tmp_path`` can be read."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    serve = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.slow
def test_a_cluster_gives_the_files_of_the_plain_loop(tmp_path, web, monkeypatch):
    model = io.save(create("compact", width=4), tmp_path / "model", ModelMetadata("compact", 4, {"width": 4}))
    for k in range(30):
        path = write_dotted(tmp_path / "in" / f"{k}.png", [(2 + 4 * j, 3 + k % 9) for j in range(k % 6)])
        if k in (3, 17):
            path.write_bytes(b"no image")
    pages = [Image.open(tmp_path / "in" / f"{k}.png") for k in (4, 5)]
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    names = [f"in/{k}.png" for k in range(30)]
    urls = [f"{web}/{name}" for name in ("in/5.png", "in/17.png", "missing.png", "stack.tif")]
    (tmp_path / "all.txt").write_text("\n".join([*names, *urls]))
    monkeypatch.setattr("dotcount.prediction.engines.ray_data.BLOCK_BYTES", 30_000)  # more than one block
    predictor = load(model, runtime="onnx")
    sinks = ["csv", "jsonl", "overlays"]
    listed = find(tmp_path / "all.txt")
    list(predictor.stream(listed, out=tmp_path / "plain", sinks=sinks, every_page=True))
    paths = {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1", "no_proxy": "127.0.0.1"}
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": paths})
    try:
        by = LocalEngine(predictor).counted_by
        predictor.engine = RayEngine(model, by, workers=2, options={"runtime": "onnx"})
        list(predictor.stream(listed, out=tmp_path / "ray", sinks=sinks, every_page=True))
    finally:
        ray.shutdown()
    overlay = next(
        path.relative_to(tmp_path / "plain") for path in (tmp_path / "plain" / "overlays").rglob("0.png.jpg")
    )
    for name in ("counts.csv", "points.csv", "predictions.jsonl", overlay):
        assert (tmp_path / "ray" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()
    rows = list(csv.DictReader((tmp_path / "ray" / "counts.csv").open()))
    assert [row["status"] for row in rows].count("error") == 4
    assert [row["image"] for row in rows][-2:] == [rows[-1]["image"][:-1] + k for k in "12"], "pages of the stack"
