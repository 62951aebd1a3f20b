"""DICOM files; the only user of pydicom, which comes with the extra ``dicom``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from dotcount.data.images.parts import Part, PartStack, missing_extra
from dotcount.data.images.pixel_size import mean_side
from dotcount.data.images.stack import Stack
from dotcount.data.images.values import PixelArray
from dotcount.errors import ImageReadError

MAGIC = b"DICM"
"""At byte 128."""

_DECODERS = {
    "50": "jpeg_decode", "51": "jpeg_decode", "57": "jpeg_decode", "70": "jpeg_decode",
    "80": "jpegls_decode", "81": "jpegls_decode", "90": "jpeg2k_decode", "91": "jpeg2k_decode",
}  # fmt: skip
"""Decoders of imagecodecs by the last number of the transfer syntax."""

_GREY, _PALETTE = ("MONOCHROME1", "MONOCHROME2"), "PALETTE COLOR"
_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "YBR_PARTIAL_420", _PALETTE)


class DicomStack(PartStack):
    """An open DICOM file: its frames are its pages, their values what the machine measured, dark to bright."""

    page_word = "frame"

    def __init__(self, path: Path, header: Any) -> None:
        self._path, self._header = path, header
        if "Rows" not in header or "Columns" not in header:
            raise ImageReadError(f"image {path} is a DICOM file without a picture; leave it out")
        if int(header.get("TotalPixelMatrixColumns") or 0) > header.Columns:
            raise ImageReadError(
                f"image {path} is a slide in DICOM tiles, which are not put together here; export it as TIFF"
            )
        self._kind = str(header.get("PhotometricInterpretation", "MONOCHROME2"))
        if self._kind not in (*_GREY, *_COLOURS):
            raise ImageReadError(f"image {path} has colours stored as {self._kind}; export it as PNG or TIFF")
        frames = int(header.get("NumberOfFrames") or 1)
        slope, intercept = self._rescale(0)
        dtype = np.dtype(np.uint8 if int(header.BitsAllocated) <= 8 else np.uint16)
        if slope != 1 or intercept != 0 or "ModalityLUTSequence" in header:
            dtype = np.dtype(np.int32 if slope == round(slope) and intercept == round(intercept) else np.float32)
        colours = self._kind in _COLOURS
        if self._kind == _PALETTE:
            dtype = np.dtype(np.uint16)
        part = Part("", int(header.Columns), int(header.Rows), dtype, {"F": frames}, 1, colours, self._size())
        super().__init__([part])
        self.declared = self._padding()

    def plane(self, part: int, index: Mapping[str, int], channel: int) -> PixelArray:  # noqa: ARG002
        """See :meth:`PartStack.plane`."""
        from pydicom.pixels import apply_color_lut, apply_modality_lut, pixel_array

        frame = index["F"]
        try:
            values = np.asarray(pixel_array(self._path, index=frame))
        except (RuntimeError, NotImplementedError):  # a compression that pydicom has no decoder for
            values = self._decompressed(frame)
        if self._kind == _PALETTE:
            return np.asarray(apply_color_lut(values, self._header))[..., :3]
        if self._kind in _COLOURS:
            return values
        values = self._upright(values)
        if "ModalityLUTSequence" in self._header:
            return np.asarray(apply_modality_lut(values, self._header))
        slope, intercept = self._rescale(frame)
        if (slope, intercept) == (1.0, 0.0):
            return values
        if slope == round(slope) and intercept == round(intercept):
            return np.asarray(values.astype(np.int64) * int(slope) + int(intercept))
        return np.asarray(values * slope + intercept, dtype=np.float32)

    def _decompressed(self, frame: int) -> PixelArray:
        """Return the values of a frame by the decoders that read TIFF files here."""
        import imagecodecs
        import pydicom
        from pydicom.encaps import get_frame

        whole = pydicom.dcmread(self._path)
        kind = whole.file_meta.TransferSyntaxUID
        name = next((name for ending, name in _DECODERS.items() if kind == f"1.2.840.10008.1.2.4.{ending}"), None)
        if name is None:
            raise ImageReadError(
                f"image {self._path} is compressed as {kind.name}, which is not read here; export it as PNG or TIFF"
            )
        data = get_frame(whole.PixelData, frame, number_of_frames=self.pages)
        values = np.asarray(getattr(imagecodecs, name)(data))
        if not self._header.get("PixelRepresentation"):
            return values
        unused = 8 * values.itemsize - int(self._header.BitsStored)
        signed = values.astype(values.dtype.str.replace("u", "i"))
        return np.asarray((signed << unused) >> unused)  # the sign is in the highest bit that is used

    def _upright(self, values: PixelArray) -> PixelArray:
        """Return values that grow with brightness."""
        if self._kind != "MONOCHROME1":
            return values
        top = -1 if self._header.get("PixelRepresentation") else (1 << int(self._header.BitsStored)) - 1
        return np.asarray(top - values.astype(np.int64)).astype(values.dtype)

    def _rescale(self, frame: int) -> tuple[float, float]:
        """Return slope and intercept of a frame, which newer files state in groups for all or for each frame."""
        place = _group(self._header, frame, "PixelValueTransformationSequence") or self._header
        slope, intercept = place.get("RescaleSlope"), place.get("RescaleIntercept")
        return (1.0 if slope is None else float(slope)), (0.0 if intercept is None else float(intercept))

    def _size(self) -> float | None:
        """Return the side of a pixel, m; on a projection that at the detector, where nothing else is known."""
        group = _group(self._header, 0, "PixelMeasuresSequence")
        for place, name in (
            (group, "PixelSpacing"),
            (self._header, "PixelSpacing"),
            (self._header, "ImagerPixelSpacing"),
        ):
            spacing = None if place is None else place.get(name)
            if spacing is not None and len(spacing) == 2:
                return mean_side(float(spacing[1]), float(spacing[0]), 1e-3)
        return None

    def _padding(self) -> float | None:
        """Return the value that stands for what was not measured, as it is after rescaling."""
        value = self._header.get("PixelPaddingValue")
        if value is None or self._kind not in _GREY or "ModalityLUTSequence" in self._header:
            return None
        slope, intercept = self._rescale(0)
        kind = np.dtype(np.int64)
        return float(self._upright(np.array([int(value)], dtype=kind))[0]) * slope + intercept


@contextmanager
def open_medical(path: Path) -> Iterator[Stack]:
    """Yield an open DICOM file."""
    try:
        import pydicom
    except ImportError as error:
        raise missing_extra(path, "a DICOM file", "dicom", error) from error
    yield DicomStack(path, pydicom.dcmread(path, stop_before_pixels=True))


def _group(header: Any, frame: int, name: str) -> Any:
    """Return the item of a functional group: that of all frames, or of one."""
    shared = header.get("SharedFunctionalGroupsSequence")
    each = header.get("PerFrameFunctionalGroupsSequence")
    for groups, number in ((shared, 0), (each, frame)):
        if groups is not None and len(groups) > number:
            found = groups[number].get(name)
            if found is not None and len(found):
                return found[0]
    return None
