"""The UOT loss: values and gradients, padding, empty images, the cache, autocast, and honesty."""

from __future__ import annotations

import copy
import json
import math
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dotcount import losses
from dotcount.config import load
from dotcount.errors import InputError, UnknownNameError, UsageError
from dotcount.losses import PotentialCache, _pooling
from dotcount.losses.base import check_batch
from dotcount.metadata import LossFacts
from dotcount.transport import solve


def batch(seed: int = 0, counts: tuple[int, ...] = (3, 0, 6), side: int = 6, dtype: torch.dtype = torch.float64):
    g = torch.Generator().manual_seed(seed)
    density = torch.rand(len(counts), 1, side, side, generator=g, dtype=dtype) * 0.3
    points = [torch.rand(m, 2, generator=g, dtype=dtype) * side * 8 for m in counts]
    return density, points


@pytest.mark.parametrize("options", [{}, {"penalty": "quadratic"}, {"cost": "sql2"}, {"cost": "wfr", "delta": 0.6}])
def test_gradcheck(options):
    density, points = batch()
    loss = losses.create("uot", epsilon=0.05, tol=1e-13, max_iter=3000, **options)
    sizes = [(48, 48), (48, 40), (33, 48)]

    def total(d):
        return loss(d, points, stride=8, image_size=sizes).total

    assert torch.autograd.gradcheck(total, (density.requires_grad_(),), rtol=1e-6, atol=1e-8)


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.lists(st.integers(0, 9), min_size=1, max_size=4))
def test_a_batch_is_the_mean_of_its_images(seed, counts):
    density, points = batch(seed, tuple(counts))
    loss = losses.create("uot", tol=1e-9)
    out = loss(density, points, stride=8)
    values = [solve(d[0], p, stride=8, tol=1e-9).value for d, p in zip(density, points)]
    torch.testing.assert_close(out.per_image, torch.tensor(values, dtype=torch.float64), rtol=1e-8, atol=1e-8)
    assert float(out.total) == pytest.approx(sum(values) / len(values), rel=1e-8, abs=1e-8)
    parts = sum(out.terms[name] for name in ("transport", "pixel_mass", "dot_mass", "entropy"))
    assert parts == pytest.approx(float(out.total) + out.terms["gap"], rel=1e-6, abs=1e-6)


def test_empty_images_cost_their_mass_and_only_theirs():
    density, points = batch()
    density.requires_grad_()
    out = losses.create("uot", rho=0.5)(density, points, stride=8)
    assert float(out.per_image[1]) == pytest.approx(0.5 * float(density.detach()[1].sum()))
    out.total.backward()
    torch.testing.assert_close(density.grad[1], torch.full_like(density.grad[1], 0.5 / 3))


def test_padding_changes_nothing_and_gets_no_gradient():
    density, points = batch(1, (4, 5))
    loss = losses.create("uot", length_scale=48.0, tol=1e-9)
    padded = torch.nn.functional.pad(density, (0, 3, 0, 2), value=7.0).requires_grad_()
    a = loss(density, points, stride=8)
    b = loss(padded, points, stride=8, image_size=[(48, 48), (48, 48)])
    torch.testing.assert_close(a.per_image, b.per_image)
    b.total.backward()
    assert (padded.grad[..., 6:] == 0).all()
    assert (padded.grad[..., 6:, :] == 0).all()
    assert (padded.grad[..., :6, :6] != 0).any()


def test_flipping_image_and_dots_together_changes_nothing():
    density, points = batch(2, (5,))
    flipped = [torch.stack([48 - p[:, 0], p[:, 1]], 1) for p in points]
    loss = losses.create("uot", tol=1e-10)
    a, b = loss(density, points, stride=8), loss(density.flip(-1), flipped, stride=8)
    assert float(a.total) == pytest.approx(float(b.total), rel=1e-9)


