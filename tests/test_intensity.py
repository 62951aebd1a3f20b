from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dotcount.errors import InputError
from dotcount.intensity import IntensityRule, rule_for


def blobs(seed: int = 0, side: int = 96) -> np.ndarray:
    """A smooth 8-bit picture with bright spots on a dark ground."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    image = np.full((side, side), 8.0)
    for cy, cx in rng.uniform(5, side - 5, (25, 2)):
        image += 230 * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 18)
    return (image + rng.normal(0, 2, image.shape)).clip(0, 255).round().astype(np.uint8)


def test_eight_bit_is_divided_by_its_range_whatever_the_rule() -> None:
    pixels = blobs()
    expected = pixels.astype(np.float32) / np.float32(255)
    for rule in (IntensityRule(), IntensityRule(100, 900, "percentiles", 3, "integer"), IntensityRule.fit([pixels])):
        np.testing.assert_array_equal(rule.apply(pixels), expected)
    assert IntensityRule.fit([pixels]) == IntensityRule()


@pytest.mark.parametrize("factor", [1, 4, 8, 16, 256, 257])
def test_eight_bit_values_in_a_deeper_type_give_the_same_picture(factor: int) -> None:
    pixels = blobs() // 2  # dim, so that the largest value tells nothing
    deep = pixels.astype(np.uint16) * np.uint16(factor)
    np.testing.assert_array_equal(IntensityRule.fit([deep]).apply(deep), IntensityRule().apply(pixels))


@pytest.mark.parametrize("top", [1023, 2047, 4095, 16383, 65535])
@pytest.mark.parametrize("offset", [0, 0.03, 0.4])
def test_deep_values_look_like_the_eight_bit_picture_of_the_same_range(top: int, offset: float) -> None:
    pixels = blobs()
    share = offset + (1 - offset) * pixels / 255
    deep = np.rint(share * top).astype(np.uint16)
    seen = IntensityRule.fit([deep]).apply(deep)
    plain = pixels / 255
    low, high = np.percentile(plain, (0.1, 99.9))
    assert np.abs(seen - np.clip((plain - low) / (high - low), 0, 1)).mean() < 0.04
    assert seen.min() <= 0.05
    assert seen.max() >= 0.95


@pytest.mark.parametrize("top", [255, 1023, 4095, 16383])
@pytest.mark.parametrize("end", [65535, 32767])
def test_a_scale_bar_at_the_end_of_the_type_does_not_darken_an_image(top: int, end: int) -> None:
    deep = np.rint(blobs() / 255 * min(top, end // 4)).astype(np.uint16)
    rule = IntensityRule.fit([deep])
    drawn = deep.copy()
    drawn[-12:-8, 40:90] = end  # 2 %
    again = IntensityRule.fit([drawn, deep])
    assert (again.low, again.high, again.method) == (rule.low, rule.high, rule.method)
    assert again.mark == end
    assert f"{end:,}, far above all others, left out" in again.described()
    assert IntensityRule.from_dict(json.loads(json.dumps(again.to_dict()))) == again
    assert again.apply(drawn).max() == 1
    note = rule_for(drawn, IntensityRule(), again)[1]
    assert note is not None
    assert f"{end:,} was left out" in note
    plain = rule_for(deep, IntensityRule(), again)[1]
    assert plain is not None
    assert "left out" not in plain


def test_bright_objects_are_no_marks() -> None:
    rng = np.random.default_rng(0)
    hard = rng.normal(300, 30, (96, 96)).astype(np.uint16)
    hard[40:50, 40:50] = 65535  # an object on noise: it is what there is to see
    soft = blobs().astype(np.uint16) * 257
    for image in (hard, soft):
        rule = IntensityRule.fit([image])
        assert rule.mark is None
        assert rule.high == 65535


def test_single_hot_pixels_do_not_darken_an_image() -> None:
    deep = blobs().astype(np.uint16) * 9 + 130
    rule = IntensityRule.fit([deep])
    hot = deep.copy()
    hot[10::30, 7::30] = 65535
    again = IntensityRule.fit([hot])
    assert again.high == pytest.approx(rule.high, rel=0.05)
    assert again.low == pytest.approx(rule.low, rel=0.05)


def test_noise_alone_is_not_stretched_but_a_faint_image_is() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(430, 12, (200, 200)).astype(np.uint16)
    rule = IntensityRule.fit([noise])
    assert (rule.low, rule.high, rule.method) == (0, 1023, "bit_depth")
    faint = (noise + blobs(side=200) / 4).astype(np.uint16)
    assert IntensityRule.fit([faint]).method == "percentiles"
    assert IntensityRule.fit([faint, noise]).method == "percentiles"


def test_a_set_has_one_range() -> None:
    bright, dim = blobs().astype(np.uint16) * 15 + 100, blobs(1).astype(np.uint16) * 2 + 100
    rule = IntensityRule.fit([bright, dim, blobs(2)])
    assert rule.images == 2
    assert rule.apply(dim).max() < 0.2 < 0.9 < rule.apply(bright).max()


def test_floats_in_the_unit_interval_stay_others_are_stretched() -> None:
    unit = (blobs() / 255).astype(np.float32)
    np.testing.assert_array_equal(IntensityRule.fit([unit]).apply(unit), unit)
    eight = blobs().astype(np.float32)
    np.testing.assert_array_equal(IntensityRule.fit([eight]).apply(eight), IntensityRule().apply(blobs()))
    for scaled in (unit * 500 - 100, unit / 100):
        seen = IntensityRule.fit([scaled]).apply(scaled)
        assert np.abs(seen - (unit - 0.02) / 0.98).mean() < 0.02
    odd = unit * 7
    odd[0, 0], odd[5, 5] = np.nan, np.inf
    assert np.isfinite(IntensityRule.fit([odd]).apply(odd)).all()


@given(st.integers(0, 65535), st.sampled_from(["uint16", "int32", "float32", "uint32"]))
def test_a_constant_image_has_a_range(value: int, dtype: str) -> None:
    pixels = np.full((4, 5, 3), value, dtype=dtype)
    seen = IntensityRule.fit([pixels]).apply(pixels)
    assert seen.shape == pixels.shape
    assert ((seen >= 0) & (seen <= 1)).all()


def test_a_model_keeps_the_range_it_was_trained_with_and_misfits_are_told() -> None:
    trained = IntensityRule(0, 4095, "bit_depth", 4, "integer")
    fitting = blobs().astype(np.uint16) * 16
    assert rule_for(fitting, trained, IntensityRule.fit([fitting])) == (trained, None)
    for pixels, word in ((fitting * 4, "outside"), (fitting // 64, "nearly uniform"), (blobs(), "8 bits")):
        rule, note = rule_for(pixels, trained, None)
        assert rule == trained
        assert note is not None
        assert word in note
    assert rule_for(blobs(), IntensityRule(), None) == (IntensityRule(), None)


def test_deep_images_for_a_model_of_eight_bits_take_the_range_of_their_set_and_it_is_told() -> None:
    bright, dim = blobs().astype(np.uint16) * 15 + 100, blobs(1).astype(np.uint16) * 2 + 100
    of_set = IntensityRule.fit([bright, dim])
    rule, note = rule_for(bright, IntensityRule(), of_set)
    assert rule == of_set
    assert note is not None
    assert "16-bit values were mapped from" in note
    assert "counted together" in note
    alone, note = rule_for(dim, IntensityRule(), None)
    assert alone == IntensityRule.fit([dim])
    assert note is not None
    assert "of this image" in note
    floats = blobs().astype(np.float32) * 3.3
    assert rule_for(floats, IntensityRule(), of_set)[0] == IntensityRule.fit([floats])


def test_deep_images_are_made_as_dark_and_bright_as_those_of_training() -> None:
    """Without it, haze that the model knows from its training images would be stretched away."""
    plain = (blobs() * 0.6 + 40).astype(np.uint8)
    trained = IntensityRule().measured([plain])
    assert trained.dark == pytest.approx(plain.min() / 255, abs=0.02)
    assert trained.bright == pytest.approx(plain.max() / 255, abs=0.03)
    assert IntensityRule().measured([np.zeros((9, 9), np.uint8)]) == IntensityRule()
    expected = plain.astype(np.float32) / 255
    for deep in ((plain * (2047 / 255)).astype(np.uint16), (plain * 4.2 + 250).astype(np.uint16)):
        rule, note = rule_for(deep, trained, None)
        assert note is not None
        np.testing.assert_allclose(rule.apply(deep), expected, atol=0.01)
        assert rule_for(deep, trained, rule)[0] == rule
    np.testing.assert_array_equal(rule_for(plain, trained, None)[0].apply(plain), expected)
    exact = plain.astype(np.uint16) * 257
    np.testing.assert_array_equal(rule_for(exact, trained, None)[0].apply(exact), expected)


def test_the_rule_is_described() -> None:
    assert "0 to 4,095" in IntensityRule(0, 4095, "bit_depth", 4, "integer").described()
    assert "4 images" in IntensityRule(0, 4095, "bit_depth", 4, "integer").described()
    assert "8-bit" in IntensityRule().described()


def test_the_rule_survives_json() -> None:
    for rule in (IntensityRule(), IntensityRule(1.5, 99.25, "percentiles", 12, "float", 0.1, 0.8)):
        assert IntensityRule.from_dict(json.loads(json.dumps(rule.to_dict()))) == rule


@pytest.mark.parametrize(
    "change",
    [
        {"low": "0"},
        {"low": None},
        {"high": float("nan")},
        {"high": True},
        {"high": -1.0},
        {"method": "magic"},
        {"method": 3},
        {"images": 1.5},
        {"images": -2},
        {"kind": "complex"},
        {"kind": None},
        {"dark": 1.0},
        {"bright": 2.0},
    ],
    ids=str,
)
def test_altered_rules_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(InputError, match="intensity"):
        IntensityRule.from_dict(IntensityRule(0, 10, "percentiles", 1, "integer").to_dict() | change)
    with pytest.raises(InputError, match="to_dict"):
        IntensityRule.from_dict({"low": 1})


def test_what_has_no_range_is_refused() -> None:
    deep, fraction = blobs().astype(np.uint16), blobs() / 300
    with pytest.raises(InputError, match="no range"):
        IntensityRule().apply(deep)
    with pytest.raises(InputError, match="no range"):
        IntensityRule.fit([deep]).apply(fraction)
    with pytest.raises(InputError, match="one type"):
        IntensityRule.fit([deep, fraction])
    assert not IntensityRule.fit([deep]).covers(fraction.dtype)
    assert IntensityRule.fit([deep]).covers(np.dtype(np.uint8))
