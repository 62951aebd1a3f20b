"""ONNX files for images of any size, which dotcount itself predicts with."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from dotcount.export.base import EXPORTS, Exporter, TrainedModel
from dotcount.export.deepness import properties
from dotcount.export.graph import onnx_bytes
from dotcount.export.parity import Parity, compare, made_images
from dotcount.files import replacing
from dotcount.inference.runtimes import as_runtime
from dotcount.inference.runtimes.base import FloatImages
from dotcount.inference.runtimes.onnx_runtime import OnnxRuntime


@EXPORTS.register("onnx")
class OnnxExport(Exporter):
    """``images`` (B, 3, H, W) to ``density`` (B, 1, h, w), any B, H and W; the settings are in the file's metadata."""

    title = "ONNX for images of any size, with the settings inside"
    suffix = ".onnx"

    def write(self, model: TrainedModel, path: Path, images: Sequence[FloatImages] = ()) -> Parity:
        """See :meth:`Exporter.write`; compared at three sizes, one and three images at a time."""
        with replacing(path) as temporary:
            temporary.write_bytes(onnx_bytes(model, properties=properties(model)))
            found = compare(as_runtime(model.module), OnnxRuntime(temporary), itertools.chain(made_images(), images))
            found.checked(f"what model {model.metadata.model} was exported to")
        return found
