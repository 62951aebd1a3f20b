import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dotcount import models
from dotcount.density import tiles
from dotcount.errors import InputError
from dotcount.inference.tiling import WHOLE_PIXELS, cut, default_tile, density_of
from tests.prediction.oracles import Bright


def noise(height, width, seed=0):
    return np.random.default_rng(seed).random((height, width, 3), dtype=np.float32)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(1)
    module = models.create("compact", width=4).eval()
    # Untrained weights hardly let context through; larger ones would show a border that is too narrow.
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(1.5)
    return module


@pytest.mark.parametrize("shape", [(300, 420), (257, 511)])
def test_tiled_equals_whole(network, shape):
    image = noise(*shape)
    whole = density_of(network, image, tile=0)
    tiled = density_of(network, image, tile=96)
    assert whole.std() > 0
    np.testing.assert_allclose(tiled, whole, rtol=1e-4, atol=1e-6 * whole.max())
    assert tiled.sum() == pytest.approx(whole.sum(), rel=1e-6)


def test_too_little_context_would_be_seen(network):
    image = noise(300, 420)
    whole = density_of(network, image, tile=0)
    radius = network.receptive_radius
    try:
        network.receptive_radius = 0
        tiled = density_of(network, image, tile=96)
    finally:
        network.receptive_radius = radius
    assert np.abs(tiled - whole).max() > 1e-3 * whole.max()


@settings(max_examples=30)
@given(height=st.integers(1, 70), width=st.integers(1, 70), tile=st.integers(1, 40), seed=st.integers(0, 99))
def test_tiles_lose_and_double_nothing(height, width, tile, seed):
    image = (noise(height, width, seed) > 0.5).astype(np.float32)
    whole = density_of(Bright(), image, tile=0)
    np.testing.assert_array_equal(density_of(Bright(), image, tile=tile), whole)
    assert whole.sum() == image.min(axis=2).sum()


def pixels_of(found):
    return [(tile.right - tile.left) * (tile.bottom - tile.top) for tile in found]


@given(
    height=st.integers(1, 20_000),
    width=st.integers(1, 20_000),
    margin=st.integers(0, 700),
    multiple=st.sampled_from([1, 8, 32, 48]),
)
def test_images_are_cut_with_less_work_in_no_more_memory(height, width, margin, multiple):
    side = -(-default_tile(margin) // multiple) * multiple
    chosen, square = (
        pixels_of(tiles(height, width, size=size, overlap=margin, multiple=multiple))
        for size in (cut(height, width, margin, multiple), side)
    )
    assert sum(chosen) <= sum(square)
    around = -(-margin // multiple) * multiple
    assert max(chosen) <= max(WHOLE_PIXELS, (side + 2 * around) ** 2)


def test_a_photo_is_cut_once():
    windows = pixels_of(tiles(3000, 4000, size=cut(3000, 4000, 485, 32), overlap=485, multiple=32))
    assert windows == [2528 * 3000, 2496 * 3000]


def test_model_without_radius_is_not_tiled(network):
    module = models.create("compact", width=4).eval()
    module.receptive_radius = None
    assert density_of(module, noise(40, 40)).shape == (10, 10)
    with pytest.raises(InputError, match="sees the whole image"):
        density_of(module, noise(400, 400), tile=64)
