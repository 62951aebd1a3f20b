import pytest
import torch

from dotcount import models
from dotcount.metadata import CountInterval, InputRule, ModelMetadata, PeakRule, TrainingFacts
from dotcount.models import io
from dotcount.resize import ResizeRule


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    """A model with every kind of setting, whose counts are some dozens."""
    torch.manual_seed(0)
    module = models.create("compact", width=4)
    module.initialize_density(0.05)
    metadata = ModelMetadata(
        "compact",
        4,
        {"width": 4},
        InputRule(ResizeRule(max_side=300)),
        mirror=True,
        peaks=PeakRule("nms", 1, 0.3),
        count_scale=1.25,
        interval=CountInterval(0.9, 0.5, 40),
        training=TrainingFacts(data="cells", images=80, dots=4000),
        license="CC BY 4.0",
    )
    return io.save(module, tmp_path_factory.mktemp("run") / "model", metadata)
