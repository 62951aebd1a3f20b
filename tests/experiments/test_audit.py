"""The scores of the audit's experiment on cases known by hand, and its page against its file."""

import json
from pathlib import Path

import numpy as np
import pytest

from dotcount.data import Record
from dotcount.data.records import Collection
from dotcount.points import Points
from experiments.audit_faults import MOVED, corrupt
from experiments.audit_scores import rank

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "results" / "audit.md").read_text(encoding="utf-8")
FAULTS = [("removed", ("a", (10.0, 10.0))), ("removed", ("a", (30.0, 10.0))), ("moved", ("b", (5.0, 5.0)))]
WITHIN = {"a": 4.0, "b": 4.0}


def test_a_fault_is_found_once_and_other_kinds_are_right_but_not_asked_for():
    found = [("a", (11.0, 10.0), 0.9), ("a", (10.0, 11.0), 0.8), ("b", (5.0, 6.0), 0.7), ("a", (33.0, 10.0), 0.6)]
    ranking = rank(found, FAULTS, "removed", WITHIN)
    assert ranking.right.tolist() == [True, False, True, True]
    assert ranking.hits.tolist() == [True, False, False, True]
    scores = ranking.scores()
    assert (scores["recall_of_all"], scores["precision_of_all"]) == (1.0, 0.75)
    assert scores["average_precision"] == pytest.approx((1 + 3 / 4) / 2)


def test_nothing_found_scores_nothing():
    scores = rank([], FAULTS, "removed", WITHIN).scores()
    assert (scores["recall_at_precision_0.5"], scores["average_precision"]) == (0.0, 0.0)


def test_faults_are_those_that_were_asked_for():
    rng = np.random.default_rng(0)
    records = tuple(Record(Path(n), n, Points(rng.uniform(20, 80, (100, 2)), 100, 100)) for n in "ab")
    wrong, faults = corrupt(Collection(Path(), "made", "csv", records), 3)
    kinds = [fault.kind for fault in faults]
    assert [kinds.count(kind) for kind in ("removed", "added", "moved")] == [10, 10, 10]
    assert wrong.n_dots == 200
    moved = [np.subtract(f.after, f.before) for f in faults if f.kind == "moved"]
    np.testing.assert_allclose(np.linalg.norm(moved, axis=1), MOVED, atol=0.02)


def test_the_page_says_what_the_files_say():
    told = json.loads((ROOT / "experiments" / "results" / "audit.json").read_text(encoding="utf-8"))["sets"][
        "vgg_cells"
    ]
    for kind, row in told["scores"]["audit"].items():
        listed, peak = (told["scores"][way][kind] for way in ("audit, as listed", "nearest peak"))
        cells = [
            f"{kind}",
            f"{listed['recall_of_all']:.3f} / {listed['precision_of_all']:.3f}",
            f"{row['recall_at_precision_0.5']:.3f}",
            f"{row['average_precision']:.3f}",
            f"{peak['recall_of_all']:.3f} / {peak['precision_of_all']:.3f}",
            f"{peak['average_precision']:.3f}",
            f"{told['scores']['residual of counts'][kind]['average_precision']:.3f}",
        ]
        assert f"| {' | '.join(cells)} |" in PAGE
    points = json.loads((ROOT / "experiments" / "results" / "points.json").read_text(encoding="utf-8"))
    for ways in (value for value in points.values() if isinstance(value, dict)):
        for way, row in ways.items():
            keys = ("f", "precision", "recall")
            cells = [way, *(f"{row[key]:.4f}" for key in keys), f"{row['points']:,}", f"{row['mean_gap_to_count']:.3f}"]
            assert f"| {' | '.join(cells)} | {row['cpu_seconds_an_image']:.3f} |" in PAGE
