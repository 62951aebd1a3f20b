"""Exporting what training wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dotcount.errors import DataError, OutputError
from dotcount.export.base import EXPORTS, TrainedModel
from dotcount.export.cache import source_digest
from dotcount.export.parity import Parity
from dotcount.files import require_writable
from dotcount.inference.locate import model_folder
from dotcount.inference.pixels import UNIT, ImageLike, network_input, pixels_of
from dotcount.inference.runtimes.base import FloatImages
from dotcount.intensity import rule_for
from dotcount.metadata import ModelMetadata
from dotcount.models import io as model_io
from dotcount.registry import import_folder


def export(run: str | Path, out: str | Path, *, format: str = "onnx", images: Sequence[ImageLike] = ()) -> Parity:
    """Write a trained model as one file that other programs run.

    Parameters
    ----------
    run
        What ``dotcount train --out`` wrote, its model folder, or the name of a published model.
    out
        The file to write; appears complete or not at all.
    format
        ``onnx``: any size of image, with all settings in the file's metadata, so that :func:`dotcount.load` takes it,
        also where torch is not installed. ``deepness``: tiles of 512 x 512 px and objects per pixel, for the QGIS
        plug-in Deepness. Others are in ``dotcount.export.EXPORTS``.
    images
        Images on which the counts of what was written are compared with PyTorch's, besides made ones. One that can't
        be read is left out, and told.

    Returns
    -------
    Parity
        How far the counts are apart, and on how many images.

    Raises
    ------
    ModelError
        If there is no model, the network can't be exported, or the counts are more than 1e-4 apart.
    UsageError
        If the format is unknown.
    OutputError
        If the file can't be written.

    Examples
    --------
    >>> from pathlib import Path
    >>> import dotcount
    >>> from dotcount.data.synthetic import generate
    >>> image, dots = generate("cells", size=96)
    >>> export("cells", "cells.onnx", images=[image]).count < 1e-4
    True
    >>> predictor = dotcount.load("cells.onnx")
    >>> predictor.runtime.name, bool(abs(predictor.predict(image).count - len(dots)) < 5)
    ('onnx', True)
    """
    import_folder("dotcount.export")
    exporter, path = EXPORTS.create(format), Path(out)
    if path.is_dir():
        raise OutputError(f"{path} is a folder; name a file, such as {path / ('model' + exporter.suffix)}")
    require_writable(path.parent)
    folder = model_folder(Path(run))
    module, metadata = model_io.load(folder)
    batches, left_out = [], []
    for image in images:
        try:
            batches.append(_input(image, metadata))
        except DataError as error:
            left_out.append(str(error))
    parity = exporter.write(TrainedModel(module, metadata, source_digest(folder, metadata)), path, batches)
    return replace(parity, left_out=tuple(left_out))


def _input(image: ImageLike, metadata: ModelMetadata) -> FloatImages:
    pixels = pixels_of(image, metadata.input.selection)
    of_file = isinstance(image, (str, Path)) or pixels.dtype.kind != "f"
    intensity = rule_for(pixels, metadata.input.intensity, None)[0] if of_file else UNIT
    batch: FloatImages = network_input(pixels, metadata.input.resize, intensity)[None]
    return batch
