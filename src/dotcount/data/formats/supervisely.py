"""Annotations of Supervisely (https://docs.supervisely.com/data-organization/import-export/supervisely-format).

``ann/a.jpg.json`` for ``img/a.jpg``: ``objects`` with a ``geometryType`` and ``points.exterior``, px from the upper
left corner. Points are dots; rectangles, polygons and lines give their centre, bitmaps the middle of the picture that
they hold. Figures of key points (graphs) are refused.
"""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dotcount.data.formats.base import FORMATS, Sidecar, require_size
from dotcount.data.formats.outlines import Outline, corners_of, dots_and_outlines
from dotcount.data.formats.structured import demand, load_json, number, pairs, peek_json, polygon_centre, stated_size
from dotcount.data.images import open_raster
from dotcount.data.layout import Dots
from dotcount.errors import AnnotationError

_MOST_BYTES = 1 << 26  # of an unpacked bitmap


@FORMATS.register("supervisely")
class Supervisely(Sidecar):
    """Supervisely JSON."""

    name = "supervisely"
    title = "Supervisely JSON"
    suffixes = (".json",)
    writable = False

    def recognises(self, path: Path) -> bool:
        """Return whether the file states a size and objects of Supervisely's geometry."""
        content = peek_json(path)
        if not isinstance(content, dict) or not isinstance(content.get("objects"), list):
            return False
        alike = all(isinstance(o, dict) and "geometryType" in o for o in content["objects"])
        return isinstance(content.get("size"), dict) and alike

    def read(self, path: Path, width: int, height: int, /) -> Dots:
        """Return the dots of one image."""
        content = demand(load_json(path), dict, path, "the top level")
        size = demand(content.get("size"), dict, path, "size")
        require_size(path, stated_size(size.get("width"), size.get("height")), (width, height))
        xy: list[tuple[float, float]] = []
        outlines: list[Outline | None] = []
        labels = []
        for item in demand(content.get("objects"), list, path, "objects"):
            place, outline = _placed(demand(item, dict, path, "an object"), path)
            xy.append(place)
            outlines.append(outline)
            labels.append(str(item.get("classTitle") or ""))
        return dots_and_outlines(xy, labels, outlines)


def _placed(item: Mapping[str, Any], path: Path) -> tuple[tuple[float, float], Outline | None]:
    kind = item.get("geometryType")
    if kind == "bitmap":
        return _of_bitmap(demand(item.get("bitmap"), dict, path, "bitmap"), path), ()
    corners = demand(item.get("points"), dict, path, f"points of a {str(kind)[:20]}").get("exterior")
    if kind not in ("point", "rectangle", "polygon", "line", "polyline"):
        raise AnnotationError(f"annotation {path} has an object of the type {str(kind)[:20]!r}; export points or boxes")
    xy = pairs(corners, path, f"exterior of a {kind}")
    if kind == "point":
        return xy[0], None
    if kind == "rectangle":
        (x0, y0), (x1, y1) = xy[0], xy[-1]
        return ((x0 + x1) / 2, (y0 + y1) / 2), corners_of(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
    return polygon_centre(xy), xy if kind == "polygon" else ()


def _of_bitmap(bitmap: Mapping[str, Any], path: Path) -> tuple[float, float]:
    """Return the centre of mass of a packed picture, which lies at an origin."""
    origin = demand(bitmap.get("origin"), list, path, "origin of a bitmap")
    ((x, y),) = pairs([origin], path, "origin of a bitmap")
    try:
        packed = base64.b64decode(demand(bitmap.get("data"), str, path, "data of a bitmap"), validate=True)
        unpacked = zlib.decompressobj().decompress(packed, _MOST_BYTES)
        with open_raster(io.BytesIO(unpacked)) as picture:
            rows, columns = np.nonzero(
                np.asarray(picture.convert("RGBA").getchannel("A" if "A" in picture.mode else 0))
            )
    except AnnotationError:
        raise
    except Exception as error:  # zlib and decoders on damaged data
        raise AnnotationError(f"annotation {path} has a bitmap that can't be read ({error}); export it") from error
    if not len(rows):
        raise AnnotationError(f"annotation {path} has an empty bitmap, which is no object; remove it")
    return number(x + columns.mean() + 0.5, path, "x"), number(y + rows.mean() + 0.5, path, "y")
