"""A strip below a picture that says what its marks and colours mean."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from dotcount.report.heat import HeatScale, heat_colours
from dotcount.report.marks import FOUND, Colour

SMALLEST = 512
"""Longer side to which pictures of small images are enlarged, px, so that there is room for words."""

_INK, _PAPER = (238, 240, 239), (23, 27, 25)


def with_legend(
    picture: Image.Image, text: str, scale: HeatScale, *, rings: str = "", colour: Colour = FOUND
) -> Image.Image:
    """Return ``picture`` with a strip below it.

    Parameters
    ----------
    picture
        RGB, or with a palette that holds :func:`legend_colours`.
    text
        What is shown, first.
    scale
        Of the heat layer.
    rings
        What the rings are; empty: there are none.
    colour
        Of the rings.
    """
    size = int(np.clip(max(picture.size) / 62, 11, 66))
    font = _font(size)
    gap, line = round(0.8 * size), round(1.9 * size)
    parts = [_words(text, font, line)]
    if rings:
        parts.append(_ring(rings, font, line, colour))
    parts.append(_bar(scale, font, line))
    widest = max(part.width for part in parts) + 2 * gap
    width = max(picture.width, widest)
    rows: list[list[Image.Image]] = [[]]
    for part in parts:
        if rows[-1] and sum(p.width + 2 * gap for p in rows[-1]) + part.width + 2 * gap > width:
            rows.append([])
        rows[-1].append(part)
    strip = Image.new("RGB", (width, line * len(rows)), _PAPER)
    for k, row in enumerate(rows):
        x = gap
        for part in row:
            strip.paste(part, (x, k * line))
            x += part.width + 2 * gap
    return _below(picture, strip)


def legend_colours(number: int) -> npt.NDArray[np.float32]:
    """Return (number, 3) shades from the ground of a legend to its letters, 0 to 255."""
    shades = np.linspace(_PAPER, _INK, number, dtype=np.float32)
    return np.asarray(shades)


def _below(picture: Image.Image, strip: Image.Image) -> Image.Image:
    """Return the picture in the middle above a strip that is at least as wide."""
    ground: Any = _PAPER
    if picture.mode == "P":
        strip = strip.quantize(palette=picture, dither=Image.Dither.NONE)
        ground = strip.getpixel((0, 0))
    canvas = Image.new(picture.mode, (strip.width, picture.height + strip.height), ground)
    if picture.palette is not None:
        canvas.putpalette(picture.palette)
    canvas.paste(picture, ((strip.width - picture.width) // 2, 0))
    canvas.paste(strip, (0, picture.height))
    return canvas


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont:
    from matplotlib import font_manager

    return ImageFont.truetype(font_manager.findfont("DejaVu Sans"), size, layout_engine=ImageFont.Layout.BASIC)


def _words(text: str, font: ImageFont.FreeTypeFont, line: int) -> Image.Image:
    strip = Image.new("RGB", (round(font.getlength(text)) + 2, line), _PAPER)
    ImageDraw.Draw(strip).text((0, line // 2), text, fill=_INK, font=font, anchor="lm")
    return strip


def _ring(text: str, font: ImageFont.FreeTypeFont, line: int, colour: Colour) -> Image.Image:
    words, r = _words(text, font, line), round(0.22 * line)
    strip = Image.new("RGB", (2 * r + r + words.width, line), _PAPER)
    middle = line // 2
    ImageDraw.Draw(strip).ellipse((0, middle - r, 2 * r, middle + r), outline=colour, width=max(1, r // 3))
    strip.paste(words, (3 * r, 0))
    return strip


def _bar(scale: HeatScale, font: ImageFont.FreeTypeFont, line: int) -> Image.Image:
    """Draw the colours with the numbers at their ends and in the middle, and the unit."""
    ticks = scale.ticks()
    length, gap = 7 * line, line // 3
    ends = [_words(ticks[0][1], font, line), _words(f"{ticks[-1][1]} {scale.unit}", font, line)]
    strip = Image.new("RGB", (ends[0].width + gap + length + gap + ends[1].width, line), _PAPER)
    colours = heat_colours()[np.linspace(0, 255, length).astype(int)].astype(np.uint8)
    bar = Image.fromarray(np.repeat(colours[None], round(0.6 * line), axis=0))
    strip.paste(ends[0], (0, 0))
    strip.paste(bar, (ends[0].width + gap, round(0.2 * line)))
    strip.paste(ends[1], (ends[0].width + gap + length + gap, 0))
    middle = ends[0].width + gap + length // 2
    ImageDraw.Draw(strip).text((middle, line // 2), ticks[1][1], fill=_PAPER, font=font, anchor="mm")
    return strip
