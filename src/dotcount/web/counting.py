"""What the worker of the counting page does: count an image, keep what came of it, and write results.

The files of an image, in its folder: ``upload.*`` as it was sent, ``level*.npy`` (:mod:`~dotcount.web.pyramid`) and
``prediction.npz``. Results are written by the sinks of ``dotcount predict``, which get the kept prediction again.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dotcount.data.images import SUFFIXES, PixelArray, read_header
from dotcount.errors import DotcountError, ImageReadError
from dotcount.inference.result import Prediction
from dotcount.metadata import CountInterval
from dotcount.prediction.engines.base import CountedBy, Engine
from dotcount.prediction.frame import Frame, FrameMeta
from dotcount.prediction.sources import SourceFiles
from dotcount.web.limits import Refusal
from dotcount.web.pyramid import TILE, write_levels

if TYPE_CHECKING:
    from dotcount.prediction.predictor import Predictor

KEPT = "prediction.npz"
OUTPUTS = ("csv", "overlays", "heatmap", "geojson", "imagej", "coco", "density", "jsonl")
"""Sinks whose results the page offers."""


@dataclass(frozen=True)
class CountJob:
    """Count the file ``upload``, which people call ``name``; its results lie beside it."""

    upload: Path
    name: str


@dataclass(frozen=True)
class WriteJob:
    """Write results of images, (folder, name) each, by sinks; ``out`` becomes one file, or a zip of several."""

    images: tuple[tuple[Path, str], ...]
    write: tuple[str, ...]
    out: Path


Job = CountJob | WriteJob | None
"""What the worker is asked; None: for what it knows of the model."""


@dataclass(frozen=True)
class Model:
    """Makes the worker's work, in its process.

    Parameters
    ----------
    run, device, tile
        As of :func:`dotcount.load`.
    pixels
        Most that an image may have.
    """

    run: Path
    device: str
    tile: int | None
    pixels: int

    def __call__(self) -> Callable[[Job], Any]:
        """Load the model."""
        from dotcount.prediction.predictor import load

        return partial(_work, load(self.run, device=self.device, tile=self.tile), self.pixels)


def _work(predictor: Predictor, pixels: int, job: Job) -> Any:
    if job is None:
        return describe(predictor)
    if isinstance(job, WriteJob):
        return write_results(predictor, job)
    return count(predictor, job, pixels)


def describe(predictor: Predictor) -> dict[str, Any]:
    """Return what people should know of the model."""
    metadata = predictor.metadata
    validation, training = metadata.validation, metadata.training
    return {
        "model": predictor.name,
        "interval": metadata.interval.to_dict() if metadata.interval is not None else None,
        "compares": metadata.familiarity is not None,
        "level": metadata.interval.level if metadata.interval is not None and metadata.interval.finite else None,
        "data": training.data if training is not None else "",
        "caution": validation.caution if validation is not None else "",
        "outputs": OUTPUTS,
        "suffixes": sorted(SUFFIXES),
    }


def count(predictor: Predictor, job: CountJob, most: int) -> dict[str, Any]:
    """Count an image as `dotcount predict` does, keep what came of it, and return what the page shows at once.

    Raises
    ------
    ImageReadError
        If it can't be read; the message calls it by its name.
    Refusal
        413 if it has more than ``most`` pixels.
    """
    try:
        header = read_header(job.upload)
    except ImageReadError as error:
        raise ImageReadError(_named(str(error), job)) from error
    if header.width * header.height > most:
        size = f"{header.width:,} x {header.height:,} px"
        raise Refusal(413, f"{job.name} has {size}, more than {most / 1e6:,.0f} million pixels; cut it into tiles")
    for frame, prediction in predictor.predict_many(SourceFiles(((job.upload, job.name),))):
        if prediction is None:
            raise ImageReadError(_named(frame.error or "", job))
        folder = job.upload.parent
        levels = write_levels(frame.display, folder)
        warnings = [_named(text, job) for text in frame.warnings]
        _keep(prediction, warnings, folder)
        return {
            "name": job.name,
            "width": prediction.width,
            "height": prediction.height,
            "count": prediction.count,
            "interval": prediction.interval,
            "points": len(prediction.points),
            "rows": prediction.density.shape[0],
            "columns": prediction.density.shape[1],
            "stride": prediction.stride,
            "heat": _heat(prediction),
            "levels": levels,
            "tile": TILE,
            "familiarity": prediction.familiarity,
            "warnings": warnings,
        }
    raise ImageReadError(f"{job.name} holds no image; choose another file")


def _named(text: str, job: CountJob) -> str:
    """Return a message in which the file has the name that its sender knows."""
    return text.replace(f"image {job.upload}", job.name).replace(str(job.upload), job.name)


def _heat(prediction: Prediction) -> dict[str, Any]:
    """Return what the colours of the density mean: the highest one, objects per px^2, and its unit for people."""
    from dotcount.report.heat import HeatScale, faintest

    sx, sy = prediction.stride
    cells = prediction.density[prediction.density > 0] / (sx * sy)
    top = max(float(np.quantile(cells, 0.999)) if cells.size else 0.0, faintest(max(sx, sy) / 2))
    scale = HeatScale.of(top)
    return {"top": top, "unit": scale.unit, "ticks": scale.ticks()}


_FIELDS = ("count", "stride", "width", "height", "points", "scores", "density")


def _keep(prediction: Prediction, warnings: Sequence[str], folder: Path) -> None:
    fields = {name: getattr(prediction, name) for name in _FIELDS}
    fields["interval"] = np.array(prediction.interval if prediction.interval is not None else [])
    fields["rule"] = np.array("" if prediction.rule is None else json.dumps(prediction.rule.to_dict()))
    fields["familiarity"] = np.array([] if prediction.familiarity is None else [prediction.familiarity])
    np.savez(folder / KEPT, warnings=np.array(list(warnings), dtype=np.str_), **fields)


def kept(folder: Path) -> Prediction:
    """Return the prediction of an image that has been counted.

    Raises
    ------
    Refusal
        404 if it is gone.
    """
    try:
        with np.load(folder / KEPT) as found:
            interval, stride, familiarity = (found[name].tolist() for name in ("interval", "stride", "familiarity"))
            rule = str(found["rule"])
            return Prediction(
                count=float(found["count"]),
                interval=(interval[0], interval[1]) if interval else None,
                points=found["points"],
                scores=found["scores"],
                density=found["density"],
                stride=(stride[0], stride[1]),
                width=int(found["width"]),
                height=int(found["height"]),
                familiarity=familiarity[0] if familiarity else None,
                warnings=tuple(found["warnings"].tolist()),
                rule=CountInterval.from_dict(json.loads(rule)) if rule else None,
            )
    except OSError as error:
        raise Refusal(404, "this image is no longer on the server; send it again") from error


class _KeptEngine(Engine):
    """Hands out predictions that were made before."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    @property
    def counted_by(self) -> CountedBy:
        return CountedBy(self._predictor.name, "", self._predictor.runtime.name)

    def run(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Prediction | None]]:
        for frame in frames:
            assert frame.meta.path is not None
            prediction = kept(frame.meta.path)
            for warning in prediction.warnings:
                frame.warn(warning)
            yield frame, prediction
            frame.release()