def test_descending_the_gradient_finds_the_dots():
    points = [torch.tensor([[12.0, 12.0], [44.0, 36.0]])]
    raw = torch.full((1, 1, 7, 7), -3.0, requires_grad=True)
    loss = losses.create("uot", epsilon=0.01)
    optimizer = torch.optim.Adam([raw], 0.3)
    for _ in range(60):
        optimizer.zero_grad()
        loss(torch.nn.functional.softplus(raw), points, stride=8, keys=[torch.arange(2)]).total.backward()
        optimizer.step()
    density = torch.nn.functional.softplus(raw.detach())[0, 0]
    assert float(density.sum()) == pytest.approx(2.0, abs=0.15)
    assert float(density[1, 1]) > 0.7
    assert float(density[4, 5]) > 0.7


def test_length_scale_is_the_crop_and_the_blur_is_told_in_pixels():
    density, points = batch()
    out = losses.create("uot")(density, points, stride=8)
    assert out.terms["length_scale"] == 48
    assert out.terms["epsilon_px"] == pytest.approx(0.48)
    out = losses.create("uot")(density, points, stride=8, image_size=[(40, 30), (41, 20), (10, 10)])
    assert out.terms["length_scale"] == 41
    fixed = losses.create("uot", length_scale=512.0, epsilon=0.02)
    assert fixed(density, points, stride=8).terms["epsilon_px"] == pytest.approx(10.24)
    assert fixed.epsilon_px((100, 100)) == pytest.approx(10.24)
    with pytest.raises(InputError, match="length_scale must be"):
        losses.create("uot", length_scale=-1.0)


def test_an_unconverged_solve_is_counted_and_warned_of_once():
    density, points = batch(0, (9, 9), side=16)
    loss = losses.create("uot", epsilon=0.005, max_iter=1, tol=1e-8)
    with pytest.warns(RuntimeWarning, match="2 of 2 transport solves did not reach tol"):
        out = loss(density, points, stride=8)
    assert out.terms["unconverged"] == 2
    assert out.terms["gap"] > 1e-8
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert loss(density, points, stride=8).terms["unconverged"] == 2
    assert losses.create("uot")(density, points, stride=8).terms["unconverged"] == 0


def test_a_solve_far_from_converged_gives_no_gradient():
    density, points = batch(0, (40, 0, 3), side=16)
    density.requires_grad_()
    starved = losses.create("uot", epsilon=0.002, max_iter=1, tol=1e-6)
    with pytest.warns(RuntimeWarning, match="give no gradient"):
        out = starved(density, points, stride=8)
    assert out.terms["without_gradient"] == 2
    assert out.terms["unconverged"] == 2
    out.total.backward()
    assert (density.grad[[0, 2]] == 0).all()
    torch.testing.assert_close(density.grad[1], torch.full_like(density.grad[1], 1 / 3))
    density.grad = None
    almost = losses.create("uot", epsilon=0.05, tol=1e-3, max_iter=500)(density, points, stride=8)
    assert almost.terms["without_gradient"] == 0
    almost.total.backward()
    assert (density.grad[[0, 2]] != 0).any(-1).any(-1).all()


def test_remembered_potentials_shorten_the_next_solve_under_crop_and_flip():
    density, points = batch(3, (12, 0), side=12)
    keys = [torch.arange(12) + 5, torch.zeros(0, dtype=torch.int64)]
    loss = losses.create("uot", tol=1e-5, length_scale=96.0)
    cold = loss(density, points, stride=8, keys=keys)
    again = loss(density, points, stride=8, keys=keys)
    assert again.terms["n_evaluations"] < cold.terms["n_evaluations"] / 2
    torch.testing.assert_close(again.per_image, cold.per_image, rtol=2e-5, atol=2e-5)
    inside = points[0][:, 0] < 72
    flipped = torch.stack([72 - points[0][inside, 0], points[0][inside, 1]], 1)
    crop = density[:1, ..., :9].flip(-1)
    kept = [keys[0][inside]]
    warm = loss(crop, [flipped], stride=8, keys=kept)
    fresh = losses.create("uot", tol=1e-5, length_scale=96.0)(crop, [flipped], stride=8)
    torch.testing.assert_close(warm.per_image, fresh.per_image, rtol=2e-5, atol=2e-5)
    assert warm.terms["n_evaluations"] < fresh.terms["n_evaluations"]


