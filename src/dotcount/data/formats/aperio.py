"""Annotations of Aperio ImageScope, in which MoNuSeg and others are distributed: an XML for each slide or tile.

``Annotation`` layers hold ``Region`` elements with ``Vertex`` corners in px of the image, the origin at its corner. A
region is an object at its centre of mass, an ellipse at the middle of its two corners. Arrows and rulers, negative
regions (holes) and outlines around other objects are no objects: they are left out, and reported.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from dotcount.data.formats.base import FORMATS, Sidecar, head
from dotcount.data.formats.outlines import Shape, find_regions
from dotcount.data.formats.structured import dots_of, load_xml, number, polygon_centre
from dotcount.data.layout import Dots
from dotcount.errors import AnnotationError

_FREEHAND, _RECTANGLE, _ELLIPSE = "0", "1", "2"
_SHAPES = (_FREEHAND, _RECTANGLE, _ELLIPSE)


@FORMATS.register("aperio")
class Aperio(Sidecar):
    """Aperio ImageScope XML."""

    name = "aperio"
    title = "Aperio ImageScope XML"
    suffixes = (".xml",)
    writable = False

    def recognises(self, path: Path) -> bool:
        """Return whether the root element is ``Annotations`` with layers of regions."""
        start = head(path)
        return "<Annotations" in start and "<Annotation " in start and "ASAP" not in start

    def read(self, path: Path, _width: int, _height: int, /) -> Dots:
        """Return the dots of one image."""
        root = load_xml(path)
        if root.tag != "Annotations":
            raise AnnotationError(f"annotation {path} is no Aperio ImageScope XML (its root is {root.tag[:20]})")
        shapes: list[Shape] = []
        left: list[str] = []
        for layer in root.iterfind("Annotation"):
            label = (layer.get("Name") or "").strip()
            for region in layer.iterfind("Regions/Region"):
                kind = (region.get("Type") or _FREEHAND).strip()
                if region.get("NegativeROA", "0").strip() == "1":
                    left.append("negative region")
                elif kind not in _SHAPES:
                    left.append("arrow, ruler or text")
                else:
                    shapes.append(_shape(region, label, path, len(shapes)))
        regions = find_regions(shapes, path)
        left += ["region around objects"] * len(regions)
        kept = [s for s in shapes if s.index not in regions]
        dots = dots_of([c for s in kept for c in s.centres], [s.label for s in kept])
        several = len(set(dots.classes)) > 1
        told = tuple(f"{left.count(what)} x {what}" for what in dict.fromkeys(left))
        return replace(dots, classes=dots.classes if several else (), left_out=told)


def _shape(region: ElementTree.Element, label: str, path: Path, index: int) -> Shape:
    corners = [
        (number(v.get("X"), path, "X of a vertex"), number(v.get("Y"), path, "Y of a vertex"))
        for v in region.iterfind("Vertices/Vertex")
    ]
    if not corners:
        raise AnnotationError(f"annotation {path} has a region without vertices; remove it in ImageScope")
    if len(corners) == 2:  # an ellipse or a box by two of its corners
        (x0, y0), (x1, y1) = corners
        corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    outline = np.array(corners if len(corners) > 2 else (), dtype=np.float64).reshape(-1, 2)
    return Shape([polygon_centre(corners)], outline, label, "", index)
