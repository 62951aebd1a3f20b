"""Shards of a job, killed at any moment, add up to what one run would have written."""

from __future__ import annotations

import csv
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from dotcount.errors import DataError, OutputError, UsageError
from dotcount.metadata import ModelMetadata
from dotcount.models import create, io
from dotcount.prediction import find, merge, shard_folder
from dotcount.prediction.journal import read_manifest
from dotcount.prediction.predictor import Predictor, load
from tests.prediction.oracles import Bright, tree, write_dotted

SINKS = ["csv", "coco", "jsonl", "napari", "density", "parquet"]


def photos(folder, n, broken=()):
    for k in range(n):
        path = write_dotted(folder / f"{k // 7}" / f"{k}.png", [(2 + 4 * j, 3 + k % 9) for j in range(k % 6)])
        if k in broken:
            path.write_bytes(b"no image")
    return folder


def shards(source, out, number, sinks=SINKS):
    for k in range(1, number + 1):
        list(Predictor(Bright()).stream(find(source).sharded(k, number), out=shard_folder(out, k, number), sinks=sinks))


def without(files, *names):
    return {name: content for name, content in files.items() if name not in names}


@pytest.mark.parametrize("number", [1, 3, 20])
def test_shards_give_the_files_of_the_plain_loop(tmp_path, number):
    source = photos(tmp_path / "in", 17, broken={3, 16})
    plain = Predictor(Bright()).stream(source, out=tmp_path / "plain", sinks=SINKS)
    list(plain)
    shards(source, tmp_path / "job", number)
    summary = merge([tmp_path / "job"], tmp_path / "merged")
    assert (summary.counted, summary.failed, summary.count) == (15, 2, pytest.approx(plain.summary.count))
    assert summary.first_error == plain.summary.first_error
    told = ("dotcount.json", "prediction.json")  # which command wrote it; sums in another order, up to the last digit
    assert without(tree(tmp_path / "merged"), *told) == without(tree(tmp_path / "plain"), *told)
    assert read_manifest(tmp_path / "merged")[0] == read_manifest(tmp_path / "plain")[0]
    assert set(find(source).files) == {file for k in range(number) for file in find(source).sharded(k + 1, number).part}


def test_what_does_not_belong_together_is_told(tmp_path):
    source, job = photos(tmp_path / "in", 5), tmp_path / "job"
    with pytest.raises(DataError, match="none does not exist"):
        merge([tmp_path / "none"], tmp_path / "merged")
    with pytest.raises(DataError, match="holds no results of a shard"):
        merge([source], tmp_path / "merged")
    shards(source, job, 3, ["csv"])
    going = Predictor(Bright()).stream(find(source).sharded(2, 4), out=shard_folder(job, 2, 4), sinks=["csv"])
    next(going)
    going.close()
    with pytest.raises(DataError, match="shard-2-of-4 is not finished"):
        merge([job], tmp_path / "merged")
    with pytest.raises(DataError, match="of 3 shards, 2 is missing"):
        merge([shard_folder(job, 1, 3), shard_folder(job, 3, 3)], tmp_path / "merged")
    with pytest.raises(DataError, match="are both shard 1"):
        merge([shard_folder(job, 1, 3), shard_folder(job, 1, 3)], tmp_path / "merged")
    with pytest.raises(OutputError, match="of shard 1 of 3"):
        Predictor(Bright()).stream(find(source).sharded(2, 3), out=shard_folder(job, 1, 3), sinks=["csv"])
    write_dotted(source / "0" / "new.png", [])
    changed = Predictor(Bright()).stream(find(source).sharded(2, 3), out=tmp_path / "other", sinks=["csv"])
    list(changed)
    with pytest.raises(DataError, match="not of one job: the second is of other images"):
        merge([tmp_path / "other", shard_folder(job, 1, 3), shard_folder(job, 3, 3)], tmp_path / "merged")
    with pytest.raises(UsageError, match="no shard 4 of 3"):
        find(source).sharded(4, 3)
    assert not (tmp_path / "merged").exists()


def command(model, source, out, shard):
    words = ["predict", model, source, "--out", out, "--shard", shard, "--write", "csv,coco", "--runtime", "onnx"]
    return [sys.executable, "-m", "dotcount", *map(str, words)]


def kill_and_go_on(tmp_path, images, broken, number, kills, longest):
    """Run a sharded job that is killed at random moments until it is done; return its rows and those of one run."""
    source = photos(tmp_path / "in", images, broken)
    model = io.save(create("compact", width=4), tmp_path / "model", ModelMetadata("compact", 4, {"width": 4}))
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    chance, left = random.Random(1), kills
    for k in range(1, number + 1):
        while True:
            job = subprocess.Popen(
                command(model, source, tmp_path / "job", f"{k}/{number}"), stdout=subprocess.DEVNULL, env=environment
            )
            if left and chance.random() < 0.9:
                left -= 1
                time.sleep(chance.uniform(0.2, longest))
                job.send_signal(signal.SIGKILL)
                job.wait()
                continue
            assert job.wait() == 0
            break
    merge([tmp_path / "job"], tmp_path / "merged")
    list(load(model, runtime="onnx").stream(source, out=tmp_path / "whole", sinks=["csv", "coco"]))
    rows = list(csv.DictReader((tmp_path / "merged" / "counts.csv").open()))
    assert len({row["image"] for row in rows}) == len(rows) == images
    assert sum(row["status"] == "error" for row in rows) == len(broken)
    for name in ("counts.csv", "points.csv", "coco/annotations.json"):
        assert (tmp_path / "merged" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    return left


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_killed_shards_go_on(tmp_path):
    assert kill_and_go_on(tmp_path, 60, {3, 41}, number=2, kills=2, longest=3) == 0


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_thirty_kills_of_a_thousand_images(tmp_path):
    assert kill_and_go_on(tmp_path, 1000, {3, 41, 250, 251, 999}, number=5, kills=31, longest=6) <= 1
