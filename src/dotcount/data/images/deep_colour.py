"""Colours of more than 8 bits in PNG, JPEG 2000 and PPM, which Pillow would reduce to 8 by the range of their type.

Twelve bits in a file of sixteen would be nearly black then.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from PIL import Image

from dotcount.data.images.opening import MAX_BYTES
from dotcount.data.images.values import PixelArray
from dotcount.files import read_bytes

_PNG_DEEP = (b"\x10\x02", b"\x10\x04", b"\x10\x06")  # 16 bits: colours, grey with alpha, colours with alpha
_PPM_HEADER = re.compile(rb"P6(?:\s|#[^\n]*\n)+(\d+)(?:\s|#[^\n]*\n)+(\d+)(?:\s|#[^\n]*\n)+(\d+)\s")
_SIZE_MARK = b"\xff\x4f\xff\x51"  # of a JPEG 2000 codestream


def is_deep_colour(path: Path, image: Image.Image, start: bytes) -> bool:
    """Return whether a file holds more than 8 bits that Pillow does not hand out, by its header."""
    if image.format == "PNG":
        return start[24:26] in _PNG_DEEP
    if image.format == "PPM" and image.mode == "RGB":
        found = _PPM_HEADER.match(_head(path))
        return found is not None and int(found[3]) > 255
    if image.format == "JPEG2000" and image.mode in ("RGB", "RGBA", "LA"):
        head = _head(path)
        at = head.find(_SIZE_MARK)
        return at >= 0 and len(head) > at + 42 and (head[at + 42] & 0x7F) + 1 > 8
    return False


def deep_colour(path: Path, image: Image.Image) -> PixelArray:
    """Return (H, W, bands) as stored, up to 16 bits.

    Raises
    ------
    ValueError
        If the file ends before its pixels do.
    """
    import imagecodecs

    content = read_bytes(path, MAX_BYTES)
    if image.format == "PNG":
        return np.asarray(imagecodecs.png_decode(content))
    if image.format == "JPEG2000":
        return np.asarray(imagecodecs.jpeg2k_decode(content))
    found = _PPM_HEADER.match(content)
    width, height = image.size
    if found is None or len(content) < found.end() + 6 * width * height:
        raise ValueError("it ends before its pixels do")
    values = np.frombuffer(content, ">u2", 3 * width * height, found.end())
    return values.reshape(height, width, 3).astype(np.uint16)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(1 << 16)
