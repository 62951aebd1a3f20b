"""Spots of Fiji's TrackMate (https://imagej.net/plugins/trackmate): its XML, and its tables of spots.

Places are in the unit of the image, counted from the centre of the first pixel. The XML states the side of a pixel. A
table states the unit alone, in the fourth row: px can be read, µm can't. Spots that the user hid are left out, and
reported; spots of several frames do not belong to one image.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from dotcount.data.formats.base import FORMATS, Listed, Rows, Sidecar, Table, head
from dotcount.data.formats.columns import PX
from dotcount.data.formats.delimited import Sheet, first_rows, read_sheet
from dotcount.data.formats.structured import load_xml, number, stated_size
from dotcount.data.layout import Dots, fixed
from dotcount.errors import AnnotationError

_FRAMES = "has spots in {} frames; save each frame as an image, with its spots"


def _pages(frames: set[int], path: Path) -> tuple[int, ...]:
    if len(frames) > 1:
        raise AnnotationError(f"annotation {path} {_FRAMES.format(len(frames))}")
    return tuple(frames)


@FORMATS.register("trackmate")
class TrackMate(Table):
    """TrackMate's XML of one image, which it names."""

    name = "trackmate"
    title = "TrackMate XML"
    suffixes = (".xml",)
    filename = "spots.xml"
    writable = False

    def recognises(self, path: Path) -> bool:
        """Return whether the root element is TrackMate's."""
        return "<TrackMate" in head(path)

    def read(self, path: Path) -> Rows:
        """Return the dots of the image that the file names."""
        root = load_xml(path)
        image = root.find("Settings/ImageData")
        name = image.get("filename", "").strip() if image is not None else ""
        if image is None or not name or root.tag != "TrackMate":
            raise AnnotationError(f"annotation {path} names no image in Settings/ImageData; save it again")
        sides = [number(image.get(f"pixel{side}", "1"), path, f"pixel{side}") for side in ("width", "height")]
        if min(sides) <= 0:
            raise AnnotationError(f"annotation {path} states pixels of the side {min(sides):g}; correct it")
        xy, frames, hidden = [], set(), 0
        for spot in root.iterfind("Model/AllSpots/SpotsInFrame/Spot"):
            if spot.get("VISIBILITY", "1").strip() == "0":
                hidden += 1
                continue
            place = [number(spot.get(f"POSITION_{axis}"), path, f"POSITION_{axis}") for axis in "XY"]
            xy.append([v / side + 0.5 for v, side in zip(place, sides)])
            frames.add(int(number(spot.get("FRAME", "0"), path, "FRAME")))
        left = (f"{hidden} x spot that is not visible",) if hidden else ()
        dots = Dots(np.array(xy), left_out=left, planes=_pages(frames, path))
        return [(name, Listed(fixed(dots), size=stated_size(image.get("width"), image.get("height"))))]


@FORMATS.register("trackmate_spots")
class TrackMateSpots(Sidecar):
    """TrackMate's table of the spots of one image."""

    name = "trackmate_spots"
    title = "TrackMate's table of spots"
    suffixes = (".csv", ".txt")
    priority = 20
    writable = False

    def recognises(self, path: Path) -> bool:
        """Return whether the header is that of spots."""
        return _is_spots(first_rows(path))

    def read(self, path: Path, _width: int, _height: int, /) -> Dots:
        """Return the dots of one image."""
        sheet = read_sheet(path)
        if not _is_spots(sheet):
            raise AnnotationError(f"annotation {path} has no columns QUALITY, POSITION_X, POSITION_Y; export it again")
        names = [cell.upper() for cell in sheet.rows[0]]
        x, y = names.index("POSITION_X"), names.index("POSITION_Y")
        first = next((k for k in range(1, min(5, len(sheet.rows))) if _is_place(sheet, k, x)), len(sheet.rows))
        units = {sheet.text(k, x).strip("()").lower() for k in range(1, first) if sheet.text(k, x).startswith("(")}
        if not units or not units <= {*PX}:
            what = f"are in {units.pop()}" if units else "may be in px or in µm, as no unit is stated"
            raise AnnotationError(f"annotation {path}: its places {what}; save TrackMate's XML instead")
        rows = range(first, len(sheet.rows))
        frame = names.index("FRAME") if "FRAME" in names else None
        frames = {int(sheet.number(k, frame)) for k in rows if frame is not None}
        xy = np.array([(sheet.number(k, x), sheet.number(k, y)) for k in rows]).reshape(-1, 2)
        return replace(Dots(xy + 0.5, px=True), planes=_pages(frames, path))


def _is_spots(sheet: Sheet) -> bool:
    names = [cell.upper() for cell in sheet.rows[0]] if sheet.rows else []
    return {"QUALITY", "POSITION_X", "POSITION_Y"} <= set(names)


def _is_place(sheet: Sheet, row: int, column: int) -> bool:
    try:
        sheet.number(row, column)
    except AnnotationError:
        return False
    return True
