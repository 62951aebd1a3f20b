"""Markers of Fiji's Cell Counter (https://imagej.net/plugins/cell-counter): ``CellCounter_NAME.xml``.

Markers are whole pixels, whose centre the dot is at; the type of a marker is its class, where more than one was used.
Markers in several slices of a stack do not belong to one image.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

from dotcount.data.formats.base import FORMATS, Listed, Rows, Table, head
from dotcount.data.formats.structured import dots_of, load_xml, number
from dotcount.data.layout import fixed
from dotcount.errors import AnnotationError


@FORMATS.register("cell_counter")
class CellCounter(Table):
    """Cell Counter markers of one image, which the file names."""

    name = "cell_counter"
    title = "Cell Counter XML of Fiji"
    suffixes = (".xml",)
    filename = "CellCounter.xml"
    writable = False

    def recognises(self, path: Path) -> bool:
        """Return whether the file is one of markers."""
        return "<CellCounter_Marker_File" in head(path)

    def read(self, path: Path) -> Rows:
        """Return the dots of the image that the file names."""
        root = load_xml(path)
        name = (root.findtext("Image_Properties/Image_Filename") or "").strip()
        if root.tag != "CellCounter_Marker_File" or not name:
            raise AnnotationError(
                f"annotation {path} names no image in Image_Filename; save it from Cell Counter again"
            )
        xy: list[tuple[float, float]] = []
        classes: list[str] = []
        planes = set()
        for kind in root.iterfind("Marker_Data/Marker_Type"):
            label = (kind.findtext("Name") or f"type {(kind.findtext('Type') or '').strip()}").strip()
            for marker in kind.iterfind("Marker"):
                x, y = (number(marker.findtext(tag), path, tag) for tag in ("MarkerX", "MarkerY"))
                planes.add(_plane(marker))
                xy.append((x + 0.5, y + 0.5))
                classes.append(label)
        if len(planes) > 1:
            raise AnnotationError(
                f"annotation {path} has markers in {len(planes)} slices of a stack; save each slice as an image, with "
                "markers of its own"
            )
        used = classes if len(set(classes)) > 1 else []
        found = replace(dots_of(xy, used), planes=_pages(planes))
        return [(name, Listed(fixed(found)))]


def _pages(planes: set[str]) -> tuple[int, ...]:
    text = next(iter(planes), "")
    return (int(text) - 1,) if text.isdecimal() and 0 < int(text) < 10**6 else ()


def _plane(marker: ElementTree.Element) -> str:
    return (marker.findtext("MarkerZ") or "1").strip()
