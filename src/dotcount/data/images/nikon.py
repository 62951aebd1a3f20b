"""Nikon's nd2 files; the only user of the package nd2, which comes with the extra ``microscopy``."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from dotcount.data.images.parts import Part, PartStack, missing_extra
from dotcount.data.images.pixel_size import mean_side
from dotcount.data.images.stack import Stack
from dotcount.data.images.values import PixelArray

MAGIC = b"\xda\xce\xbe\x0a"


class NikonStack(PartStack):
    """An open nd2 file: positions, times and planes of z are its pages."""

    def __init__(self, file: Any) -> None:
        sizes = dict(file.sizes)
        self._file, self._colours = file, sizes.pop("S", 1) == 3
        width, height = sizes.pop("X", 1), sizes.pop("Y", 1)
        self._channels = int(sizes.pop("C", 1))
        size = _pixel_size(file)
        one = 1 if self._colours else self._channels
        super().__init__([Part("", width, height, np.dtype(file.dtype), sizes, one, self._colours, size)])

    def plane(self, part: int, index: Mapping[str, int], channel: int) -> PixelArray:
        """See :meth:`PartStack.plane`."""
        axes = self.parts[part].axes
        number = int(np.ravel_multi_index(tuple(index.values()), tuple(axes.values()))) if axes else 0
        self._require(number)
        values = np.array(self._file.read_frame(number))  # a copy: the file's memory is gone when it is closed
        bands = 3 if self._colours else 1
        return values.reshape(self._channels, self.height, self.width, bands)[channel]

    def _require(self, number: int) -> None:
        """Raise a ValueError for a plane that is not in the file, which its reader takes for a black one."""
        offsets = getattr(self._file._rdr, "_frame_offsets", None)
        if not isinstance(offsets, dict):
            return
        attributes = self._file.attributes
        packed = attributes.compressionType == "lossless"
        length = 1 if packed else math.prod((attributes.heightPx, attributes.widthBytes or 0))
        if number not in offsets or offsets[number] + length > Path(self._file.path).stat().st_size:
            raise ValueError(f"plane {number + 1} is missing from the file, which was cut off or never finished")


@contextmanager
def open_nikon(path: Path) -> Iterator[Stack]:
    """Yield an open nd2 file."""
    try:
        import nd2
    except ImportError as error:
        raise missing_extra(path, "a Nikon file", "microscopy", error) from error
    with nd2.ND2File(path) as file:
        yield NikonStack(file)


def _pixel_size(file: Any) -> float | None:
    """Return the side of a pixel, m, of a microscope that was calibrated."""
    try:
        volume = file.metadata.channels[0].volume
        x, y = volume.axesCalibration[:2]
        return mean_side(x, y, 1e-6) if all(volume.axesCalibrated[:2]) else None
    except Exception:  # metadata that nd2 can't follow; the pixels may be read all the same
        return None