def test_a_saved_loss_continues_exactly():
    density, points = batch(4, (7,), side=10, dtype=torch.float32)
    keys = [torch.arange(7)]
    loss = losses.create("uot", n_dots=3)
    loss(density, points, stride=8, keys=keys)
    saved = copy.deepcopy(loss.state_dict())
    expected = loss(density * 1.1, points, stride=8, keys=keys)
    resumed = losses.create("uot")
    resumed.load_state_dict(saved)
    got = resumed(density * 1.1, points, stride=8, keys=keys)
    assert torch.equal(got.per_image, expected.per_image)
    assert got.terms == expected.terms


def test_cache_reads_nan_for_the_unknown_and_grows():
    cache = PotentialCache(2)
    assert torch.isnan(cache.read(torch.tensor([0, 1]))).all()
    cache.write(torch.tensor([7, 0]), torch.tensor([0.5, -1.0]))
    torch.testing.assert_close(cache.read(torch.tensor([0, 7])), torch.tensor([-1.0, 0.5]))
    assert torch.isnan(cache.read(torch.tensor([30]))).all()
    cache.write(torch.zeros(0, dtype=torch.int64), torch.zeros(0))


def test_without_warm_start_nothing_is_kept():
    density, points = batch(0, (3,))
    loss = losses.create("uot", warm_start=False)
    a = loss(density, points, stride=8, keys=[torch.arange(3)])
    b = loss(density, points, stride=8, keys=[torch.arange(3)])
    assert a.terms["n_evaluations"] == b.terms["n_evaluations"]
    assert not loss.state_dict()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_and_autocast_solve_in_float32(dtype):
    density, points = batch(5, (6, 4), dtype=torch.float32)
    half = density.to(dtype).requires_grad_()
    loss = losses.create("uot")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = loss(half, points, stride=8)
    exact = loss(half.detach().float(), points, stride=8)
    assert out.total.dtype == torch.float32
    torch.testing.assert_close(out.per_image, exact.per_image)
    out.total.backward()
    assert half.grad.dtype == dtype
    assert torch.isfinite(half.grad).all()


def test_float64_stays_float64():
    density, points = batch()
    assert losses.create("uot")(density, points, stride=8).total.dtype == torch.float64


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"density": torch.rand(3, 6, 6)}, r"shape \(B, 1, h, w\)"),
        ({"density": -torch.rand(3, 1, 6, 6)}, "finite and not negative"),
        ({"density": torch.full((3, 1, 6, 6), torch.nan)}, "finite and not negative"),
        ({"density": torch.ones(3, 1, 6, 6, dtype=torch.int64)}, "floating dtype"),
        ({"density": torch.rand(3, 1, 0, 6)}, "at least one image and one cell"),
        ({"points": [torch.rand(3, 2)]}, "list of 3 tensors"),
        ({"points": [torch.rand(3, 2), torch.rand(0), torch.rand(2, 2)]}, r"points\[1\] must be a tensor of shape"),
        ({"points": [torch.ones(3, 2).long()] * 3}, r"points\[0\] must be of a floating dtype"),
        ({"points": [torch.full((3, 2), torch.inf)] * 3}, r"points\[0\] holds coordinates that are not finite"),
        ({"points": [torch.rand(3, 2, device="meta")] * 3}, r"points\[0\] is on meta"),
        ({"stride": 0}, "stride must be"),
        ({"image_size": [(48, 48)]}, "one .height, width. for each of the 3 images"),
        ({"keys": [torch.arange(3)]}, "keys must be a list of 3"),
        ({"keys": [torch.arange(2)] * 3}, r"keys\[0\] must be int64 of shape \(3,\)"),
        ({"keys": [torch.tensor([0, 1, -2])] * 3}, r"keys must not be negative; got -2"),
    ],
)
def test_wrong_input_gets_one_clear_line(change, message):
    good = {"density": torch.rand(3, 1, 6, 6), "points": [torch.rand(3, 2)] * 3, "stride": 8}
    arguments = {**good, **change}
    with pytest.raises(InputError, match=message) as caught:
        losses.create("uot")(arguments.pop("density"), arguments.pop("points"), **arguments)
    assert "\n" not in str(caught.value)


