import json
from pathlib import Path

import numpy as np
import pytest

from dotcount.data import Collection, Record
from dotcount.errors import DataError
from dotcount.evaluation import evaluate, select_split
from dotcount.metadata import CountInterval, InputRule, ModelMetadata, TrainingFacts
from dotcount.points import Points
from dotcount.prediction import Predictor
from dotcount.resize import ResizeRule
from tests.prediction.oracles import write_dotted

GRID = [(x + 2, y + 2) for y in range(0, 48, 16) for x in range(0, 64, 16)]  # 12 cell corners, far apart


def record(tmp_path, number, seen, true, split="test", labels=None, error=None):
    """An image with ``seen`` white pixels and ``true`` dots on the first of the same places."""
    path = write_dotted(tmp_path / f"{number}.png", GRID[:seen])
    points = Points([(x + 0.5, y + 0.5) for x, y in GRID[:true]], 64, 48)
    return Record(path, path.name, points, split, labels or {}, error=error)


def collection(tmp_path, *records):
    return Collection(tmp_path, "made", "csv", tuple(records))


def test_scores_follow_from_the_counts(bright, tmp_path):
    data = collection(tmp_path, record(tmp_path, 1, 5, 5), record(tmp_path, 2, 4, 6), record(tmp_path, 3, 3, 0))
    result = evaluate(Predictor(bright), data)
    counting = result.metrics.to_dict()["counting"]
    assert (counting["n"], counting["mae"], counting["bias"]) == (3, pytest.approx(5 / 3), pytest.approx(1 / 3))
    assert counting["nae"] == pytest.approx((0 + 2 / 6) / 2)
    place = result.metrics.to_dict()["localization"]["optimal"]["sigma 4 px"]
    assert (place["tp"], place["fp"], place["fn"]) == (9, 3, 2)
    assert result.metrics.failed == 0
    assert (result.metrics.split, result.metrics.recipe, result.metrics.images) == ("test", "csv", 3)
    assert [row.difference for row in result.rows] == pytest.approx([0, -2, 3])


@pytest.mark.parametrize(
    ("recipe", "expected"), [("jhu_crowd", {"Low": 3, "Medium": 0, "High": 0}), ("nwpu", {"S0": 1, "S1": 2, "S4": 0})]
)
def test_benchmarks_are_scored_by_their_published_subsets(bright, tmp_path, recipe, expected):
    records = [record(tmp_path, number, 3, true) for number, true in enumerate((0, 4, 6))]
    data = Collection(tmp_path, "made", recipe, tuple(records))
    subsets = evaluate(Predictor(bright), data).metrics.to_dict()["subsets"]
    assert {name: subsets[f"count, {recipe}/{name}"]["n"] for name in expected} == expected


def test_worst_and_best_images_are_kept(bright, tmp_path):
    errors = [0, 3, -1, 2, -4, 1]
    data = collection(tmp_path, *(record(tmp_path, i, 6 + error, 6) for i, error in enumerate(errors)))
    result = evaluate(Predictor(bright), data, examples=2)
    assert [example.difference for example in result.worst] == pytest.approx([-4, 3])
    assert [abs(example.difference) for example in result.best] == pytest.approx([0, 1])


def test_patch_errors_see_what_totals_hide(bright, tmp_path):
    path = write_dotted(tmp_path / "a.png", [(2, 2), (10, 10)])
    points = Points([(60, 40), (50, 30)], 64, 48)
    result = evaluate(Predictor(bright), collection(tmp_path, Record(path, "a.png", points, "test")))
    assert result.metrics.counting.mae == 0
    assert result.metrics.to_dict()["game"] == {"1": 4, "2": 4, "3": 4}


def test_resizing_changes_nothing_about_truth(bright, tmp_path):
    block = [(x + 8, y + 4) for x in range(8) for y in range(8)]
    path = write_dotted(tmp_path / "a.png", block)
    data = collection(tmp_path, Record(path, "a.png", Points(block, 64, 48), "test"))
    plain, resized = (
        evaluate(Predictor(bright, ModelMetadata("bright", 4, input=InputRule(resize))), data).metrics.to_dict()
        for resize in (ResizeRule(), ResizeRule(min_side=96))
    )
    assert plain["counting"]["mae"] == 0
    # Enlarged, the block has more white pixels, but they lie in the same one of 4 or 16 regions as its dots.
    assert resized["counting"]["bias"] > 10
    assert resized["game"]["1"] == resized["game"]["2"] == pytest.approx(resized["counting"]["mae"])


