"""CVAT for images 1.1 XML (https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/).

``annotations/image[@name]`` with ``points`` (every point of a shape is a dot), ``box``, ``ellipse`` and ``polygon``
(their centres). Coordinates are positions from the image's corner, written to two decimals by CVAT. Every image listed
was looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

from dotcount.data.formats.base import FORMATS, Listed, Rows, Table, head
from dotcount.data.formats.structured import (
    demand,
    dots_of,
    load_xml,
    number,
    polygon_centre,
    positions,
    size_of,
    write_xml,
)
from dotcount.data.layout import fixed
from dotcount.data.records import Record
from dotcount.errors import AnnotationError


@FORMATS.register("cvat")
class Cvat(Table):
    """CVAT for images."""

    name = "cvat"
    title = "CVAT for images XML"
    suffixes = (".xml",)
    filename = "annotations.xml"

    def recognises(self, path: Path) -> bool:
        """Return whether the root element is ``annotations``, as CVAT writes it."""
        return "<annotations>" in head(path)

    def read(self, path: Path) -> Rows:
        """Return the dots by image name."""
        root = load_xml(path)
        if root.find("track") is not None:
            raise AnnotationError(f"annotation {path} is CVAT for video (tracks); export it as CVAT for images 1.1")
        listed: list[tuple[str, Listed]] = []
        for image in root.iter("image"):
            name = demand(image.get("name"), str, path, "name of an image")
            xy, classes = [], []
            for shape in image:
                for centre in _centres(shape, path):
                    xy.append(centre)
                    classes.append(shape.get("label", ""))
            dots = dots_of(xy, classes)
            listed.append((name, Listed(fixed(dots), image.get("subset"))))
        return listed

    def write(self, path: Path, records: Sequence[Record]) -> None:
        """Write one ``points`` element a dot."""
        root = ElementTree.Element("annotations")
        ElementTree.SubElement(root, "version").text = "1.1"
        for number_, record in enumerate(records):
            width, height = size_of(record)
            attributes = {"id": str(number_), "name": record.name, "width": str(width), "height": str(height)}
            image = ElementTree.SubElement(root, "image", attributes)
            for x, y, name in positions(record):
                place = {"label": name, "source": "manual", "occluded": "0", "points": f"{x!r},{y!r}", "z_order": "0"}
                ElementTree.SubElement(image, "points", place)
        write_xml(path, root)


def _centres(shape: ElementTree.Element, path: Path) -> Iterator[tuple[float, float]]:
    if shape.tag in ("points", "polygon", "polyline"):
        pairs = [pair.split(",") for pair in shape.get("points", "").split(";") if pair]
        if any(len(pair) != 2 for pair in pairs) or not pairs:
            raise AnnotationError(f"annotation {path}: points {shape.get('points', '')[:40]!r} are not x,y;x,y")
        xy = [(number(x, path, "a point"), number(y, path, "a point")) for x, y in pairs]
        yield from xy if shape.tag == "points" else [polygon_centre(xy)]
    elif shape.tag == "box":
        left, top, right, bottom = (number(shape.get(k), path, k) for k in ("xtl", "ytl", "xbr", "ybr"))
        yield (left + right) / 2, (top + bottom) / 2
    elif shape.tag == "ellipse":
        yield number(shape.get("cx"), path, "cx"), number(shape.get("cy"), path, "cy")
