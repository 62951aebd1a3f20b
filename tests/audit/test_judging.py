"""Suspicions about densities and dots that are known by hand."""

import numpy as np
import pytest

from dotcount.audit import audit, examine, reach_of
from dotcount.audit.exchange import exchanged
from dotcount.audit.judging import spacing
from dotcount.data import Record
from dotcount.inference import Prediction
from dotcount.points import Points

STRIDE = 4.0
GRID = [(8.0 + 24 * i, 8.0 + 24 * j) for j in range(5) for i in range(5)]  # 25 objects, 24 px apart


def predicted(objects, width=120, height=120, stride=(STRIDE, STRIDE)):
    """Return what a good model gives: every object's mass on a few cells around it."""
    columns, rows = round(width / stride[0]), round(height / stride[1])
    x, y = ((np.arange(n) + 0.5) * s for n, s in zip((columns, rows), stride))
    density = np.zeros((rows, columns), np.float32)
    for a, b in objects:
        blob = np.exp(-((x - a) ** 2 + (y[:, None] - b) ** 2) / (2 * 3.0**2))
        density += (blob / blob.sum()).astype(np.float32)
    none = np.zeros((0, 2))
    return Prediction(float(density.sum()), None, none, np.zeros(0), density, stride, width, height)


def found(dots, objects=GRID, **options):
    return examine("a.png", predicted(objects), np.array(dots).reshape(-1, 2), **options).suspicions


def test_dots_on_their_objects_are_not_suspicious():
    assert found(GRID) == ()
    off = np.array(GRID) + np.random.default_rng(0).normal(0, 1, (25, 2))
    assert found(off) == ()


def test_a_removed_dot_is_missing_where_it_was():
    (one,) = found(GRID[:7] + GRID[8:])
    assert (one.kind, one.dot) == ("missing", None)
    np.testing.assert_allclose(one.place, GRID[7], atol=1)
    assert one.score > 0.8


def test_a_dot_far_from_objects_is_spurious():
    (one,) = found([*GRID, (20.0, 20.0)])
    assert (one.kind, one.dot, one.place) == ("spurious", 25, (20.0, 20.0))
    assert one.score > 0.7


def test_a_moved_dot_is_misplaced_and_its_object_is_named():
    dots = list(GRID)
    dots[12] = (GRID[12][0] + 12, GRID[12][1] + 9)  # 15 px
    (one,) = found(dots)
    assert (one.kind, one.dot, one.place) == ("misplaced", 12, dots[12])
    np.testing.assert_allclose(one.target, GRID[12], atol=1)


def test_two_dots_on_one_object_are_doubled_and_the_farther_one_goes():
    (one,) = found([*GRID, (GRID[6][0] + 5, GRID[6][1] + 4)])
    assert (one.kind, one.dot, one.target) == ("doubled", 25, GRID[6])


def test_neighbours_nearer_than_the_reach_are_two_objects():
    pair = [(50.0, 50.0), (58.0, 50.0)]
    assert found(pair, pair, reach=16.0) == ()
    (one,) = found(pair[:1], pair, reach=16.0)
    assert one.kind == "missing"


def test_an_image_without_dots_or_without_objects():
    assert found([], []) == ()
    assert [s.kind for s in found(GRID[:3], [])] == ["spurious"] * 3
    assert [s.kind for s in found([], GRID[:3])] == ["missing"] * 3
    assert examine("a.png", predicted([]), np.zeros((0, 2))).fit == 1.0
    assert examine("a.png", predicted([]), np.array(GRID)).fit == 0.0
    assert examine("a.png", predicted(GRID), np.array(GRID)).fit > 0.8


def test_weaker_suspicions_than_asked_for_are_left_out():
    assert found(GRID[1:], least=1.0) == () or all(s.score == 1.0 for s in found(GRID[1:], least=1.0))
    assert len(found(GRID[1:], least=0.7)) == 1


def test_cells_that_are_not_square_give_places_in_px_of_the_image():
    dots = np.array(GRID) * (1, 0.5)
    objects = predicted(dots, height=60, stride=(4.0, 2.0))
    (one,) = examine("a.png", objects, dots[1:]).suspicions
    np.testing.assert_allclose(one.place, dots[0], atol=1)


def test_the_reach_follows_the_spacing_but_for_images_that_have_none():
    assert reach_of(np.array(GRID), (4, 4)) == pytest.approx(0.6 * 24)
    assert reach_of(np.array(GRID[:1]), (4, 4), usual=20.0) == pytest.approx(12)
    assert reach_of(np.zeros((0, 2)), (4, 8)) == 16
    assert spacing(np.array([(1.0, 1.0), (1.0, 1.0)])) is None


def records(dots):
    return [Record(None, name, Points(xy, 120, 120)) for name, xy in dots.items()]


def scenes():
    rng = np.random.default_rng(3)
    return {f"{k}.png": rng.permutation(np.array(GRID))[: 12 + k] + rng.uniform(0, 12, 2) for k in range(4)}


def test_images_with_each_others_dots_are_named_and_their_dots_are_not():
    objects = scenes()
    swapped = {"0.png": objects["1.png"], "1.png": objects["0.png"]}
    judged = [(record, predicted(objects[record.name])) for record in records(objects | swapped)]
    result = audit(judged)
    assert {(s.kind, s.image, s.other) for s in result.suspicions} == {
        ("exchanged", "0.png", "1.png"),
        ("exchanged", "1.png", "0.png"),
    }
    assert all(image.fit > 0.8 for image in result.images if image.image in ("2.png", "3.png"))


def test_no_image_is_named_where_no_dots_fit_or_those_of_several_do():
    objects = scenes()
    nowhere = predicted([(3.0, 117.0)] * 12)
    audits = [examine(n, predicted(objects[n]), objects[n]) for n in ("1.png", "2.png")]
    odd = examine("0.png", nowhere, objects["0.png"])
    assert exchanged([odd, *audits], {"0.png": nowhere}) == []
    twins = [examine(n, predicted(objects["1.png"]), objects["1.png"]) for n in ("1.png", "twin.png")]
    wrong = examine("0.png", predicted(objects["1.png"]), objects["0.png"])
    assert exchanged([wrong, *twins], {"0.png": predicted(objects["1.png"])}) == []


def test_the_tables_hold_every_image_and_those_that_failed(tmp_path):
    objects = {"a.png": np.array(GRID)}
    result = audit([(records({"a.png": np.array(GRID[1:])})[0], predicted(objects["a.png"]))])
    result.save(tmp_path, [Record(None, "b.png", error="image b.png can't be decoded")])
    lines = (tmp_path / "images.csv").read_text(encoding="utf-8").splitlines()
    assert lines[1].startswith("a.png,24,25,")
    assert lines[2].endswith(",error,image b.png can't be decoded")
    assert len((tmp_path / "suspicions.csv").read_text(encoding="utf-8").splitlines()) == 2
