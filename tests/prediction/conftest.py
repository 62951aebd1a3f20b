import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from dotcount import models
from dotcount.models import io as model_io


class Bright(nn.Module):
    """Counts white pixels: the density of a cell is the number of white pixels in it, so truth is known."""

    stride = 4
    size_multiple = 4
    receptive_radius = 0

    def forward(self, images):
        white = (images.amin(1, keepdim=True) > 0.99).float()
        height, width = white.shape[-2:]
        white = nn.functional.pad(white, (0, -width % 4, 0, -height % 4))
        return nn.functional.avg_pool2d(white, 4) * 16


@pytest.fixture(scope="session")
def make_bright():
    return Bright


@pytest.fixture
def bright():
    return Bright()


@pytest.fixture
def saved_model(tmp_path_factory):
    """A folder with a tiny untrained `compact`."""
    torch.manual_seed(0)
    module = models.create("compact", width=4)
    folder = tmp_path_factory.mktemp("run") / "model"
    interval = {"level": 0.9, "scale": 1.5, "n": 40, "reason": ""}
    model_io.save(module, folder, {"model": "compact", "options": {"width": 4}, "stride": 4, "interval": interval})
    return folder


def dotted(path, xy, size=(64, 48)):
    """Write a black image with one white pixel per dot and return its path."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    for x, y in xy:
        pixels[int(y), int(x)] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def write_dotted():
    return dotted
