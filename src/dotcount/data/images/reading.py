"""Reading images: sizes from headers, pixels as stored, orientation applied, and what was left out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dotcount.data.images.instruments import instrument
from dotcount.data.images.opening import TIFF_MAGIC, magic, open_raster, quiet, unreadable
from dotcount.data.images.raster import RasterStack
from dotcount.data.images.stack import Stack
from dotcount.data.images.tiff import TiffStack
from dotcount.data.images.values import FEW, PixelArray, UnitArray, declared_share, fill, missing_values, share_in_words
from dotcount.errors import ImageReadError
from dotcount.intensity import IntensityRule
from dotcount.selection import ImageSelection

FIRST = ImageSelection()
_DARK = 16  # of 255: pictures of 4 bits, or of classes, in files of 8


@dataclass(frozen=True, eq=False)
class LoadedImage:
    """Pixels of a file, and what people should know of how they were read.

    Attributes
    ----------
    pixels
        (H, W, 3), upright, in the depth of the file.
    notes
        What was left out or filled, in words; empty where all of the file is there.
    pixel_size
        Side of a pixel, m, where the file states it.
    """

    pixels: PixelArray
    notes: tuple[str, ...] = ()
    pixel_size: float | None = None


@dataclass(frozen=True)
class ImageHeader:
    """What a file says of itself.

    Attributes
    ----------
    width, height
        Size as displayed, px.
    orientation
        EXIF orientation, 1 to 8.
    notes
        What of the file is not read, in words.
    deep
        ``integer`` or ``float`` where values have more than 8 bits, else empty.
    pages
        Number of pages, planes, time points or frames.
    pixel_size
        Side of a pixel, m, where the file states it.
    """

    width: int
    height: int
    orientation: int = 1
    notes: tuple[str, ...] = ()
    deep: str = ""
    pages: int = 1
    pixel_size: float | None = None


def load_image(path: str | Path, selection: ImageSelection = FIRST, *, every_page: bool = False) -> LoadedImage:
    """Read an image in the depth of the file: uint8, uint16, uint32, int16, int32 or float32.

    EXIF and TIFF orientation are applied. Grey is repeated over three channels; transparent pixels are shown on white.
    Of several pages the first is taken, of more than three bands the first three, of a microscope's channels the first,
    unless others are chosen; the notes tell it. A TIFF's fourth band counts as transparency if it is labelled as alpha
    and holds nothing but 0 and 255. In images of more than 8 bits, values that are not finite or stand for missing data
    (GDAL's no-data value, -9999, the type's lowest) are filled: few from their neighbours, areas with the darkest
    value. With ``every_page`` the notes pass over the other pages, which are read as images of their own.

    Raises
    ------
    ImageReadError
        If the file is missing, truncated, no image, no regular file, holds no such page or channel, or is larger than a
        decoder should accept; the message names it.
    """
    path = Path(path)
    with _opened(path) as stack:
        stack.check(selection, path)
        pixels = stack.pixels(selection)
        notes = stack.messages(selection, every_page=every_page)
        gaps = missing_values(pixels, stack.declared)
        if gaps is not None:
            pixels = fill(pixels, gaps)
            notes.append(f"{share_in_words(float(gaps.mean()))} of its pixels hold no data and were filled")
        empty = declared_share(pixels, stack.declared) if gaps is None else 0.0
        if empty > FEW:
            notes.append(f"{share_in_words(empty)} of its pixels hold no data, and are part of its area")
        if pixels.dtype == np.uint8 and 0 < (top := int(pixels.max())) < _DARK:
            notes.append(f"it is nearly black: its brightest value is {top} of 255")
    return LoadedImage(pixels, tuple(dict.fromkeys(notes)), stack.pixel_size)


def read_pixels(path: str | Path, selection: ImageSelection = FIRST) -> PixelArray:
    """Return the (H, W, 3) pixels of :func:`load_image`, without its notes.

    Examples
    --------
    >>> from PIL import Image
    >>> Image.new("L", (40, 30), 255).save("a.png")
    >>> pixels = read_pixels("a.png")
    >>> pixels.shape, pixels.dtype
    ((30, 40, 3), dtype('uint8'))
    """
    return load_image(path, selection).pixels


def read_stored(path: str | Path, selection: ImageSelection = FIRST) -> PixelArray:
    """Return the (H, W, 3) pixels as stored, with nothing filled: in a mask every value has a meaning."""
    path = Path(path)
    with _opened(path) as stack:
        stack.check(selection, path)
        return stack.pixels(selection)


def read_header(path: str | Path, selection: ImageSelection = FIRST) -> ImageHeader:
    """Return size, orientation and notes from the header alone.

    Raises
    ------
    ImageReadError
        If the file is missing or its header is not that of an image.
    """
    path = Path(path)
    with _opened(path) as stack:
        stack.choose(selection)
        deep = "" if stack.dtype == np.uint8 else "float" if stack.dtype.kind == "f" else "integer"
        return ImageHeader(
            stack.width,
            stack.height,
            stack.orientation,
            tuple(stack.messages(selection)),
            deep,
            stack.pages,
            stack.pixel_size,
        )


def image_size(path: str | Path) -> tuple[int, int]:
    """Return (width, height) in px as displayed, that is after the orientation, from the header alone.

    Raises
    ------
    ImageReadError
        If the file is missing or its header is not that of an image.

    Examples
    --------
    >>> from PIL import Image
    >>> Image.new("L", (40, 30), 255).save("a.png")
    >>> image_size("a.png")
    (40, 30)
    """
    header = read_header(path)
    return header.width, header.height


def orientation(path: str | Path) -> int:
    """Return the orientation (1 is upright, 2 to 8 are mirrored or turned); 1 where the file states none."""
    try:
        return read_header(path).orientation
    except ImageReadError:
        return 1


def read_image(path: str | Path, rule: IntensityRule | None = None) -> UnitArray:
    """Return the image as float32 (H, W, 3) in [0, 1]; see :func:`load_image` and :func:`to_unit`.

    Examples
    --------
    >>> from PIL import Image
    >>> Image.new("L", (40, 30), 255).save("a.png")
    >>> image = read_image("a.png")
    >>> image.shape, float(image.max())
    ((30, 40, 3), 1.0)
    """
    return to_unit(read_pixels(path), rule)


def to_unit(pixels: PixelArray, rule: IntensityRule | None = None) -> UnitArray:
    """Map stored values to float32 in [0, 1].

    8-bit values are divided by 255. Deeper ones are mapped by the rule of the set they belong to; without one that
    knows them, by a rule fitted on this image alone (:meth:`dotcount.intensity.IntensityRule.fit`).

    Examples
    --------
    >>> import numpy as np
    >>> to_unit(np.array([[[0, 51, 255]]], np.uint8)).tolist()
    [[[0.0, 0.20000000298023224, 1.0]]]
    """
    if rule is None or not rule.covers(pixels.dtype):
        rule = IntensityRule.fit([pixels])
    return rule.apply(pixels)


def to_bytes(pixels: PixelArray, rule: IntensityRule | None = None) -> npt.NDArray[np.uint8]:
    """Map stored values to 8 bit, for pictures: as :func:`to_unit`, times 255; 8-bit values stay what they are.

    Examples
    --------
    >>> import numpy as np
    >>> from dotcount.intensity import IntensityRule
    >>> to_bytes(np.array([[[0, 51, 255]]], np.uint8)).tolist()
    [[[0, 51, 255]]]
    >>> to_bytes(np.array([[[0, 2048, 4095]]], np.uint16), IntensityRule(0, 4095, "bit_depth", kind="integer")).tolist()
    [[[0, 128, 255]]]
    """
    if pixels.dtype == np.uint8:
        return pixels
    return (to_unit(pixels, rule) * np.float32(255) + np.float32(0.5)).astype(np.uint8)


@contextmanager
def _opened(path: Path) -> Iterator[Stack]:
    """Yield the open file; whatever a decoder raises becomes an :class:`ImageReadError` that names it."""
    start = magic(path)
    try:
        with quiet:
            opener = instrument(path, start)
            if opener is not None:
                with opener(path) as stack:
                    yield stack
            elif start[:4] in TIFF_MAGIC:
                import tifffile

                with tifffile.TiffFile(path, _multifile=False) as tiff:
                    yield TiffStack(path, tiff)
            else:
                with open_raster(path) as image:
                    yield RasterStack(path, image, start)
    except ImageReadError:
        raise
    except Exception as error:  # decoders raise anything on damaged files
        raise unreadable(path, error) from error
