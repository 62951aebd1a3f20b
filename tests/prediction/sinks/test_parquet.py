"""Parquet tables hold what the csv tables do, written in groups and continued after a stop."""

import sys

import pyarrow.parquet as pq
import pytest

from dotcount import tables
from dotcount.errors import DataError
from dotcount.files import csv_line
from dotcount.prediction import Predictor
from dotcount.prediction.frame import Frame
from tests.prediction.oracles import Bright, write_dotted


def test_tables_hold_counts_points_errors_and_warnings(frame, write):
    warned = frame("16.tif")
    warned[0].warn("16-bit stretched 120..4095")
    warned[0].warn("page 1 of 30")
    failed = (Frame("c.png", error="can't be decoded; replace it"), None)
    out = write("parquet", frame("=a.png"), frame("none.png", xy=(), interval=None), failed, warned)
    counts = pq.read_table(out / "counts.parquet").to_pylist()
    empty = dict.fromkeys(("count", "low", "high", "error", "warning", "familiarity"))
    first = empty | {"image": "=a.png", "count": 1 / 3, "low": 0.5, "high": 3.0, "status": "ok"}
    assert counts[0] == first
    assert counts[1] == empty | {"image": "none.png", "count": 1 / 3, "status": "ok"}
    assert counts[2] == empty | {"image": "c.png", "status": "error", "error": "can't be decoded; replace it"}
    assert counts[3]["warning"] == "16-bit stretched 120..4095; page 1 of 30"
    points = pq.read_table(out / "points.parquet").to_pylist()
    assert points == [{"image": name, "x": 1.5, "y": 2.25, "score": 0.9} for name in ("=a.png", "16.tif")]
    written = {p.name for p in out.iterdir() if not p.name.startswith(".")}
    assert written == {"counts.parquet", "points.parquet", "prediction.json", "dotcount.json"}


def test_rows_come_in_groups(frame, write, monkeypatch):
    monkeypatch.setattr(tables, "GROUP", 3)
    out = write("parquet", frame("a.png", xy=[(k, 1.0) for k in range(7)]), frame("b.png", xy=[(7.0, 1.0)]))
    file = pq.ParquetFile(out / "points.parquet")
    assert [file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)] == [3, 3, 2]
    assert file.read().column("x").to_pylist() == list(range(8))


@pytest.mark.parametrize("stop", [1, 3, 5])
def test_a_run_that_stopped_goes_on_and_equals_csv(tmp_path, stop):
    for k in range(5):
        write_dotted(tmp_path / "in" / f"{k}.png", [(2 + 4 * j, 3) for j in range(k)])
    (tmp_path / "in" / "2.png").write_bytes(b"no image")

    def begin():
        return Predictor(Bright()).stream(tmp_path / "in", out=tmp_path / "out", sinks=["csv", "parquet"])

    run = begin()
    for _ in range(stop):
        next(run)
    run.close()
    assert not (tmp_path / "out" / "counts.parquet").exists()
    list(begin())
    for name in ("counts", "points"):
        found = pq.read_table(tmp_path / "out" / f"{name}.parquet").to_pylist()
        text = (tmp_path / "out" / f"{name}.csv").read_text(encoding="utf-8")
        assert text == csv_line(*found[0]) + "".join(csv_line(*row.values()) for row in found)


def test_without_pyarrow_a_run_ends_before_it_counts(frame, write, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"pip install 'dotcount\[tables\]'"):
        write("parquet", frame())
