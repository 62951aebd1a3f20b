import csv

import numpy as np
import pytest

from dotcount.errors import OutputError
from dotcount.files import CsvWriter, replacing, require_writable
from dotcount.inference import Prediction
from dotcount.prediction import Outcome, PredictionSink, Source


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def outcome(tmp_path, name, xy=((1.5, 2.25),), interval=(0.5, 3.0)):
    points = np.array(xy, dtype=float).reshape(-1, 2)
    density = np.ones((2, 2), np.float32)
    prediction = Prediction(1 / 3, interval, points, np.full(len(points), 0.9), density, (4, 4), 8, 8)
    return Outcome(Source(tmp_path / name, name), prediction)


def test_tables_hold_counts_points_and_errors(tmp_path):
    with PredictionSink(tmp_path / "out") as sink:
        sink.write(outcome(tmp_path, 'a, "b".png'))
        sink.write(outcome(tmp_path, "none.png", xy=(), interval=None))
        sink.write(Outcome(Source(tmp_path / "c.png", "c.png"), None, "can't be decoded; replace it"))
    counts = rows(tmp_path / "out" / "counts.csv")
    assert counts[0] == {
        "image": 'a, "b".png', "count": "0.3333", "low": "0.5", "high": "3", "status": "ok", "error": ""
    }  # fmt: skip
    assert (counts[1]["low"], counts[1]["high"]) == ("", "")
    assert (counts[2]["status"], counts[2]["count"], counts[2]["error"]) == (
        "error",
        "",
        "can't be decoded; replace it",
    )
    assert rows(tmp_path / "out" / "points.csv") == [{"image": 'a, "b".png', "x": "1.5", "y": "2.25", "score": "0.9"}]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["counts.csv", "points.csv"]


def test_a_failed_run_leaves_earlier_results_and_nothing_half_written(tmp_path):
    (tmp_path / "counts.csv").write_text("earlier\n")

    def interrupted():
        with PredictionSink(tmp_path) as sink:
            sink.write(outcome(tmp_path, "a.png"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (tmp_path / "counts.csv").read_text() == "earlier\n"
    assert [p.name for p in tmp_path.iterdir()] == ["counts.csv"]


def test_a_place_below_a_file_is_refused_and_nothing_is_made(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OutputError, match=r"file is a file.*--out"),
        CsvWriter(tmp_path / "file" / "d" / "x.csv", ["a"]),
    ):
        pass
    with pytest.raises(OutputError):
        require_writable(tmp_path / "file")
    require_writable(tmp_path / "new" / "deep")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_replacing_removes_the_temporary_file_on_failure(tmp_path):
    def full_disk():
        with replacing(tmp_path / "a.txt") as temporary:
            temporary.write_text("half")
            raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space"):
        full_disk()
    assert list(tmp_path.iterdir()) == []
