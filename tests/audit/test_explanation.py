"""The map against plans known by hand or worked out in full."""

import csv
import json

import numpy as np
import pytest

from dotcount.audit import transport_map, transport_settings
from dotcount.inference import Prediction
from dotcount.metadata import LossFacts, ModelMetadata, TrainingFacts

SETTINGS = {"cost": "l2", "penalty": "kl", "epsilon": 0.01, "rho": 1.0, "delta": None, "length_scale": 64.0}
NEAR = SETTINGS | {"cost": "wfr", "delta": 0.2}  # mass moves at most pi/2 x 0.2 x 64 = 20 px


def predicted(density, stride=4.0):
    height, width = (int(n * stride) for n in density.shape)
    points = np.zeros((0, 2))
    return Prediction(float(density.sum()), None, points, np.zeros(0), density, (stride, stride), width, height)


def blobs(cells, shape=(16, 16)):
    density = np.zeros(shape, np.float32)
    for row, column, mass in cells:
        density[row, column] = mass
    return density


def centre(row, column, stride=4.0):
    return stride * (column + 0.5), stride * (row + 0.5)


def test_mass_at_its_dots_stays_there():
    cells = [(2, 3, 1.0), (10, 12, 1.0), (13, 2, 1.0)]
    dots = [centre(row, column) for row, column, _ in cells]
    result = transport_map(predicted(blobs(cells)), dots, 4, SETTINGS)
    np.testing.assert_allclose(result.dot_mass, 1, atol=0.02)
    np.testing.assert_allclose(result.distance, 0, atol=0.2)
    np.testing.assert_allclose(result.predicted, 1)
    assert [int(result.owner[row, column]) for row, column, _ in cells] == [0, 1, 2]
    assert (result.owner >= 0).sum() == 3
    assert list(result.area) == [16, 16, 16]
    assert len(result.unmatched) == len(result.missed) == len(result.overcounted) == 0


def test_mass_out_of_reach_is_left_over_and_a_dot_out_of_reach_unpaid():
    dots = [centre(3, 3), centre(3, 13)]
    result = transport_map(predicted(blobs([(3, 3, 1.0), (12, 4, 0.8)])), dots, 4, NEAR)
    np.testing.assert_allclose(result.unmatched, [centre(12, 4)], atol=1e-6)
    np.testing.assert_allclose(result.unmatched_mass, [0.8], atol=1e-6)
    np.testing.assert_allclose(result.missed, dots[1:])
    assert np.isnan(result.distance[1])
    assert result.owner[12, 4] == -1
    assert result.summary()["destroyed_mass"] == pytest.approx(0.8, abs=0.02)


def test_a_dot_that_takes_two_objects_is_overpaid():
    """Both penalties weigh the same, so that the transport meets half-way: at the geometric mean of 2 and 1."""
    result = transport_map(predicted(blobs([(5, 5, 2.0)])), [centre(5, 5)], 4, SETTINGS)
    assert len(result.overcounted) == 1
    np.testing.assert_allclose(result.predicted, [2.0])
    np.testing.assert_allclose(result.dot_mass, [2**0.5], rtol=1e-3)
    np.testing.assert_allclose(result.unmatched_mass, [2 - 2**0.5], rtol=1e-3)


def test_a_dot_that_is_served_from_far_away_is_unpaid():
    """Half-way to the next dot is 20 px; the mass of the second dot lies 28 px away, and still goes there."""
    dots = [centre(3, 3), centre(3, 13)]
    result = transport_map(predicted(blobs([(3, 3, 1.0), (10, 13, 1.0)])), dots, 4, SETTINGS)
    np.testing.assert_allclose(result.predicted, [1, 1], atol=0.05)
    np.testing.assert_allclose(result.predicted_nearby, [1, 0], atol=0.05)
    np.testing.assert_allclose(result.distance, [0, 28], atol=0.5)
    np.testing.assert_allclose(result.missed, dots[1:])
    assert len(transport_map(predicted(blobs([(10, 13, 1.0)])), dots[1:], 4, SETTINGS).missed) == 0


