"""Pascal VOC XML (http://host.robots.ox.ac.uk/pascal/VOC/): one file for each image, boxes.

VOC numbers pixels from 1 and its boxes include both end pixels, so a box covers ``[xmin - 1, xmax)`` and its centre is
``(xmin - 1 + xmax) / 2``. A dot has no extent: it is written as the box that is the dot's pixel, which keeps its
position to half a pixel; the exact position goes along in ``<point><x><y>``, as VOC's own person-layout files write
points, and is preferred when read back. A turned box (``robndbox`` with ``cx``, ``cy``, of roLabelImg) gives its
centre. Every ``object`` counts, be it ``difficult``, ``truncated`` or ``occluded``; the boxes of its ``part`` elements
do not.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import unescape

from dotcount.data.formats.base import FORMATS, Sidecar, head, require_size
from dotcount.data.formats.boxes import corners_centre
from dotcount.data.formats.structured import (
    demand,
    dots_of,
    load_xml,
    number,
    positions,
    size_of,
    stated_size,
    write_xml,
)
from dotcount.data.layout import Dots
from dotcount.data.records import Record
from dotcount.errors import AnnotationError

_FILENAME = re.compile(r"<filename>\s*([^<]*?)\s*</filename>")


@FORMATS.register("voc")
class Voc(Sidecar):
    """Pascal VOC boxes."""

    name = "voc"
    title = "Pascal VOC XML"
    suffixes = (".xml",)

    def recognises(self, path: Path) -> bool:
        """Return whether the root element is ``annotation``."""
        root = re.search(r"<([A-Za-z_][\w:.-]*)[\s>/]", head(path))  # the first element, behind what declares the file
        return root is not None and root[1] == "annotation"

    def image_of(self, path: Path) -> str | None:
        """Return ``filename``."""
        found = _FILENAME.search(head(path))
        return unescape(found[1], {"&quot;": '"', "&apos;": "'"}) if found else None

    def read(self, path: Path, width: int, height: int, /) -> Dots:
        """Return the centres of the boxes of one image."""
        root = load_xml(path)
        demand(root.tag if root.tag == "annotation" else None, str, path, "the root element annotation")
        require_size(path, stated_size(root.findtext("size/width"), root.findtext("size/height")), (width, height))
        objects = root.findall("object")
        places = [sum(1 for _ in part.iter("bndbox")) for part in (root, *objects)]
        if len(list(root.iter("object"))) > len(objects) or places[0] > sum(places[1:]):
            raise AnnotationError(
                f"annotation {path} has objects elsewhere than right below annotation; export it again"
            )
        return dots_of([_centre(o, path) for o in objects], [o.findtext("name") or "" for o in objects])

    def write(self, path: Path, record: Record) -> None:
        """Write one object a dot."""
        width, height = size_of(record)
        root = ElementTree.Element("annotation")
        ElementTree.SubElement(root, "filename").text = Path(record.name).name
        size = ElementTree.SubElement(root, "size")
        for key, value in (("width", width), ("height", height), ("depth", 3)):
            ElementTree.SubElement(size, key).text = str(value)
        for x, y, name in positions(record):
            item = ElementTree.SubElement(root, "object")
            ElementTree.SubElement(item, "name").text = name
            box, point = ElementTree.SubElement(item, "bndbox"), ElementTree.SubElement(item, "point")
            column, row = math.floor(x) + 1, math.floor(y) + 1
            for key, pixel in (("xmin", column), ("ymin", row), ("xmax", column), ("ymax", row)):
                ElementTree.SubElement(box, key).text = str(pixel)
            ElementTree.SubElement(point, "x").text = repr(x)
            ElementTree.SubElement(point, "y").text = repr(y)
        write_xml(path, root)


def _centre(item: ElementTree.Element, path: Path) -> tuple[float, float]:
    def values(element: ElementTree.Element, names: str) -> list[float]:
        return [number(element.findtext(n), path, f"{n} of an object") for n in names.split()]

    point, box, turned = item.find("point"), item.find("bndbox"), item.find("robndbox")
    if point is not None:
        x, y = values(point, "x y")
        return x, y
    if box is not None:
        x, y = corners_centre(values(box, "xmin ymin xmax ymax"), path, "an object")
        return x - 0.5, y - 0.5
    if turned is not None:
        x, y = values(turned, "cx cy")
        return x, y
    held = ", ".join(child.tag for child in item)[:80] or "nothing"
    raise AnnotationError(f"annotation {path}: bndbox of an object is missing (it has {held}); export boxes")
