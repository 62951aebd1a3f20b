"""One image of a data set with its dots, at the size at which the network sees it; and which crops fit a set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dotcount.data.images import PixelArray, UnitArray, image_size, read_pixels, to_unit
from dotcount.data.records import Record
from dotcount.data.resizing import ResizeRule, crop_for, resize_pixels
from dotcount.errors import DataError, ImageReadError
from dotcount.intensity import IntensityRule
from dotcount.points import Points
from dotcount.selection import ImageSelection

AS_THEY_ARE, FIRST = ResizeRule(), ImageSelection()

AS_THEY_ARE, FIRST = ResizeRule(), ImageSelection()


@dataclass(frozen=True)
class Sample:
    """One whole image, float32 (H, W, 3) in [0, 1], with its dots in the pixels of that image.

    Examples
    --------
    >>> from dotcount.data import open_collection
    >>> from dotcount.data.synthetic import write_dataset
    >>> records = open_collection(write_dataset("cells", train=4, val=0, test=0, size=64)).records
    >>> sample = load_sample(records[0])
    >>> sample.image.shape, len(sample.points) == records[0].count
    ((64, 64, 3), True)
    """

    image: UnitArray
    points: Points | None
    record: Record


def scaled_size(record: Record, resize: ResizeRule = AS_THEY_ARE) -> tuple[int, int]:
    """Return the (width, height) px that the resize rule gives for the image of a record."""
    points = record.points
    width, height = (points.width, points.height) if points is not None else image_size(record.image)
    return resize.size(width, height)


def scaled_pixels(
    record: Record, resize: ResizeRule, selection: ImageSelection = FIRST
) -> tuple[PixelArray, Points | None]:
    """Return pixels, in the depth of the file, and dots of a record after the resize rule."""
    pixels = read_pixels(record.image, selection)
    height, width = pixels.shape[:2]
    points = record.points
    if points is not None and (points.width, points.height) != (width, height):
        raise ImageReadError(
            f"image {record.image} decodes to {width} x {height} px, but its header said "
            f"{points.width} x {points.height}; it was changed or is damaged: replace it"
        )
    target = resize.size(width, height)
    if target != (width, height):
        pixels, points = resize_pixels(pixels, *target), points.resize(*target) if points is not None else None
    return pixels, points


def point_tensor(points: Points) -> Tensor:
    """Return the dots as a float32 tensor (m, 2).

    A dot just inside the right or lower border, which a flip makes of one at 0, would be rounded onto the border, where
    no pixel and no cell is; it is held at the last number before.
    """
    xy = points.xy.astype(np.float32)
    size = np.array([points.width, points.height], dtype=np.float32)
    last = np.nextafter(size, np.float32(0))
    return torch.from_numpy(np.where(points.xy <= size, np.minimum(xy, last), xy))


def load_sample(record: Record, resize: ResizeRule = AS_THEY_ARE, intensity: IntensityRule | None = None) -> Sample:
    """Read the image of a record and apply the resize rule to it and its dots.

    Values of more than 8 bits are mapped to brightness by ``intensity``, or where it is absent or does not know them by
    a rule of this image alone.

    Raises
    ------
    DataError
        If the record carries an error, or the image can't be decoded.

    Examples
    --------
    >>> from dotcount.data import open_collection
    >>> from dotcount.data.synthetic import write_dataset
    >>> records = open_collection(write_dataset("cells", train=4, val=0, test=0, size=64)).records
    >>> load_sample(records[0]).image.shape
    (64, 64, 3)
    """
    if record.error is not None:
        raise DataError(record.error)
    pixels, points = scaled_pixels(record, resize)
    return Sample(to_unit(pixels, intensity), points, record)


def require_crop(records: Sequence[Record], crop: int, resize: ResizeRule = AS_THEY_ARE) -> None:
    """Make sure that some image holds a square of ``crop`` px; smaller ones are padded.

    Raises
    ------
    DataError
        If none does; the message names the largest and the remedy.
    """
    largest = max(records, key=lambda r: min(scaled_size(r, resize)))
    width, height = scaled_size(largest, resize)
    if min(width, height) < crop:
        raise DataError(
            f"crop is {crop} px, but none of the {len(records):,} images is as large; the largest, {largest.image}, "
            f"has {width} x {height} px; choose a crop of {min(width, height)} or less, or set data.min_side={crop}"
        )


def fitting_crop(records: Sequence[Record], limit: int = 256, resize: ResizeRule = AS_THEY_ARE) -> int:
    """Return the crop for these images; see :func:`dotcount.data.resizing.crop_for`.

    Examples
    --------
    >>> from dotcount.data import open_collection
    >>> from dotcount.data.synthetic import write_dataset
    >>> records = open_collection(write_dataset("cells", train=4, val=0, test=0, size=64)).records
    >>> fitting_crop(records)
    64
    """
    return crop_for([min(scaled_size(record, resize)) for record in records], limit)


def padded_images(records: Sequence[Record], crop: int, resize: ResizeRule = AS_THEY_ARE) -> str | None:
    """Return in words which images are smaller than the crop, so that crops of them are padded; ``None`` if none is."""
    sizes = [(record, scaled_size(record, resize)) for record in records]
    small = [(record, size) for record, size in sizes if min(size) < crop]
    if not small:
        return None
    named = ", ".join(f"{record.name} ({width} x {height} px)" for record, (width, height) in small[:3])
    more = f" and {len(small) - 3:,} more" if len(small) > 3 else ""
    verb = "is" if len(small) == 1 else "are"
    return (
        f"{len(small):,} of {len(records):,} images {verb} smaller than the crop of {crop} px and padded: {named}{more}"
    )
