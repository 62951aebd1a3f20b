"""Counting with a trained model: one image, many, or a whole annotated set."""

from dotcount.prediction.evaluation import Evaluation, Example, Row, evaluate, select_split
from dotcount.prediction.predictor import Outcome, Predictor, choose_device, load, model_folder
from dotcount.prediction.result import Prediction
from dotcount.prediction.sinks import CsvSink, PredictionSink
from dotcount.prediction.sources import Source, expand
from dotcount.prediction.tiling import density_of

__all__ = [
    "CsvSink",
    "Evaluation",
    "Example",
    "Outcome",
    "Prediction",
    "PredictionSink",
    "Predictor",
    "Row",
    "Source",
    "choose_device",
    "density_of",
    "evaluate",
    "expand",
    "load",
    "model_folder",
    "select_split",
]
