"""Reading TIFF files: stacks, channels, bands, orientation and missing values."""

from __future__ import annotations

import io
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from dotcount.data.images.opening import MAX_BYTES, check_size, open_raster
from dotcount.data.images.pixel_size import stated_size
from dotcount.data.images.raster import ORIENTATION, is_mask, shown, transparency
from dotcount.data.images.stack import Stack
from dotcount.data.images.values import PixelArray, chosen_channels, plain_type, three_channels, upright
from dotcount.files import read_bytes

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _SEPARATED, _YCBCR = 0, 1, 2, 3, 5, 6
_JPEG = (6, 7, 34892)  # compressions whose decoder returns red, green and blue
_ALPHA = (1, 2)
_COLOURS = ("red", "green", "blue")
_WEBP = 50001  # which Pillow's libtiff mostly lacks
_NO_DATA, _METADATA = 42113, 42112  # of GDAL
_AXES = {"Z": "z", "T": "time", "C": "channels", "R": "tiles", "P": "positions", "A": "angles", "L": "wavelengths"}


class TiffStack(Stack):
    """The first series of pages of one size and type in a TIFF file.

    ``lead`` are the sizes of the axes before rows and columns, of which one may be that of channels; the others are
    the pages, in the order of the file.
    """

    def __init__(self, path: Path, tiff: Any) -> None:
        super().__init__()
        self.path, self.tiff = path, tiff
        if not len(tiff.pages):  # asked first, since it finds a chain of pages that leads back into itself
            raise ValueError("it has no page")
        whole = (
            s for s in tiff.series if not (s.keyframe.is_reduced or s.keyframe.is_mask)
        )  # a preview may come first
        self.series = series = next(whole, tiff.series[0])
        self.key = key = series.keyframe
        if series.dtype is None or key.dtype is None:
            raise ValueError("its sample format is unknown")
        if key.photometric != _PALETTE and (key.dtype.itemsize > 1 or key.dtype.kind == "i"):
            self.dtype = key.dtype
        self.whole = not self._is_page_wise()
        axes, shape = (series.axes, series.shape)
        if not {"Y", "X"} <= set(axes):
            raise ValueError(f"its axes are {axes}, without rows or columns")
        sizes = dict(zip(axes, shape))
        inner = "YXS" if self.whole else key.axes
        self.lead_axes = "".join(a for a in axes if a not in inner)
        self.lead = tuple(sizes[a] for a in self.lead_axes)
        self.bands = sizes.get("S", 1)
        tag = key.tags.get(ORIENTATION)
        code = tag.value if tag is not None else 1
        self.orientation = int(code) if code in range(1, 9) else 1
        width, height = sizes["X"], sizes["Y"]
        self.width, self.height = (height, width) if self.orientation in (5, 6, 7, 8) else (width, height)
        self.pages = math.prod(n for a, n in zip(self.lead_axes, self.lead) if a != "C")
        named = [f"{n} {_AXES[a]}" for a, n in zip(self.lead_axes, self.lead) if a in _AXES and a != "C"]
        self.axes = " x ".join(named) if len(named) > 1 else "".join(named).partition(" ")[2]
        self._set_channels()
        self.pixel_size = stated_size(tiff, key)
        self.declared = _number(key.tags[_NO_DATA].value) if _NO_DATA in key.tags else None
        others = sum(1 for s in tiff.series if s is not series and not (s.keyframe.is_reduced or s.keyframe.is_mask))
        if others:
            more = "another image, which was not" if others == 1 else f"{others:,} other images, which were not"
            self.notes.append(f"the file holds {more} read")

    def _is_page_wise(self) -> bool:
        """Return whether each page of the file is one plane, so that it can be read without the others."""
        series, key = self.series, self.key
        inner = len(key.shape)
        return (
            set(key.axes) <= set("YXS")
            and tuple(series.shape[-inner:]) == tuple(key.shape)
            and series.axes.endswith(key.axes)
            and math.prod(series.shape[:-inner]) == len(series.pages)
        )

    def _set_channels(self) -> None:
        if "C" in self.lead_axes:
            self.channels, self.channel_word = self.lead[self.lead_axes.index("C")], "channel"
            self.default_channels = (1,)
            return
        self.channels = self.bands
        self.default_channels = (1, 2, 3) if self.bands > 2 else (1,)
        extra = tuple(self.key.extrasamples)
        if self.key.photometric == _SEPARATED or (len(extra) == 1 and extra[0] in _ALPHA):
            self.default_channels = tuple(range(1, self.bands + 1))  # alpha is noted once it has been seen
        elif _METADATA in self.key.tags:
            self.default_channels = _colour_bands(str(self.key.tags[_METADATA].value)) or self.default_channels

    @property
    def bands_in_order(self) -> bool:
        """Whether the bands that are read by default are the first ones, in their order."""
        return self.default_channels == tuple(range(1, len(self.default_channels) + 1))

    def read(self, page: int, channels: tuple[int, ...] | None) -> PixelArray:
        """Return a page; see :meth:`Stack.read`."""
        check_size(self.width, self.height, self.bands * self.key.dtype.itemsize)
        if "C" in self.lead_axes:
            planes = [self._plane(page, c - 1, False) for c in channels or (1,)]
            if len(planes) == 1:
                pixels = three_channels(planes[0])
            else:
                bands = np.concatenate([plane[..., :1] for plane in planes], axis=-1)
                pixels = chosen_channels(bands, tuple(range(1, len(planes) + 1)))
        elif channels is None and self.bands_in_order:
            plane = self._plane(page, 0, False)
            self._note_transparency(plane)
            pixels = three_channels(plane)
        elif channels is None:
            pixels = chosen_channels(self._plane(page, 0, True), self.default_channels)
        else:
            pixels = chosen_channels(self._plane(page, 0, True), channels)
        return upright(pixels, self.orientation) if self.orientation != 1 else pixels

    def _plane(self, page: int, channel: int, every_band: bool) -> PixelArray:
        """Return (H, W, C) as stored of one plane."""
        place = list(np.unravel_index(page, [n for a, n in zip(self.lead_axes, self.lead) if a != "C"] or [1]))
        index = tuple(int(channel if axis == "C" else place.pop(0)) for axis in self.lead_axes)
        if self.whole:
            return self._coloured(self._block(index), self.key)
        number = int(np.ravel_multi_index(index, self.lead)) if self.lead else 0
        found = self.series.pages[number]
        if found is None:
            raise ValueError(f"page {number + 1} is missing from the file")
        pillow = self.key.dtype.itemsize == 1 and self.key.dtype.kind in "ub" and self.key.compression != _WEBP
        if pillow and not every_band:
            try:
                return self._by_pillow(found)
            except UnidentifiedImageError:
                pass  # a number of bands that Pillow doesn't know
        values = np.asarray(found.asarray())
        if self.key.axes.startswith("S"):
            values = np.moveaxis(values, 0, -1)
        return self._coloured(values if values.ndim == 3 else values[..., None], self.key)

    def _note_transparency(self, plane: PixelArray) -> None:
        """Tell what a deep band of transparency would hide; of 8 bits, Pillow has shown it."""
        extra = tuple(self.key.extrasamples)
        if plane.shape[-1] not in (2, 4) or len(extra) != 1 or extra[0] not in _ALPHA or plane.dtype.kind != "u":
            return
        alpha = plane[..., -1]
        top = np.iinfo(plane.dtype).max
        if not np.isin(alpha, (0, top)).all():
            self.notes.append("its last band, labelled as transparency, holds more than a mask and was left out")
        elif (alpha == 0).any():
            self.notes.append("part of it is transparent, which was left out: its colours there were read")

    def _block(self, index: tuple[int, ...]) -> PixelArray:
        """Return (H, W, C) of a plane where one page of the file holds many."""
        series = self.series
        if series.dataoffset is not None:
            dtype = np.dtype(series.dtype).newbyteorder(self.tiff.byteorder)
            values = self.tiff.filehandle.memmap_array(dtype, series.shape, series.dataoffset)
        elif series.nbytes > MAX_BYTES:
            raise Image.DecompressionBombError(f"{series.nbytes / 2**30:.1f} GB")
        else:
            values = series.asarray()
        order = [series.axes.index(a) for a in (*self.lead_axes, *"YXS") if a in series.axes]
        plane = np.asarray(np.transpose(values, order)[index])
        return plane if plane.ndim == 3 else plane[..., None]

    def _by_pillow(self, page: Any) -> PixelArray:
        """Read 8 bits with Pillow, which knows every compression; as stored, since its own turning scrambles some."""
        own = page.aspage() if page.is_frame else page
        tag = own.tags.get(ORIENTATION)
        if tag is None or tag.value == 1:
            return self._pillow_pixels(self.path, own)
        content = bytearray(read_bytes(self.path, MAX_BYTES))
        content[tag.valueoffset : tag.valueoffset + 2] = (1).to_bytes(
            2, "little" if self.tiff.byteorder == "<" else "big"
        )
        return self._pillow_pixels(io.BytesIO(content), own)

    def _pillow_pixels(self, source: Path | io.BytesIO, page: Any) -> PixelArray:
        with open_raster(source) as image:
            if page.index:
                image.seek(page.index)
            image.info.pop("xmp", None)  # which might state another orientation
            if image.size != (page.imagewidth, page.imagelength):
                raise ValueError("its pages are in an order that can't be followed")
            layered = image.convert("RGBA") if image.mode == "RGBa" else image
            if layered.mode == "RGBA" and not is_mask(layered.getchannel("A")):
                self.notes.append("its fourth band, labelled as transparency, holds more than a mask and was left out")
            else:
                self.notes += transparency(layered)
            return shown(image, turned=False)

    def _coloured(self, values: PixelArray, page: Any) -> PixelArray:
        """Return bands as brightness, whatever the stored numbers stand for."""
        kind = page.photometric
        if kind == _PALETTE and page.colormap is not None:
            table = np.asarray(page.colormap)
            return np.asarray((table[:, values[..., 0].astype(int)] >> 8).astype(np.uint8).transpose(1, 2, 0))
        if kind == _WHITE_IS_ZERO:
            top = np.iinfo(values.dtype).max if values.dtype.kind in "ui" else np.nanmax(values)
            return plain_type(top - values)
        if kind == _SEPARATED and values.shape[-1] >= 4 and values.dtype.kind == "u":
            top = np.iinfo(values.dtype).max
            light = (top - values[..., :3].astype(np.float64)) * (top - values[..., 3:4].astype(np.float64)) / top
            return plain_type(np.rint(light).astype(values.dtype))
        if kind not in (_BLACK_IS_ZERO, _RGB) and not (kind == _YCBCR and page.compression in _JPEG):
            name = getattr(kind, "name", kind)
            raise ValueError(f"its colours are stored as {name}; save it as grey or RGB")
        return plain_type(values)


def _colour_bands(metadata: str) -> tuple[int, ...]:
    """Return the bands of red, green and blue as GDAL's metadata name them; empty where they do not."""
    named = re.findall(r'name="COLORINTERP" sample="(\d{1,4})"[^>]*>(\w+)<', metadata)
    bands = {colour.lower(): int(sample) + 1 for sample, colour in named}
    return tuple(bands[c] for c in _COLOURS) if set(_COLOURS) <= set(bands) else ()


def _number(text: object) -> float | None:
    try:
        return float(str(text).strip("\x00 "))
    except ValueError:
        return None
