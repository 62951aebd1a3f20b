"""CVAT for images 1.1 XML (https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/).

``annotations/image[@name]`` with ``points`` (every point of a shape is a dot), ``box``, ``ellipse``, ``polygon``,
``polyline``, ``mask`` and ``cuboid`` (their centres) and ``skeleton`` (one object, at the mean of its points that are
not ``outside``). Any other shape that is marked ``outside`` is left out (reported). Coordinates are positions from the
image's corner, written to two decimals by CVAT. Every image listed was looked at. Tags are of the whole image; any
other shape is an error.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

from dotcount.data.formats.base import FORMATS, Listed, Rows, Table, head
from dotcount.data.formats.boxes import corners_centre
from dotcount.data.formats.outlines import Outline, corners_of, dots_and_outlines
from dotcount.data.formats.structured import (
    deferred,
    demand,
    line_centre,
    load_xml,
    number,
    polygon_centre,
    positions,
    size_of,
    stated_size,
    write_xml,
)
from dotcount.data.layout import Dots, split_named
from dotcount.data.records import Record
from dotcount.errors import AnnotationError

_PLACES = {"points", "xtl", "cx", "rle", "left", "xtl1"}


@FORMATS.register("cvat")
class Cvat(Table):
    """CVAT for images."""

    name = "cvat"
    title = "CVAT for images XML"
    suffixes = (".xml",)
    filename = "annotations.xml"

    def recognises(self, path: Path) -> bool:
        """Return whether the root element is ``annotations``, as CVAT writes it."""
        start = head(path)
        return re.search(r"<annotations[\s>/]", start) is not None and "<ndpviewstate" not in start

    def read(self, path: Path) -> Rows:
        """Return the dots by image name."""
        root = load_xml(path)
        if root.find("track") is not None:
            raise AnnotationError(f"annotation {path} is CVAT for video (tracks); export it as CVAT for images 1.1")
        listed: list[tuple[str, Listed]] = []
        for image in root.iter("image"):
            name = demand(image.get("name"), str, path, "name of an image")
            size = stated_size(image.get("width"), image.get("height"))
            read = deferred(partial(_dots, image, path, name))
            listed.append((name, Listed(read, _split(image.get("subset")), size=size)))
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


def _split(subset: str | None) -> str | None:
    """Return the split that a subset of a project is; images outside all subsets are in one called ``default``."""
    if subset is None or subset.strip().lower() in ("", "default"):
        return None
    return split_named(subset) or subset


def _dots(image: ElementTree.Element, path: Path, name: str) -> Dots:
    xy, classes, outlines = [], [], []
    outside = 0
    for shape in image:
        if shape.tag == "tag" and not _PLACES & set(shape.attrib):  # of the whole image
            continue
        if shape.get("outside") == "1":
            outside += 1
            continue
        for centre in _centres(shape, path, f"{shape.tag} of image {name}"):
            xy.append(centre)
            classes.append(shape.get("label", ""))
            outlines.append(_outline(shape, path))
    dots = dots_and_outlines(xy, classes, outlines)
    more = (f"{outside} shapes marked outside",) if outside else ()
    return Dots(dots.xy, dots.classes, dots.left_out + more)


def _outline(shape: ElementTree.Element, path: Path) -> Outline | None:
    if shape.tag == "points":
        return None
    if shape.tag == "box":
        return corners_of(*(number(shape.get(n), path, f"{n} of a box") for n in ("xtl", "ytl", "xbr", "ybr")))
    return _pairs(shape, path, "a polygon") if shape.tag == "polygon" else ()


def _centres(shape: ElementTree.Element, path: Path, what: str) -> Sequence[tuple[float, float]]:
    def values(names: str) -> list[float]:
        return [number(shape.get(n), path, f"{n} of a {what}") for n in names.split()]

    match shape.tag:
        case "points":
            return _pairs(shape, path, what)
        case "polygon":
            return [polygon_centre(_pairs(shape, path, what))]
        case "polyline":
            return [line_centre(_pairs(shape, path, what))]
        case "box":
            return [corners_centre(values("xtl ytl xbr ybr"), path, f"a {what}")]
        case "ellipse":
            cx, cy = values("cx cy")
            return [(cx, cy)]
        case "cuboid":
            corners = values("xtl1 ytl1 xbl1 ybl1 xtr1 ytr1 xbr1 ybr1 xtl2 ytl2 xbl2 ybl2 xtr2 ytr2 xbr2 ybr2")
            return [(sum(corners[::2]) / 8, sum(corners[1::2]) / 8)]
        case "mask":
            return [_mask_centre(shape, values("left top width height"), path, what)]
        case "skeleton":
            inside = [p for p in shape.iter("points") if p.get("outside") != "1"]
            if not inside:
                raise AnnotationError(f"annotation {path}: a {what} has no point inside the image; remove it")
            xy = [point for p in inside for point in _pairs(p, path, what)]
            return [(sum(x for x, _ in xy) / len(xy), sum(y for _, y in xy) / len(xy))]
    raise AnnotationError(f"annotation {path}: a {what} is a shape that gives no dots; draw points or boxes instead")


def _pairs(shape: ElementTree.Element, path: Path, what: str) -> list[tuple[float, float]]:
    text = shape.get("points", "")
    pairs = [pair.split(",") for pair in text.split(";") if pair.strip()]
    if any(len(pair) != 2 for pair in pairs) or not pairs:
        raise AnnotationError(f"annotation {path}: points {text[:40]!r} of a {what} are not x,y;x,y; export it again")
    return [(number(x, path, f"a point of a {what}"), number(y, path, f"a point of a {what}")) for x, y in pairs]


def _mask_centre(shape: ElementTree.Element, box: Sequence[float], path: Path, what: str) -> tuple[float, float]:
    """Return the centre of mass of a mask: run lengths of 0 and 1 in turn, row by row within a box."""
    left, top, width, height = box
    runs = [number(n, path, f"rle of a {what}") for n in shape.get("rle", "").split(",")]
    if min(width, height) < 1 or min(runs) < 0 or sum(runs) != width * height:
        raise AnnotationError(f"annotation {path}: rle of a {what} is not that of {width:g} x {height:g} px")
    ends = [0, *itertools.accumulate(map(int, runs))]
    area = rows = places = 0
    for start, end in zip(ends[1:-1:2], ends[2::2]):
        area += end - start
        places += (end * (end - 1) - start * (start - 1)) // 2
        rows += _rows_before(end, int(width)) - _rows_before(start, int(width))
    if not area:
        raise AnnotationError(f"annotation {path}: a {what} marks no pixel; remove it")
    return left + (places - rows * int(width)) / area + 0.5, top + rows / area + 0.5


def _rows_before(end: int, width: int) -> int:
    """Return the sum of the rows of the first ``end`` places of a raster: that of ``k // width`` for ``k < end``."""
    rows, rest = divmod(end, width)
    return width * rows * (rows - 1) // 2 + rest * rows
