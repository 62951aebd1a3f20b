"""Opening image files safely: regular files only, listed decoders only, no more pixels than stated."""

from __future__ import annotations

import logging
import threading
import warnings
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from dotcount.data.images.kinds import unreadable_content, unreadable_kind
from dotcount.errors import ImageReadError
from dotcount.files import regular_file

RASTER = ("JPEG", "PNG", "TIFF", "BMP", "DIB", "GIF", "WEBP", "PPM", "JPEG2000", "AVIF")
"""Pillow's decoders that may open a file. Others start programs (Ghostscript for EPS) or guess."""

MAX_BYTES = 4 * 2**30
"""Most memory that one decoded image may take, bytes, whatever its number of bands."""

TIFF_MAGIC = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


@lru_cache(maxsize=1)
def _known() -> tuple[str, ...]:
    """Return the listed decoders that this build of Pillow has."""
    Image.init()
    return tuple(name for name in RASTER if name in Image.OPEN)


def open_raster(source: Path | BinaryIO) -> Image.Image:
    """Open an image with Pillow; the one place where that happens.

    Raises
    ------
    OSError
        If a path is that of a folder, pipe or device.
    """
    if isinstance(source, Path):
        regular_file(source)
    return Image.open(source, formats=_known())


def magic(path: Path) -> bytes:
    """Return the first bytes of a file.

    Raises
    ------
    ImageReadError
        If there is no such file, it can't be opened, or it is no regular file.
    """
    try:
        regular_file(path)
        with path.open("rb") as file:
            return file.read(132)
    except (OSError, ValueError) as error:
        raise ImageReadError(f"image {path}: {getattr(error, 'strerror', None) or error}; check the path") from error


def check_size(width: int, height: int, bytes_per_pixel: int = 3) -> None:
    """Raise Pillow's error for an image with more pixels, or bytes when decoded, than a decoder should accept."""
    limit = 2 * Image.MAX_IMAGE_PIXELS if Image.MAX_IMAGE_PIXELS else 2**62
    if width * height > limit or width * height * bytes_per_pixel > MAX_BYTES:
        raise Image.DecompressionBombError(f"{width} x {height} px")


def unreadable(path: Path, error: Exception) -> ImageReadError:
    """Return the error for people that a decoder's error stands for."""
    try:
        if path.stat().st_size == 0:
            return ImageReadError(f"image {path} is an empty file; restore or remove it")
    except OSError as gone:
        return ImageReadError(f"image {path}: {gone.strerror or gone}; check the path")
    if isinstance(error, UnidentifiedImageError):
        known = unreadable_kind(path) or unreadable_content(magic(path))
        if known is not None:
            return ImageReadError(f"image {path} is {known}")
        return ImageReadError(f"image {path} is not an image of a known kind, or its header is damaged; replace it")
    if isinstance(error, Image.DecompressionBombError):
        limit = (Image.MAX_IMAGE_PIXELS or 0) * 2 // 10**6
        found = f" ({error})" if " px" in str(error) and len(str(error)) < 40 else ""
        return ImageReadError(
            f"image {path} claims more than {limit} million pixels or {MAX_BYTES // 2**30} GB{found}; cut it into tiles"
        )
    if isinstance(error, MemoryError):
        return ImageReadError(f"image {path} does not fit into memory; cut it into tiles")
    detail = " ".join(str(error).split()) or type(error).__name__
    return ImageReadError(f"image {path} can't be decoded ({detail[:120]}); replace the file")


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
                for logger in map(logging.getLogger, ("tifffile", "roifile")):
                    self._restore.callback(setattr, logger, "disabled", logger.disabled)
                    logger.disabled = True

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._restore.close()


quiet = _Quiet()
