"""Reading with Pillow, but for colours of more than 8 bits."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from PIL.TiffImagePlugin import TiffImageFile

from dotcount.data.images.deep_colour import deep_colour, is_deep_colour
from dotcount.data.images.opening import check_size
from dotcount.data.images.stack import Stack
from dotcount.data.images.values import PixelArray, chosen_channels, plain_type, three_channels, upright

ORIENTATION = 0x0112
_PHOTOGRAPHS = ("JPEG", "MPO")  # whose further frames are previews and gain maps of the same picture
_DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "F")
_TEXTS = (b"Raw profile type", b"XML:com.adobe.xmp")


class RasterStack(Stack):
    """A file that Pillow reads."""

    page_word = "frame"

    def __init__(self, path: Path, image: Image.Image, start: bytes) -> None:
        super().__init__()
        self.path, self.image = path, image
        self.deep = is_deep_colour(path, image, start)
        self.orientation = _orientation(path, image)
        if self.deep or image.mode in _DEEP_MODES:
            self.dtype = np.dtype(np.float32 if image.mode == "F" else np.uint16)
        width, height = image.size
        if self.deep:
            check_size(width, height, 8)
        self.width, self.height = (height, width) if self.orientation in (5, 6, 7, 8) else (width, height)
        self.pages = 1 if image.format in _PHOTOGRAPHS else _frames(image)
        self.channels = 3
        self.channel_word = "channel"
        self.default_channels = (1, 2, 3)

    def read(self, page: int, channels: tuple[int, ...] | None) -> PixelArray:
        """Return a frame; the channels are red, green and blue."""
        if self.deep and page == 0:
            pixels = upright(self._deep_colour(), self.orientation)
        else:
            if self.image.tell() != page:
                self.image.seek(page)
            pixels = shown(self.image, self.orientation != 1)
            self.notes += transparency(self.image)
        return pixels if channels is None else chosen_channels(pixels, channels)

    def _deep_colour(self) -> PixelArray:
        values = deep_colour(self.path, self.image)
        if values.ndim == 3 and values.shape[-1] in (2, 4) and (values[..., -1] != 65535).any():
            self.notes.append("the transparency of its 16-bit colours was left out")
        return three_channels(values)


def shown(opened: Image.Image, turned: bool = True) -> PixelArray:
    """Return (H, W, 3) of an opened image as it is displayed, on white where it is transparent."""
    image = (ImageOps.exif_transpose(opened) or opened) if turned else opened
    if image.mode in _DEEP_MODES:
        return three_channels(plain_type(np.asarray(image)))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        layered = image.convert("RGBA")
        if isinstance(opened, TiffImageFile) and not is_mask(layered.getchannel("A")):
            return np.array(layered.convert("RGB"))
        image = Image.new("RGBA", layered.size, "white")
        image.alpha_composite(layered)
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def transparency(image: Image.Image) -> list[str]:
    """Return in words that pixels are wholly transparent, so that their colours are not seen."""
    clear = image.getchannel("A").histogram()[0] if image.mode in ("RGBA", "LA", "PA") else 0
    if not clear:
        return []
    return [f"{'all' if clear == image.width * image.height else 'part'} of it is transparent and was read as white"]


def is_mask(alpha: Image.Image) -> bool:
    """Return whether a TIFF's alpha is one: GDAL labels any fourth band so, be it near infrared."""
    return all(value in (0, 255) for _, value in alpha.getcolors() or [(0, 1)])


def _frames(image: Image.Image) -> int:
    try:
        return int(getattr(image, "n_frames", 1))
    except Exception:  # damaged behind the first frame, which may be whole
        return 1


def _orientation(path: Path, image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; of a PNG without decoding all of it, where its chunks have none."""
    if image.format == "PNG" and not _png_may_tell(path):
        return 1
    code = image.getexif().get(ORIENTATION, 1)
    return int(code) if code in range(1, 9) else 1


def _png_may_tell(path: Path) -> bool:
    """Return whether a PNG has a chunk that may state an orientation; they may come after the pixels."""
    with path.open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            size, kind = struct.unpack(">I4s", head)
            if kind == b"IEND":
                return False
            skip = size + 4
            if kind in (b"tEXt", b"zTXt", b"iTXt"):
                keyword = file.read(min(size, 24))
                if keyword.startswith(_TEXTS):
                    return True
                skip -= len(keyword)
            elif kind == b"eXIf":
                return True
            file.seek(skip, 1)
    return True  # cut off: the decoder decides
