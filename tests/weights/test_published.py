"""Published models load by name, say where they come from, and count what they were trained on."""

from pathlib import Path

import numpy as np
import pytest

import dotcount
from dotcount import models, weights
from dotcount.data.synthetic import generate
from dotcount.errors import ModelError
from dotcount.inference import model_folder


def test_each_has_a_card_with_test_figures_and_the_terms_of_its_data():
    assert weights.names() == ["cells", "trees"]
    for name in weights.names():
        card = (weights.FOLDER / name / "README.md").read_text(encoding="utf-8")
        assert "## Measured on the test images" in card
        assert "licence of the data: CC BY 4.0" in card or "drawn" in card
        assert (weights.FOLDER / name / "model.safetensors").stat().st_size < 8 * 2**20


def test_trees_loads_by_name_and_finds_none_in_an_empty_picture():
    predictor = dotcount.load("trees", device="cpu")
    assert predictor.stride == 4
    assert predictor.predict(np.full((128, 128, 3), 90, dtype=np.uint8)).count < 5


def test_cells_counts_what_dotcount_draws():
    predictor = dotcount.load("cells", device="cpu")
    scenes = [generate("cells", seed=77, index=i, size=256, count=(100, 120)) for i in range(4)]
    errors = [predictor.predict(pixels).count - len(points) for pixels, points in scenes]
    assert np.abs(errors).mean() < 8


@pytest.mark.parametrize("size", [256, 512, 1024])
def test_larger_pictures_of_the_same_kind_are_no_strangers(size):
    """The deepest features depend on how far the edges of an image are: they have no say."""
    predictor = dotcount.load("cells", device="cpu")
    found = [predictor.predict(generate("cells", seed=78, index=i, size=size)[0]).familiarity for i in range(3)]
    assert np.median(found) > 0.5


def test_a_folder_of_the_same_name_goes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert model_folder(Path("trees")) == weights.FOLDER / "trees"
    (tmp_path / "trees").mkdir()
    with pytest.raises(ModelError, match="run trees holds no model"):
        model_folder(Path("trees"))


def test_a_misspelt_name_suggests_the_nearest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="Did you mean 'trees'"):
        model_folder(Path("tres"))


def test_a_training_can_start_from_a_published_model():
    model = models.create("lite0", pretrained="trees")
    trees = dotcount.load("trees", runtime="torch").runtime.module
    for name, value in trees.state_dict().items():
        np.testing.assert_array_equal(model.state_dict()[name].numpy(), value.numpy(), err_msg=name)
