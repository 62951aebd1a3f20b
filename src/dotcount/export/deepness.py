"""Files for Deepness, a plug-in of QGIS that runs ONNX models on maps: square tiles of one size, one value a pixel."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dotcount.density import cells_inside
from dotcount.errors import ModelError
from dotcount.export.base import EXPORTS, Exporter, TrainedModel
from dotcount.export.graph import INPUT, onnx_bytes
from dotcount.export.parity import Parity, made_images
from dotcount.export.settings import OUTPUT_SCALING
from dotcount.files import replacing
from dotcount.inference.runtimes import as_runtime
from dotcount.inference.runtimes.base import FloatImages
from dotcount.inference.runtimes.onnx_runtime import plain_session

SIDE = 512
"""Side of a tile, px."""
MOST_OVERLAP = 50
"""Percent; the plug-in allows no more."""


def properties(model: TrainedModel) -> dict[str, str]:
    """Return the entries that the plug-in reads, as JSON: kind of model, tile, overlap, scale of the output."""
    radius = getattr(model.module, "receptive_radius", None)
    overlap = MOST_OVERLAP if radius is None else min(MOST_OVERLAP, math.ceil(100 * 2 * radius / SIDE))
    values = {
        "model_type": "Regressor",
        "class_names": {"0": "objects per pixel"},
        "tile_size": SIDE,
        "tiles_overlap": overlap,
        OUTPUT_SCALING: model.metadata.count_scale,
    }
    return {key: json.dumps(value) for key, value in values.items()}


@EXPORTS.register("deepness")
class DeepnessExport(Exporter):
    """``images`` (1, 3, 512, 512) to ``density`` (1, 1, 512, 512) in objects per pixel, whose sum is the count."""

    title = "ONNX for the QGIS plug-in Deepness, with objects per pixel"
    suffix = ".onnx"

    def write(self, model: TrainedModel, path: Path, images: Sequence[FloatImages] = ()) -> Parity:
        """See :meth:`Exporter.write`; compared on three made tiles, and on the tiles that ``images`` hold."""
        reference = as_runtime(model.module)
        tiles = [tile for batch in (*made_images([(SIDE, SIDE)], [3]), *images) for tile in _tiles(batch)]
        count, cell = 0.0, 0.0
        with replacing(path) as temporary:
            temporary.write_bytes(onnx_bytes(model, properties=properties(model), side=SIDE))
            session = plain_session(temporary)
            for tile in tiles:
                wanted = reference.density(tile[None])[0].astype(np.float64)
                pixels = session.run(None, {INPUT: np.ascontiguousarray(tile.transpose(2, 0, 1))[None]})[0]
                if pixels.shape != (1, 1, SIDE, SIDE):
                    raise ModelError(f"model {model.metadata.model} can't be exported for tiles: {pixels.shape}")
                got = _cells(pixels[0, 0].astype(np.float64), reference.stride)
                inside = cells_inside(len(got), reference.stride, SIDE)
                wanted, got = wanted[:inside, :inside], got[:inside, :inside]
                count = max(count, abs(wanted.sum() - got.sum()) / max(wanted.sum(), 1.0))
                cell = max(cell, float(np.abs(wanted - got).max()) / max(float(wanted.max()), 1e-6))
            return Parity(len(tiles), float(count), cell).checked(f"what model {model.metadata.model} was exported to")


def _tiles(batch: FloatImages) -> list[FloatImages]:
    return [
        image[top : top + SIDE, left : left + SIDE]
        for image in batch
        for top in range(0, image.shape[0] - SIDE + 1, SIDE)
        for left in range(0, image.shape[1] - SIDE + 1, SIDE)
    ]


def _cells(pixels: FloatImages, stride: int) -> FloatImages:
    """Return the sums over cells that lie inside, from values that are even within a cell."""
    return pixels[::stride, ::stride] * stride**2
