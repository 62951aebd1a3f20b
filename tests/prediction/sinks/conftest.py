import numpy as np
import pytest

from dotcount.inference import Prediction
from dotcount.prediction.frame import Frame, FrameMeta
from dotcount.prediction.journal import Settings, Summary
from dotcount.prediction.output import OutputFolder
from dotcount.prediction.sinks import create_sink


@pytest.fixture
def frame():
    """A frame with 12 x 8 grey pixels and its prediction."""

    def make(name="a.png", xy=((1.5, 2.25),), interval=(0.5, 3.0), **meta):
        points = np.array(xy, dtype=float).reshape(-1, 2)
        density = np.full((2, 3), 1 / 18, np.float32)
        prediction = Prediction(1 / 3, interval, points, np.full(len(points), 0.9), density, (4, 4), 12, 8)
        return Frame(name, lambda: (np.full((8, 12, 3), 99, np.uint8), ()), FrameMeta(**meta)).load(), prediction

    return make


@pytest.fixture
def write(tmp_path):
    """Write frames with the sink of a name, all the way to the commit; returns the folder."""

    def do(name, *pairs):
        sink, out = create_sink(name), tmp_path / "out"
        folder = OutputFolder(out, Settings("m", "w", (name,), len(pairs), "n", "c", "0"), sink.names)
        sink.open(folder)
        folder.start()
        for frame, prediction in pairs:
            sink.write(frame, prediction)
            folder.finish(frame.name, None, frame.error, False)
        sink.close()
        folder.commit(Summary())
        return out

    return do
