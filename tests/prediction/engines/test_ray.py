"""The same code on a local Ray cluster."""

from __future__ import annotations

import csv
import os
import sys

import pytest

from dotcount.errors import UsageError
from dotcount.metadata import ModelMetadata
from dotcount.models import create, io
from dotcount.prediction.engines import LocalEngine
from dotcount.prediction.engines.ray_data import RayEngine
from dotcount.prediction.predictor import load
from tests.prediction.oracles import write_dotted

ray = pytest.importorskip("ray")


def test_a_number_of_workers_that_is_none_is_refused(tmp_path):
    with pytest.raises(UsageError, match="must be at least 1"):
        RayEngine(tmp_path, None, workers=0)


@pytest.mark.slow
def test_a_cluster_gives_the_files_of_the_plain_loop(tmp_path):
    model = io.save(create("compact", width=4), tmp_path / "model", ModelMetadata("compact", 4, {"width": 4}))
    for k in range(30):
        path = write_dotted(tmp_path / "in" / f"{k}.png", [(2 + 4 * j, 3 + k % 9) for j in range(k % 6)])
        if k in (3, 17):
            path.write_bytes(b"no image")
    predictor = load(model, runtime="onnx")
    sinks = ["csv", "jsonl", "overlays"]
    list(predictor.stream(tmp_path / "in", out=tmp_path / "plain", sinks=sinks))
    paths = {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": paths})
    try:
        by = LocalEngine(predictor).counted_by
        predictor.engine = RayEngine(model, by, workers=2, options={"runtime": "onnx"})
        list(predictor.stream(tmp_path / "in", out=tmp_path / "ray", sinks=sinks))
    finally:
        ray.shutdown()
    for name in ("counts.csv", "points.csv", "predictions.jsonl", "overlays/0.png.jpg"):
        assert (tmp_path / "ray" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()
    rows = list(csv.DictReader((tmp_path / "ray" / "counts.csv").open()))
    assert [row["status"] for row in rows].count("error") == 2
