"""One pass over the image files: can they be decoded, what do they look like in small."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from dotcount.data.images import load_image, open_raster, orientation, to_unit
from dotcount.data.records import Record
from dotcount.data.resizing import resize_pixels
from dotcount.errors import ImageReadError
from dotcount.files import regular_file

SMALL = 128  # longer side of the thumbnail, px
_HASH_SIDE = 16


@dataclass(frozen=True, eq=False)
class ImageFacts:
    """Facts about one image file.

    ``small`` is a grey thumbnail in [0, 1], ``bits`` a 256-bit difference hash (Krawetz 2013): whether each cell of a
    17 x 16 reduction is brighter than its right neighbour, ``notes`` tell what of the file was not read, ``deep``
    whether its values have more than 8 bits.
    """

    error: str | None = None
    digest: str = ""
    orientation: int = 1
    small: npt.NDArray[np.float32] | None = None
    bits: npt.NDArray[np.bool_] | None = None
    notes: tuple[str, ...] = ()
    deep: bool = False


def read_facts(records: Sequence[Record], workers: int = 2) -> list[ImageFacts]:
    """Decode every image once, in threads (decoders release the interpreter's lock)."""
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(_look, records))


def _look(record: Record) -> ImageFacts:
    path = record.image
    try:
        regular_file(path)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        grey, notes, deep = _grey(record)
    except ImageReadError as error:
        return ImageFacts(str(error))
    except OSError as error:
        return ImageFacts(f"image {path}: {error.strerror or error}; check the file")
    height, width = grey.shape
    scale = SMALL / max(width, height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    image = Image.fromarray(grey)
    small = np.asarray(image.resize(size, Image.Resampling.BOX), dtype=np.float32)
    tiny = np.asarray(image.resize((_HASH_SIDE + 1, _HASH_SIDE), Image.Resampling.BOX))
    return ImageFacts(None, digest, orientation(path), small, (tiny[:, 1:] > tiny[:, :-1]).ravel(), notes, deep)


def _grey(record: Record) -> tuple[npt.NDArray[np.float32], tuple[str, ...], bool]:
    """Return a grey image in [0, 1], what of it was not read, and whether it has more than 8 bits.

    A JPEG is decoded at reduced size, which still reads all of the file.
    """
    path = record.image
    if path.suffix.lower() in (".jpg", ".jpeg"):
        try:
            with open_raster(path) as image:
                image.draft("L", (2 * SMALL, 2 * SMALL))
                upright = ImageOps.exif_transpose(image)
                return np.asarray(upright.convert("L"), dtype=np.float32) / np.float32(255), (), False
        except Exception:
            pass  # not a JPEG after all, or damaged: the full reader decides and words the error
    loaded = load_image(path)
    pixels = loaded.pixels
    deep = pixels.dtype != np.uint8
    height, width = pixels.shape[:2]
    factor = max(1, min(width, height) // (2 * SMALL))
    if factor > 1:
        pixels = resize_pixels(pixels, width // factor, height // factor)
    return np.asarray(to_unit(pixels).mean(axis=-1), dtype=np.float32), loaded.notes, deep
