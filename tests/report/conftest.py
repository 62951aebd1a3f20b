import numpy as np
import pytest
from PIL import Image

from dotcount.data import Collection, Record
from dotcount.evaluation import Evaluation, evaluate
from dotcount.inference import Prediction
from dotcount.metadata import ModelMetadata
from dotcount.points import Points

MISSED, EXTRA = (100, 20), (20, 70)


class Scripted:
    """Stands where a predictor does, with given densities: report tests need known pictures, not a network."""

    name, stride, interval = "scripted", 4, None
    metadata = ModelMetadata("scripted", 4)

    def __init__(self, predictions):
        self.predictions = iter(predictions)

    def predict_file(self, path, pixels, *, intensity=None):
        return next(self.predictions)


def prediction(xy, width=120, height=80, interval=None):
    density = np.zeros((height // 4, width // 4), np.float32)
    for x, y in xy:
        density[int(y) // 4, int(x) // 4] += 1
    points = np.array(xy, dtype=float).reshape(-1, 2)
    return Prediction(float(len(xy)), interval, points, np.ones(len(xy)), density, (4, 4), width, height)


@pytest.fixture
def evaluation(tmp_path) -> Evaluation:
    """Four images; in the first, one dot is missed and one point is extra; one can't be read."""
    return evaluated(tmp_path)


def evaluated(tmp_path) -> Evaluation:
    """Write four images and evaluate scripted counts of them."""
    dots = [(20, 20), (60, 20), MISSED, (60, 60)]
    seen = {
        "a & <b>.png": [*dots[:2], dots[3], EXTRA, (100, 70), (101, 60)],
        "b.png": dots,
        "c.png": [],
    }
    records, predictions = [], []
    for name, xy in seen.items():
        Image.fromarray(np.full((80, 120, 3), 90, np.uint8)).save(tmp_path / name.replace("<", "(").replace(">", ")"))
        path = tmp_path / name.replace("<", "(").replace(">", ")")
        true = [] if name == "c.png" else dots
        records.append(Record(path, name, Points(true, 120, 80), "test"))
        predictions.append(prediction(xy, interval=(max(0, len(xy) - 1.5), len(xy) + 1.5)))
    records.append(
        Record(tmp_path / "d.png", "d.png", Points([], 120, 80), "test", error="image d.png can't be decoded")
    )
    data = Collection(tmp_path, "made", "csv", tuple(records))
    return evaluate(Scripted(predictions), data, examples=2)
