"""dotcount: learn to count and locate objects in images from one dot per object.

The names below are imported on first use, so that ``import dotcount`` costs nothing:

>>> import dotcount
>>> from dotcount.data.synthetic import generate
>>> image, dots = generate("cells", size=96)
>>> prediction = dotcount.load("cells").predict(image)
>>> bool(abs(prediction.count - len(dots)) < 5)
True
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dotcount.config import RunConfig
    from dotcount.data import Collection, Record, open_collection, read_image
    from dotcount.errors import DotcountError
    from dotcount.evaluation import Evaluation, evaluate
    from dotcount.inference import Prediction
    from dotcount.points import Points
    from dotcount.prediction import Predictor, load
    from dotcount.training.train import TrainResult, train

_HOME = {
    "Collection": "data",
    "DotcountError": "errors",
    "Evaluation": "evaluation",
    "Points": "points",
    "Prediction": "inference",
    "Predictor": "prediction",
    "Record": "data",
    "RunConfig": "config",
    "TrainResult": "training",
    "evaluate": "evaluation",
    "load": "prediction",
    "open_collection": "data",
    "read_image": "data",
    "train": "training",
}
_SUBMODULES = (
    "active", "audit", "calibration", "config", "data", "density", "errors", "evaluation", "export", "inference",
    "losses", "metadata", "metrics", "models", "points", "prediction", "regions", "report", "training", "transport",
)  # fmt: skip

__all__ = [
    "Collection",
    "DotcountError",
    "Evaluation",
    "Points",
    "Prediction",
    "Predictor",
    "Record",
    "RunConfig",
    "TrainResult",
    "evaluate",
    "load",
    "open_collection",
    "read_image",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(f"dotcount.{_HOME[name]}"), name)
    elif name in _SUBMODULES:
        value = import_module(f"dotcount.{name}")
    elif name == "__version__":
        from importlib.metadata import version

        value = version("dotcount")
    else:
        raise AttributeError(f"module 'dotcount' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_SUBMODULES, "__version__"})