def test_wrong_names_suggest_the_right_one():
    with pytest.raises(UnknownNameError, match="Did you mean 'uot'"):
        losses.create("uott")
    with pytest.raises(UsageError, match="Did you mean 'epsilon'"):
        losses.create("uot", epsilonn=0.1)
    for option, value in (("cost", "l3"), ("penalty", "kll"), ("method", "newtn")):
        with pytest.raises(UnknownNameError, match=f"unknown {option} {value!r}"):
            losses.create("uot", **{option: value})
    with pytest.raises(InputError, match="epsilon must be"):
        losses.create("uot", epsilon=-0.01)


def test_an_infinite_strength_on_the_dots_counts_what_is_there_and_is_kept_in_metadata():
    """Of two places that a dot may be at, the gradient vanishes where the mass is that of the dot."""
    points = [torch.tensor([[4.0, 4.0]], dtype=torch.float64), torch.tensor([[28.0, 4.0]], dtype=torch.float64)]
    for rho in ((1.0, float("inf")), [1, "inf"]):
        density = torch.zeros(2, 1, 1, 4, dtype=torch.float64)
        density[..., 0] = density[..., 3] = 0.5
        density.requires_grad_()
        out = losses.create("uot", rho=rho, length_scale=8.0, tol=1e-10)(density, points, stride=8)
        out.total.backward()
        assert float(density.grad.sum(0)[0, 0, 0]) == pytest.approx(0.0, abs=1e-6)
    facts = LossFacts.of("uot", {"rho": (1.0, float("inf"))})
    assert json.loads(json.dumps(facts.options, allow_nan=False)) == {"rho": [1.0, "inf"]}
    assert losses.create("uot", **facts.options).options["rho"] == (1.0, "inf")
    with pytest.raises(InputError, match="rho must be one number or two"):
        losses.create("uot", rho="much")
    with pytest.raises(InputError, match="no mass can reach 1 of 1 dots"):
        losses.create("uot", rho=(1, "inf"))(torch.zeros(1, 1, 2, 2), [torch.ones(1, 2)], stride=8)


def test_an_infinite_strength_is_read_from_yaml():
    assert load(overrides=["loss.options.rho=[1,.inf]"]).loss.options["rho"] == [1, float("inf")]


def test_where_dots_crowd_cells_are_pooled_and_the_gradient_is_that_of_pooled_cells(monkeypatch):
    g = torch.Generator().manual_seed(0)
    density = torch.rand(2, 1, 13, 16, generator=g, dtype=torch.float64) * 0.1
    points = [torch.rand(40, 2, generator=g, dtype=torch.float64) * 20, torch.zeros(0, 2, dtype=torch.float64)]
    loss = losses.create("uot", tol=1e-13, max_iter=3000, warm_start=False)
    whole = loss(density, points, stride=8, image_size=[(100, 120)] * 2)
    assert whole.terms["pooled"] == 1
    monkeypatch.setattr(_pooling, "MANY_PAIRS", 13 * 16 * 40 / 3)

    def total(d):
        out = loss(d, points, stride=8, image_size=[(100, 120)] * 2)
        assert out.terms["pooled"] == 2
        return out.total

    assert float(total(density)) == pytest.approx(float(whole.total), rel=0.02)
    assert torch.autograd.gradcheck(total, (density.requires_grad_(),), rtol=1e-6, atol=1e-8)
    spread_out = [torch.rand(40, 2, generator=g, dtype=torch.float64) * 120, points[1]]
    narrow = losses.create("uot", epsilon=0.002, warm_start=False)
    assert narrow(density, spread_out, stride=8, image_size=[(100, 120)] * 2).terms["pooled"] == 1


