"""What a TIFF file says of the size of its pixels: OME-TIFF, ImageJ, slide scanners."""

from __future__ import annotations

import math
import re
from typing import Any
from xml.etree import ElementTree

UNITS = {
    "m": 1.0, "cm": 1e-2, "mm": 1e-3, "nm": 1e-9, "meter": 1.0, "metre": 1.0,
    "um": 1e-6, "\u00b5m": 1e-6, "\u03bcm": 1e-6, "\\u00B5m": 1e-6, "micron": 1e-6, "microns": 1e-6, "micrometer": 1e-6,
    "millimeter": 1e-3, "centimeter": 1e-2, "nanometer": 1e-9, "inch": 0.0254, "in": 0.0254,
}  # fmt: skip
"""Metres of a unit of length; ImageJ writes that of a micrometre with an escape."""

_X_RESOLUTION, _Y_RESOLUTION = 282, 283


def mean_side(x: float | None, y: float | None, unit: float) -> float | None:
    """Return the side in m of a pixel of ``x`` x ``y`` units of so many m; ``None`` where it is not stated."""
    if not x or not y or not (0 < x < math.inf and 0 < y < math.inf):
        return None
    return math.sqrt(x * y) * unit


def stated_size(tiff: Any, page: Any) -> float | None:
    """Return the side of a pixel of an open TIFF, m, or ``None``.

    The resolution in dots per inch is not believed: cameras and programs write 72 or 300 whatever the picture.
    """
    try:
        if tiff.is_ome:
            return _ome(tiff.ome_metadata)
        if tiff.is_imagej:
            unit = UNITS.get(str((tiff.imagej_metadata or {}).get("unit", "")))
            x, y = (_per_pixel(page, tag) for tag in (_X_RESOLUTION, _Y_RESOLUTION))
            return None if unit is None else mean_side(x, y, unit)
        found = re.search(r"\bMPP ?= ?([0-9.]+)", page.description[:10_000])  # micrometres, by Aperio
        return None if found is None else mean_side(float(found[1]), float(found[1]), 1e-6)
    except Exception:  # whatever is odd about the metadata, the pixels may be read all the same
        return None


def _ome(text: str) -> float | None:
    pixels = next((each for each in ElementTree.fromstring(text).iter() if each.tag.endswith("}Pixels")), None)
    if pixels is None:
        return None
    sides = []
    for axis in "XY":
        unit = UNITS.get(pixels.get(f"PhysicalSize{axis}Unit", "\u00b5m"))
        sides.append(None if unit is None else float(pixels.get(f"PhysicalSize{axis}", "0")) * unit)
    return mean_side(sides[0], sides[1], 1.0)


def _per_pixel(page: Any, tag: int) -> float | None:
    pixels, units = page.tags[tag].value
    return units / pixels if pixels else None
