"""Pascal VOC XML (http://host.robots.ox.ac.uk/pascal/VOC/): one file for each image, boxes.

VOC numbers pixels from 1 and its boxes include both end pixels, so a box covers ``[xmin - 1, xmax)`` and its centre is
``(xmin - 1 + xmax) / 2``. A dot has no extent: it is written as the box that is the dot's pixel, which keeps its
position to half a pixel; the exact position goes along in ``<point><x><y>``, as VOC's own person-layout files write
points, and is preferred when read back.
"""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree

from dotcount.data.formats.base import FORMATS, Sidecar, head
from dotcount.data.formats.structured import demand, dots_of, load_xml, number, positions, size_of, write_xml
from dotcount.data.layout import Dots
from dotcount.data.records import Record


@FORMATS.register("voc")
class Voc(Sidecar):
    """Pascal VOC boxes."""

    name = "voc"
    title = "Pascal VOC XML"
    suffixes = (".xml",)

    def recognises(self, path: Path) -> bool:
        """Return whether the root element is ``annotation``."""
        return "<annotation>" in head(path) or "<annotation " in head(path)

    def read(self, path: Path, _width: int, _height: int, /) -> Dots:
        """Return the centres of the boxes of one image."""
        root = load_xml(path)
        demand(root.tag if root.tag == "annotation" else None, str, path, "the root element annotation")
        xy, classes = [], []
        for item in root.findall("object"):
            point, box = item.find("point"), item.find("bndbox")
            if point is not None:
                x, y = (number(point.findtext(k), path, k) for k in ("x", "y"))
            else:
                demand(box, ElementTree.Element, path, "bndbox of an object")
                assert box is not None
                names = ("xmin", "ymin", "xmax", "ymax")
                left, top, right, bottom = (number(box.findtext(k), path, k) for k in names)
                x, y = (left - 1 + right) / 2, (top - 1 + bottom) / 2
            xy.append((x, y))
            classes.append(item.findtext("name") or "")
        return dots_of(xy, classes)

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