class _KeptImages(SourceFiles):
    """The pictures of images that have been counted, by folder."""

    def __iter__(self) -> Iterator[Frame]:
        for folder, name in self.files:
            assert isinstance(folder, Path)
            yield Frame(name, partial(_read, folder), FrameMeta(folder))


def _read(folder: Path) -> tuple[PixelArray, Sequence[str]]:
    return np.load(folder / "level0.npy"), ()


def write_results(predictor: Predictor, job: WriteJob) -> tuple[Path, str]:
    """Write results, and return one file of them and what to call it."""
    from dotcount.prediction.run import PredictionRun

    taken: dict[str, Path] = {}
    for folder, name in job.images:
        taken[_free(name, taken)] = folder
    listing = _KeptImages(tuple((folder, name) for name, folder in taken.items()))
    run = PredictionRun(_KeptEngine(predictor), listing, job.write, job.out)
    unsaid = []  # what could not be written; what was to be said of the counts is in the tables
    for frame, prediction in run:
        known = prediction.warnings if prediction is not None else ()
        unsaid += [f"{frame.name}: {warning}" for warning in frame.warnings if warning not in known]
    files = sorted(path for path in job.out.rglob("*") if path.is_file() and not path.name.startswith("."))
    files = [path for path in files if path.name not in ("dotcount.json", "prediction.json")]
    if unsaid and "csv" not in job.write:
        raise DotcountError("; ".join(unsaid[:3]))
    if len(files) == 1:
        return files[0], files[0].name
    archive = job.out / ".results.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for path in files:
            packed.write(path, path.relative_to(job.out).as_posix())
    return archive, "results.zip"


def _free(name: str, taken: dict[str, Path]) -> str:
    """Return the name, or one like it where it is taken: phones call every photo image.jpg."""
    stem, dot, suffix = name.rpartition(".")
    k, free = 2, name
    while free in taken:
        free, k = (f"{stem}~{k}{dot}{suffix}" if dot else f"{name}~{k}"), k + 1
    return free