def test_owner_share_and_distance_are_those_of_the_whole_plan():
    rng = np.random.default_rng(0)
    density = rng.exponential(0.1, (9, 13)).astype(np.float32)
    dots = rng.uniform(0, (52, 36), (12, 2))
    result = transport_map(predicted(density), dots, 4, SETTINGS)
    plan = result.solution.plan(threshold=0).to_dense().numpy()
    np.testing.assert_array_equal(result.owner.ravel(), plan.argmax(1))
    np.testing.assert_allclose(result.taken.ravel(), plan.max(1))
    centres = np.array([centre(row, column) for row in range(9) for column in range(13)])
    gaps = np.linalg.norm(centres[:, None] - dots, axis=2)
    np.testing.assert_allclose(result.distance, (plan * gaps).sum(0) / plan.sum(0), rtol=1e-2, atol=0.02)
    np.testing.assert_allclose(result.dot_mass, plan.sum(0), rtol=1e-5)
    share = plan / plan.sum(1, keepdims=True)
    np.testing.assert_allclose(result.predicted, density.ravel() @ share, rtol=1e-2)
    np.testing.assert_allclose(result.predicted.sum(), density.sum(), rtol=1e-2)
    summary = result.summary()
    assert summary["mean_distance_px"] == pytest.approx((plan * gaps).sum() / plan.sum(), rel=1e-2)
    assert summary["converged"]


def test_a_resized_image_is_told_in_its_own_pixels():
    """The model saw twice the size: cells of 4 px there are of 2 px here, and so are lengths."""
    density = blobs([(2, 3, 1.0), (2, 5, 1.0)])
    there = transport_map(predicted(density), [centre(2, 3)], 4, SETTINGS)
    here = transport_map(predicted(density, stride=2.0), [centre(2, 3, 2.0)], 4, SETTINGS)
    np.testing.assert_allclose(here.dot_mass, there.dot_mass)
    np.testing.assert_allclose(here.distance, there.distance / 2)
    np.testing.assert_allclose(here.area, there.area / 4)


def test_without_dots_all_is_left_over():
    density = blobs([(2, 3, 1.0), (8, 8, 0.5)])
    result = transport_map(predicted(density), [], 4, SETTINGS)
    assert (result.owner == -1).all()
    assert result.dot_mass.shape == (0,)
    assert result.summary()["destroyed_mass"] == pytest.approx(1.5)
    assert result.summary()["mean_distance_px"] is None
    assert sorted(result.unmatched_mass) == pytest.approx([0.5, 1.0])


def test_the_tables_hold_one_row_a_dot_and_a_place(tmp_path):
    dots = [centre(3, 3), centre(3, 13)]
    transport_map(predicted(blobs([(3, 3, 1.0), (12, 4, 0.8)])), dots, 4, NEAR).save(tmp_path)
    with (tmp_path / "dots.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(float(row["x"]), float(row["y"])) for row in rows] == dots
    assert float(rows[0]["dot_mass"]) == pytest.approx(1, abs=0.05)
    assert list(rows[0]) == ["dot", "x", "y", "predicted", "predicted_nearby", "dot_mass", "distance_px", "area_px"]
    assert (rows[1]["distance_px"], rows[1]["area_px"], rows[1]["predicted"]) == ("", "0", "0")
    assert (tmp_path / "unmatched.csv").read_text().splitlines()[1] == "18,50,0.8"
    found = json.loads((tmp_path / "explanation.json").read_text())
    assert (found["dots"], found["missed_dots"], found["unmatched_places"]) == (2, 1, 1)
    assert found["settings"]["epsilon_px"] == pytest.approx(0.64)


def trained(loss, options):
    return ModelMetadata("compact", 4, training=TrainingFacts(crop=96, loss=LossFacts(loss, options)))


def test_settings_are_the_runs_own():
    options = {"cost": "l1", "penalty": "quadratic", "epsilon": 0.02, "rho": [1.0, 2.0], "delta": None, "tol": 1e-3}
    run = trained("uot", options | {"length_scale": 128.0})
    assert transport_settings(run) == {
        "cost": "l1", "penalty": "quadratic", "epsilon": 0.02, "rho": (1.0, 2.0), "delta": None, "length_scale": 128.0,
    }  # fmt: skip


def test_settings_of_another_loss_are_the_papers_at_the_runs_crop():
    run = trained("generalized", {"epsilon": 0.3, "length_scale": 7.0})
    assert transport_settings(run) == SETTINGS | {"length_scale": 96.0}
    assert transport_settings(ModelMetadata("compact", 4))["length_scale"] is None


def test_what_is_kept_and_what_is_destroyed_is_what_was_predicted():
    density = blobs([(3, 3, 1.0), (4, 6, 0.7), (12, 4, 0.8)])
    result = transport_map(predicted(density), [centre(3, 3), centre(3, 5), centre(3, 13)], 4, NEAR)
    assert result.kept.sum() + result.destroyed.sum() == pytest.approx(density.sum(), abs=1e-3)
    assert (result.kept <= result.predicted + 1e-9).all()
    assert result.kept[2] < 0.01
