"""A strip below a picture that says what its marks and colours mean."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dotcount.report.heat import HeatScale, heat_colours
from dotcount.report.marks import FOUND, Colour

_INK, _PAPER = (238, 240, 239), (23, 27, 25)


def with_legend(
    picture: Image.Image, text: str, scale: HeatScale, *, rings: str = "", colour: Colour = FOUND
) -> Image.Image:
    """Return ``picture`` with a strip below it.

    Parameters
    ----------
    picture
        RGB.
    text
        What is shown, first.
    scale
        Of the heat layer.
    rings
        What the rings are; empty: there are none.
    colour
        Of the rings.
    """
    size = int(np.clip(max(picture.size) / 62, 11, 34))
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
    canvas = Image.new("RGB", (width, picture.height + line * len(rows)), _PAPER)
    canvas.paste(picture, ((width - picture.width) // 2, 0))
    for k, row in enumerate(rows):
        x = gap
        for part in row:
            canvas.paste(part, (x, picture.height + k * line))
            x += part.width + 2 * gap
    return canvas


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont:
    from matplotlib import font_manager

    return ImageFont.truetype(font_manager.findfont("DejaVu Sans"), size)


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
    ImageDraw.Draw(strip).text((middle, line // 2), ticks[1][1], fill=_INK, font=font, anchor="mm")
    return strip