def test_crowds_of_dots_with_lengths_of_their_own_are_pooled_too(monkeypatch):
    g = torch.Generator().manual_seed(0)
    density = torch.rand(1, 1, 13, 16, generator=g, dtype=torch.float64) * 0.1
    points = [torch.rand(40, 2, generator=g, dtype=torch.float64) * 20]
    loss = losses.create("uot", neighbour_scale=20.0, epsilon=0.05, warm_start=False)
    whole = loss(density, points, stride=8)
    assert whole.terms["pooled"] == 1
    monkeypatch.setattr(_pooling, "MANY_PAIRS", 13 * 16 * 40 / 3)
    pooled = loss(density, points, stride=8)
    assert pooled.terms["pooled"] == 2
    assert float(pooled.total) == pytest.approx(float(whole.total), rel=0.05)


@pytest.mark.parametrize("name", ["uot", "generalized"])
@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf"), "wide", "spacing"])
def test_length_scales_that_are_none_are_errors(name, value):
    with pytest.raises(InputError, match="length_scale"):
        losses.create(name, length_scale=value)


def test_each_dot_may_have_a_length_of_its_own():
    points = [torch.tensor([[4.0, 4.0], [10.0, 4.0], [60.0, 40.0]]), torch.tensor([[30.0, 30.0]]), torch.zeros(0, 2)]
    density = torch.rand(3, 1, 16, 16, generator=torch.Generator().manual_seed(1)) * 0.05
    loss = losses.create("uot", neighbour_scale=0.5, rho=(1.0, math.inf), warm_start=False)
    out = loss(density.requires_grad_(), points, stride=4)
    away = [math.hypot(56, 36), math.hypot(50, 36)]
    expected = torch.tensor([16.0, 16.0, 0.25 * sum(away)])  # half of a mean distance, at least four cells
    expected[:2] = torch.tensor([0.25 * (6 + away[0]), 0.25 * (6 + away[1])]).clamp(min=16.0)
    (first, alone, none) = loss.lengths(check_batch(density, points, 4, None, None))
    torch.testing.assert_close(first, expected)
    assert alone.tolist() == [64.0]
    assert none.numel() == 0
    for image, lengths in enumerate((expected, torch.tensor([64.0]), None)):
        same = solve(density[image, 0], points[image], stride=4, rho=(1.0, math.inf), length_scales=lengths)
        assert float(out.per_image[image]) == pytest.approx(same.value, rel=1e-3, abs=1e-3)
    out.total.backward()
    assert torch.isfinite(density.grad).all()
    assert out.terms["length_scale"] == pytest.approx(float(torch.cat([expected, torch.tensor([64.0])]).mean()))


def test_lengths_of_dots_end_at_the_length_scale():
    points = [torch.tensor([[4.0, 4.0], [200.0, 4.0]])]
    loss = losses.create("uot", neighbour_scale=1.0, length_scale=50.0)
    (lengths,) = loss.lengths(check_batch(torch.rand(1, 1, 64, 64), points, 4, None, None))
    assert lengths.tolist() == [50.0, 50.0]


@pytest.mark.parametrize("factor", [0.0, -1.0, math.inf, math.nan])
def test_a_wrong_neighbour_scale_is_an_error(factor):
    with pytest.raises(InputError, match="neighbour_scale"):
        losses.create("uot", neighbour_scale=factor)
