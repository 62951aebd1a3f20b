"""Reading images: sizes from headers, pixels as stored, EXIF orientation applied.

Pixels are kept in the depth of the file (8 bit stays 8 bit, 16 bit stays 16 bit) until :func:`to_unit` maps them to
float32 in [0, 1]. Whatever the file holds (grey, palette, RGB, alpha, extra bands), the result has three channels.
"""

from __future__ import annotations

import logging
import struct
import threading
import warnings
import zlib
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from dotcount.errors import ImageReadError

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".bmp", ".webp", ".gif")
    + (".ppm", ".pgm", ".pnm", ".jp2", ".avif")
)
PixelArray = npt.NDArray[Any]
UnitArray = npt.NDArray[np.float32]

_ORIENTATION = 0x0112
_TIFF_MAGIC = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


def is_image(path: Path) -> bool:
    """Return whether the name ends like an image file's (hidden files do not count)."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def image_size(path: str | Path) -> tuple[int, int]:
    """Return (width, height) in px as displayed, that is after EXIF orientation, from the header alone.

    Raises
    ------
    ImageReadError
        If the file is missing or its header is not that of an image.
    """
    path = Path(path)
    try:
        with quiet, Image.open(path) as image:
            width, height = image.size
            if isinstance(image, TiffImageFile):  # whose size is turned already, from some version of Pillow on
                width, height = int(image.tag_v2[256]), int(image.tag_v2[257])
            turned = image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
        return (height, width) if turned else (width, height)
    except (UnidentifiedImageError, Image.DecompressionBombError, *DECODER_ERRORS) as error:
        if _magic(path)[:4] in _TIFF_MAGIC:
            return _tiff_size(path)
        raise _unreadable(path, error) from error


def orientation(path: str | Path) -> int:
    """Return the EXIF orientation (1 is upright, 2 to 8 are mirrored or turned); 1 where the file states none."""
    try:
        with quiet, Image.open(path) as image:
            return int(image.getexif().get(_ORIENTATION, 1))
    except (UnidentifiedImageError, Image.DecompressionBombError, *DECODER_ERRORS):
        return 1


def read_pixels(path: str | Path) -> PixelArray:
    """Return the image as an (H, W, 3) array in the depth of the file: uint8, uint16, uint32 or float32.

    EXIF orientation is applied. Grey is repeated over three channels; transparent pixels are shown on white; of a TIFF
    with more than three bands the first three are taken, of a stack the first page. A TIFF's fourth band counts as
    transparency if it is labelled as alpha and holds nothing but 0 and 255.

    Raises
    ------
    ImageReadError
        If the file is missing, truncated, no image, or larger than a decoder should accept; the message names it.
    """
    path = Path(path)
    magic = _magic(path)
    try:
        with quiet:
            if magic[:4] in _TIFF_MAGIC:
                return _read_tiff(path)
            if magic[:8] == _PNG_MAGIC and magic[24:26] in (b"\x10\x02", b"\x10\x06"):
                return _read_deep_png(path)
            return _read_pillow(path)
    except (UnidentifiedImageError, Image.DecompressionBombError, *DECODER_ERRORS) as error:
        raise _unreadable(path, error) from error


def read_image(path: str | Path) -> UnitArray:
    """Return the image as float32 (H, W, 3) in [0, 1]; see :func:`read_pixels` and :func:`to_unit`."""
    return to_unit(read_pixels(path))


def to_unit(pixels: PixelArray) -> UnitArray:
    """Map stored values to float32 in [0, 1].

    Integers are divided by the largest value of their type, so that equal numbers mean equal brightness in every file.
    Floats that already lie in [0, 1] stay; others are stretched from their own minimum and maximum.
    """
    if pixels.dtype == np.uint8:
        return pixels.astype(np.float32) / np.float32(255)
    if np.issubdtype(pixels.dtype, np.integer):
        return (pixels / np.iinfo(pixels.dtype).max).clip(0, 1).astype(np.float32)
    values = np.nan_to_num(pixels.astype(np.float32))
    low, high = float(values.min()), float(values.max())
    if low >= 0 and high <= 1:
        return values
    span = np.float32(high - low) if high > low else np.float32(1)
    return (values - np.float32(low)) / span


def three_channels(pixels: PixelArray) -> PixelArray:
    """Return (H, W, 3) from (H, W), (H, W, 1), (H, W, 2: grey and alpha) or (H, W, C >= 3)."""
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3:
        raise ValueError(f"{pixels.ndim} dimensions, where an image has 2 or 3")
    bands = pixels[..., :1] if pixels.shape[-1] < 3 else pixels[..., :3]
    return np.ascontiguousarray(np.broadcast_to(bands, (*bands.shape[:2], 3)))


# What decoders raise on damaged files, found by feeding them damaged files.
DECODER_ERRORS = (OSError, ValueError, SyntaxError, KeyError, IndexError, TypeError, EOFError, ArithmeticError) + (
    AttributeError,
    MemoryError,
    NotImplementedError,
    struct.error,
    zlib.error,
)


class _Quiet:
    """Silences decoders' warnings about odd metadata: what matters is whether the pixels can be had.

    Warning filters belong to the process, so with several threads inside only the last one out may restore them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._restore = ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._restore.enter_context(warnings.catch_warnings(action="ignore"))
                logger = logging.getLogger("tifffile")
                self._restore.callback(setattr, logger, "disabled", logger.disabled)
                logger.disabled = True

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._restore.close()


