"""The resize rule and the resampling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dotcount.config import DataConfig
from dotcount.data.resizing import ResizeRule, resize_pixels

sides = st.integers(1, 5000)
bounds = st.none() | st.integers(1, 3000)


@pytest.mark.parametrize(
    ("size", "rule", "expected"),
    [
        ((100, 50), ResizeRule(), (100, 50)),
        ((100, 50), ResizeRule(50, 100, 50), (100, 50)),
        ((100, 50), ResizeRule(min_side=100), (200, 100)),
        ((4000, 3000), ResizeRule(512, 2048), (2048, 1536)),
        ((300, 100), ResizeRule(200, 450), (450, 150)),
        ((1, 1000), ResizeRule(max_side=10), (1, 10)),
        # UCF-QNRF, which bounds the shorter side from both ends: ordinary, panoramic, upright, small.
        ((6000, 4000), ResizeRule(512, None, 2048), (3072, 2048)),
        ((9999, 3400), ResizeRule(512, None, 2048), (6023, 2048)),
        ((3000, 4096), ResizeRule(512, None, 2048), (2048, 2796)),
        ((300, 256), ResizeRule(512, None, 2048), (600, 512)),
        ((100, 50), ResizeRule(magnify=1.5), (150, 75)),
        ((300, 100), ResizeRule(200, 450, magnify=2.0), (900, 300)),
    ],
)
def test_resize_rule(size: tuple[int, int], rule: ResizeRule, expected: tuple[int, int]) -> None:
    assert rule.size(*size) == expected


@given(sides, sides, bounds, bounds, bounds)
def test_upper_bounds_hold_and_the_aspect_stays(
    width: int, height: int, low: int | None, high: int | None, short: int | None
) -> None:
    new_width, new_height = ResizeRule(low, high, short).size(width, height)
    if high is not None:
        assert max(new_width, new_height) <= high
    if short is not None:
        assert min(new_width, new_height) <= short
    if low is not None and high is None and (short is None or short >= low):
        assert min(new_width, new_height) >= low
    assert abs(new_width / width * height - new_height) <= 1 + height / width + width / height


def test_a_rule_is_read_from_settings_and_completed_bound_by_bound() -> None:
    asked = ResizeRule.of(DataConfig(max_side=900))
    assert asked == ResizeRule.of({"max_side": 900, "something": "else"}) == ResizeRule(max_side=900)
    assert asked.or_else(ResizeRule(512, 2048, 1024)) == ResizeRule(512, 900, 1024)
    assert ResizeRule.of({}) == ResizeRule()
    assert ResizeRule.of(asked.to_dict()) == asked


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_resizing_keeps_depth_and_position(kind: type) -> None:
    """A bright pixel stays at its place in the corner convention: the centre of mass scales."""
    pixels = np.zeros((20, 30, 3), dtype=kind)
    pixels[4, 21] = 200
    larger = resize_pixels(pixels, 60, 40)
    assert larger.dtype == kind
    weight = larger[..., 0].astype(float)
    x = (weight.sum(0) * (np.arange(60) + 0.5)).sum() / weight.sum()
    y = (weight.sum(1) * (np.arange(40) + 0.5)).sum() / weight.sum()
    assert (x, y) == pytest.approx((43.0, 9.0), abs=0.02)
    assert resize_pixels(pixels, 30, 20) is pixels


def test_a_rule_in_words() -> None:
    assert ResizeRule().described() == "used at their own size"
    said = ResizeRule(512, None, 2048).described()
    assert said == "enlarged to a shorter side of at least 512 px and shrunk to a shorter side of at most 2048 px"
    assert ResizeRule(magnify=1.25).described() == "magnified 1.25 times"
    assert ResizeRule(magnify=1.0).described() == ResizeRule().described()


def test_a_rule_is_magnified_on_top_of_its_own_magnification() -> None:
    assert ResizeRule(min_side=64).magnified(2.0) == ResizeRule(min_side=64, magnify=2.0)
    assert ResizeRule(magnify=1.5).magnified(2.0).size(100, 50) == (300, 150)
