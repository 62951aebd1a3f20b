"""Density maps as float32 TIFF, for calculations."""

from __future__ import annotations

import numpy as np

from dotcount.geo import write_grid
from dotcount.inference.result import Prediction
from dotcount.prediction.frame import Frame
from dotcount.prediction.output import OutputFolder
from dotcount.prediction.sinks.base import SINKS, Sink


@SINKS.register("density")
class DensityMaps(Sink):
    """``density/NAME.tif``: (h, w) expected objects per cell, whose sum is the count.

    Of a georeferenced image it is a Cloud-Optimised GeoTIFF with the origin and the reference system of the image.
    """

    title = "density maps, float32 TIFF whose sum is the count"
    names = ("density/",)

    def open(self, out: OutputFolder) -> None:
        """Begin or continue."""
        self._out = out

    def write(self, frame: Frame, prediction: Prediction | None) -> None:
        """Write one map; its description states the size of a cell and of the image, px."""
        if prediction is None:
            return
        from tifffile import imwrite

        metadata = {
            "quantity": "expected objects per cell",
            "cell_px": list(prediction.stride),
            "image_px": [prediction.width, prediction.height],
        }
        with self._out.file(f"density/{frame.name}.tif") as path:
            if frame.meta.place is not None:
                tags = {name: str(value) for name, value in metadata.items()}
                write_grid(path, prediction.density, frame.meta.place, prediction.stride, tags)
                return
            density = prediction.density
            # The digits of floats do not compress, runs of zeros do.
            packed = "zlib" if np.count_nonzero(density) < density.size / 2 else None
            imwrite(path, density, photometric="minisblack", compression=packed, metadata=metadata)