def test_an_unreadable_image_is_a_row_and_takes_no_part(bright, tmp_path):
    good, bad = record(tmp_path, 1, 5, 5), record(tmp_path, 2, 5, 5)
    known = record(tmp_path, 3, 5, 5, error="image 3.png: broken")
    bad.image.write_bytes(b"\x89PNG\r\n\x1a\n")
    result = evaluate(Predictor(bright), collection(tmp_path, good, bad, known))
    assert [bool(row.error) for row in result.rows] == [False, True, True]
    assert result.metrics.images == 1
    assert result.metrics.failed == 2
    assert result.true.tolist() == [5]
    with pytest.raises(DataError, match="none of 1 images"):
        evaluate(Predictor(bright), collection(tmp_path, bad))


def test_subsets_by_label_and_count(bright, tmp_path):
    records = [record(tmp_path, i, i, i, labels={"light": "day" if i % 2 else "night"}) for i in range(1, 11)]
    subsets = evaluate(Predictor(bright), collection(tmp_path, *records)).metrics.to_dict()["subsets"]
    assert subsets["light/day"]["n"] == subsets["light/night"]["n"] == 5
    assert sum(subset["n"] for name, subset in subsets.items() if name.startswith("count/Q")) == 10


def test_coverage_of_intervals(bright, tmp_path):
    metadata = ModelMetadata("bright", 4, interval=CountInterval(0.9, 0.5, 50))
    data = collection(tmp_path, record(tmp_path, 1, 5, 5), record(tmp_path, 2, 5, 9))
    result = evaluate(Predictor(bright, metadata), data)
    assert result.metrics.to_dict()["interval"] == {"level": 0.9, "coverage": 0.5, "n": 2}


def test_splits_are_chosen_by_name_and_never_guessed(bright, tmp_path):
    data = collection(tmp_path, record(tmp_path, 1, 1, 1, "train"), record(tmp_path, 2, 2, 2, "test"))
    assert [r.name for r in select_split(data, "test").records] == ["2.png"]
    assert len(select_split(data, None)) == 2
    with pytest.raises(DataError, match="no split 'val'"):
        select_split(data, "val")
    flat = collection(tmp_path, record(tmp_path, 3, 1, 1, None))
    assert len(select_split(flat, "test")) == 1
    bare = collection(tmp_path, Record(Path("x.png"), "x.png", None, "test"))
    with pytest.raises(DataError, match="none carries dots"):
        select_split(bare, "test")


def test_saved_files_hold_the_same_numbers(bright, tmp_path):
    result = evaluate(Predictor(bright), collection(tmp_path, record(tmp_path, 1, 5, 4)))
    result.save(tmp_path / "out")
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == json.loads(
        json.dumps(result.metrics.to_dict())
    )
    lines = (tmp_path / "out" / "predictions.csv").read_text().splitlines()
    assert lines == [
        "image,true,count,low,high,difference,points,status,error,warning,familiarity",
        "1.png,4,5,,,1,5,ok,,,",
    ]


def test_progress_is_told(bright, tmp_path):
    seen = []
    data = collection(tmp_path, record(tmp_path, 1, 1, 1), record(tmp_path, 2, 1, 1))
    evaluate(Predictor(bright), data, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)]
    assert np.isfinite(evaluate(Predictor(bright), data).metrics.seconds)


def test_the_verdict_and_the_f_within_an_objects_radius_are_told(bright, tmp_path):
    data = collection(tmp_path, *(record(tmp_path, number, 6, true) for number, true in enumerate((2, 6, 12, 9, 1, 6))))
    metadata = ModelMetadata("bright", 4, training=TrainingFacts(images=4, dots=24))
    metrics = evaluate(Predictor(bright, metadata), data).metrics.to_dict()
    assert (metrics["baseline"]["answer"], metrics["baseline"]["verdict"]) == (6, "no better")
    assert "nearly the same count, 6.0" in metrics["baseline"]["sentence"]
    near = metrics["localization"]["object_radius"]
    assert near["median_px"] == 8
    assert (near["tp"], near["fp"], near["fn"]) == (2 + 6 + 6 + 6 + 1 + 6, 4 + 5, 6 + 3)
    assert not evaluate(Predictor(bright), data).metrics.to_dict()["baseline"]["known"]