quiet = _Quiet()


def _magic(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(32)
    except OSError as error:
        raise ImageReadError(f"image {path}: {error.strerror or error}; check the path") from error


def _unreadable(path: Path, error: Exception) -> ImageReadError:
    if path.stat().st_size == 0:
        return ImageReadError(f"image {path} is an empty file; restore or remove it")
    if isinstance(error, UnidentifiedImageError):
        return ImageReadError(f"image {path} is not an image of a known kind, or its header is damaged; replace it")
    if isinstance(error, Image.DecompressionBombError):
        limit = (Image.MAX_IMAGE_PIXELS or 0) * 2 // 10**6
        return ImageReadError(f"image {path} claims more than {limit} million pixels; cut it into tiles")
    detail = " ".join(str(error).split()) or type(error).__name__
    return ImageReadError(f"image {path} can't be decoded ({detail[:120]}); replace the file")


def _read_pillow(path: Path) -> PixelArray:
    with Image.open(path) as opened:
        image = ImageOps.exif_transpose(opened)
        if image.mode in ("I", "I;16", "I;16B", "I;16L", "F"):
            values = np.asarray(image)
            return three_channels(values if image.mode == "F" else _deep_integers(values))
        if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
            layered = image.convert("RGBA")
            if isinstance(opened, TiffImageFile) and not _is_mask(layered.getchannel("A")):
                return np.array(layered.convert("RGB"))
            image = Image.new("RGBA", layered.size, "white")
            image.alpha_composite(layered)
        return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _is_mask(alpha: Image.Image) -> bool:
    """Return whether a TIFF's alpha is one: GDAL labels any fourth band so, be it near infrared."""
    return all(value in (0, 255) for _, value in alpha.getcolors() or [(0, 1)])


def _deep_integers(values: PixelArray) -> PixelArray:
    """Pillow widens 16-bit grey to 32 bits; undo that where the values fit."""
    low, high = int(values.min()), int(values.max())
    if low < 0:
        raise ValueError(f"negative pixel values (the lowest is {low})")
    return values.astype(np.uint16 if high <= 0xFFFF else np.uint32)


def _read_deep_png(path: Path) -> PixelArray:
    """Read 16-bit colour, which Pillow would silently reduce to 8 bits."""
    import torch
    from torchvision.io import ImageReadMode, decode_png

    try:
        data = torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8)
        values = decode_png(data, ImageReadMode.UNCHANGED).numpy()
    except RuntimeError as error:
        raise ValueError(str(error).splitlines()[0]) from error
    return three_channels(values.transpose(1, 2, 0))


def _tiff_size(path: Path) -> tuple[int, int]:
    import tifffile

    try:
        with quiet, tifffile.TiffFile(path) as tiff:
            page = tiff.pages[0]
            return int(page.imagewidth), int(page.imagelength)  # type: ignore[union-attr]
    except (tifffile.TiffFileError, *DECODER_ERRORS) as error:
        raise _unreadable(path, error) from error


def _read_tiff(path: Path) -> PixelArray:
    """Read with Pillow what it knows without loss (8-bit, and every compression), the rest with tifffile."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            page: Any = tiff.pages[0]
            if page.imagewidth * page.imagelength > 2 * (Image.MAX_IMAGE_PIXELS or 2**62):
                raise Image.DecompressionBombError
            if page.dtype is not None and page.dtype.itemsize == 1:
                try:
                    return _read_pillow(path)
                except UnidentifiedImageError:
                    return _orient_tiff(page)
            return _orient_tiff(page)
    except tifffile.TiffFileError as error:
        raise ValueError(str(error)) from error


def _orient_tiff(page: Any) -> PixelArray:
    values = np.asarray(page.asarray())
    if page.axes.startswith("S"):
        values = np.moveaxis(values, 0, -1)
    if page.photometric == 0:  # white is zero
        values = (np.iinfo(values.dtype).max if values.dtype.kind in "ui" else values.max()) - values
    if values.dtype.kind == "i":
        values = _deep_integers(values)
    pixels = three_channels(values.astype(np.float32) if values.dtype.kind == "f" else values)
    tag = page.tags.get(_ORIENTATION)
    code = int(tag.value) if tag is not None else 1
    if code in (2, 4, 5, 7):  # mirrored left to right, before the turn
        pixels = pixels[:, ::-1]
    turns = {3: 2, 4: 2, 6: 3, 7: 3, 5: 1, 8: 1}.get(code, 0)  # counter-clockwise
    return np.ascontiguousarray(np.rot90(pixels, turns))
