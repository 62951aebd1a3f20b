"""When the promise of an interval is said to be void, and how often it held by part of a set."""

from __future__ import annotations

import numpy as np

from dotcount.evaluation import IntervalCoverage, Row
from dotcount.evaluation.promises import by_familiarity, coverage, coverage_by_subset, void_promises
from dotcount.metadata import CountInterval

INTERVAL = CountInterval(0.9, 1.0, 40)


def rows(held, familiarity=0.9):
    return [
        Row(str(k), 10, 10.0, (9.0, 11.0) if one else (0.0, 1.0), 10, familiarity=familiarity)
        for k, one in enumerate(held)
    ]


def test_coverage_is_that_of_the_images_with_an_interval():
    found = coverage(INTERVAL, [*rows([True, True, False]), Row("x", 10, 10.0, None, 10)])
    assert (found.level, found.n) == (0.9, 3)
    assert found.coverage == 2 / 3
    assert coverage(None, rows([True])) is None
    assert coverage(INTERVAL, []) is None


def test_it_is_told_for_each_part_of_the_set():
    mixed = [*rows([True] * 4), *rows([False] * 3, familiarity=0.1)]
    groups = by_familiarity(mixed)
    found = coverage_by_subset(INTERVAL, mixed, groups | {"count": {"none": np.zeros(7, bool)}})
    assert {name: one.coverage for name, one in found.items()} == {
        "familiarity/like the training images": 1.0,
        "familiarity/unlike the training images": 0.0,
    }
    assert by_familiarity(rows([True] * 5)) == {}
    assert by_familiarity([Row("a", 1, 1.0, None, 1)]) == {}


def test_what_chance_explains_does_not_void_a_promise():
    assert void_promises(IntervalCoverage(0.9, 0.8, 40), rows([True] * 40)) == ()
    assert void_promises(None, rows([True] * 39) + rows([True], familiarity=0.1)) == ()
    (few,) = void_promises(IntervalCoverage(0.9, 0.7, 40), rows([True] * 40))
    assert "hold 70% of the 40 true counts, where 90% were promised" in few
    (strange,) = void_promises(None, rows([True] * 10) + rows([True] * 10, familiarity=0.1))
    assert strange.startswith("10 of 20 images are unlike the training images")
