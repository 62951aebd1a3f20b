import pytest
import torch

from dotcount import models
from dotcount.metadata import CountInterval, ModelMetadata
from dotcount.models import io as model_io
from tests.prediction.oracles import Bright


@pytest.fixture
def bright():
    return Bright()


@pytest.fixture
def saved_model(tmp_path_factory):
    """A folder with a tiny untrained `compact`."""
    torch.manual_seed(0)
    module = models.create("compact", width=4)
    folder = tmp_path_factory.mktemp("run") / "model"
    interval = CountInterval(level=0.9, scale=1.5, n=40)
    model_io.save(module, folder, ModelMetadata("compact", 4, {"width": 4}, interval=interval))
    return folder
