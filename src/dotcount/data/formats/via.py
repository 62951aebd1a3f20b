"""VGG Image Annotator (https://www.robots.ox.ac.uk/~vgg/software/via/): what versions 1, 2 and 3 save and export.

Versions 1 and 2: JSON with an entry for each image with ``filename`` and ``regions``, a list or (version 1) a mapping;
the whole project of version 2; csv with a row for each region. Region shapes ``point``, ``circle`` and ``ellipse`` give
(cx, cy), ``rect``, ``polygon`` and ``polyline`` their centres. The class is the region attribute ``class``, ``label``,
``name`` or ``type``, else the first. Version 3: the project, in which ``metadata`` holds the shapes of views on files.

Coordinates are positions on the image as the browser shows it. Every image listed was looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from dotcount.data.formats.base import FORMATS, Listed, Rows, Table, head, read_rows
from dotcount.data.formats.outlines import Outline, corners_of, dots_and_outlines
from dotcount.data.formats.structured import (
    box_centre,
    deferred,
    demand,
    identity,
    line_centre,
    load_json,
    number,
    pairs,
    parse_json,
    peek_json,
    polygon_centre,
    positions,
    size_of,
    write_json,
)
from dotcount.data.layout import Dots
from dotcount.data.records import Record
from dotcount.errors import AnnotationError

_CLASS_KEYS = ("class", "label", "name", "type")


_CSV_COLUMNS = ("filename", "region_count", "region_shape_attributes", "region_attributes")


@FORMATS.register("via")
class Via(Table):
    """VGG Image Annotator regions."""

    name = "via"
    title = "VGG Image Annotator"
    suffixes = (".json", ".csv")
    filename = "via.json"

    def recognises(self, path: Path) -> bool:
        """Return whether the file is a project, or entries with file name and regions, as JSON or csv."""
        if path.suffix.lower() == ".csv":
            first = next(iter(head(path).splitlines()), "").lower()
            return all(column in first for column in _CSV_COLUMNS)
        content = peek_json(path)
        if not isinstance(content, dict):
            return False
        if "_via_img_metadata" in content or _is_version_3(content):
            return True
        return any(isinstance(e, dict) and "filename" in e and "regions" in e for e in content.values())

    def read(self, path: Path) -> Rows:
        """Return the dots by file name."""
        if path.suffix.lower() == ".csv":
            entries = _of_csv(path)
        else:
            content = demand(load_json(path), dict, path, "the top level")
            if _is_version_3(content):
                return _of_version_3(content, path)
            entries = demand(content.get("_via_img_metadata", content), dict, path, "_via_img_metadata")
        listed: list[tuple[str, Listed]] = []
        for entry in entries.values():
            name = demand(demand(entry, dict, path, "an image").get("filename"), str, path, "filename")
            regions = entry.get("regions")
            regions = list(regions.values()) if isinstance(regions, dict) else regions
            regions = demand(regions, list, path, f"regions of {name}")
            listed.append((name, Listed(deferred(partial(_dots, regions, path, name)))))
        return listed

    def write(self, path: Path, records: Sequence[Record]) -> None:
        """Write annotations as VIA exports them, one point region a dot."""
        content = {}
        for record in records:
            size_of(record)
            size = record.image.stat().st_size if record.image.exists() else -1
            regions = [
                {"shape_attributes": {"name": "point", "cx": x, "cy": y}, "region_attributes": {"class": name}}
                for x, y, name in positions(record)
            ]
            entry = {"filename": record.name, "size": size, "regions": regions, "file_attributes": {}}
            content[f"{record.name}{size}"] = entry
        write_json(path, content)


def _dots(regions: Sequence[Any], path: Path, image: str) -> Dots:
    xy, classes, outlines = [], [], []
    for region in regions:
        shape = demand(region, dict, path, f"a region of {image}").get("shape_attributes")
        xy.append(_centre(demand(shape, dict, path, f"shape_attributes of a region of {image}"), path, image))
        classes.append(_class(region.get("region_attributes")))
        outlines.append(_outline(shape))
    return dots_and_outlines(xy, classes, outlines)


def _outline(shape: Mapping[str, Any]) -> Outline | None:
    """Return the outline of a shape whose centre has been read."""
    if shape["name"] == "point":
        return None
    if shape["name"] == "rect":
        x, y, width, height = (float(shape[k]) for k in ("x", "y", "width", "height"))
        return corners_of(x, y, x + width, y + height)
    polygon = shape["name"] == "polygon"
    return [(float(x), float(y)) for x, y in zip(shape["all_points_x"], shape["all_points_y"])] if polygon else ()


def _class(attributes: Any) -> str:
    if not isinstance(attributes, dict) or not attributes:
        return ""
    value = next((attributes[k] for k in _CLASS_KEYS if k in attributes), next(iter(attributes.values())))
    if isinstance(value, dict):  # a checkbox: the options that are ticked
        value = next((option for option, ticked in value.items() if ticked), "")
    return str(value)


def _centre(shape: Mapping[str, Any], path: Path, image: str) -> tuple[float, float]:
    kind = shape.get("name")
    if kind in ("point", "circle", "ellipse"):
        x, y = (number(shape.get(k), path, f"{k} of a {kind} of {image}") for k in ("cx", "cy"))
        return x, y
    if kind == "rect":
        values = [number(shape.get(k), path, f"{k} of {image}") for k in ("x", "y", "width", "height")]
        return _box_centre(values, path, image)
    if kind in ("polygon", "polyline"):
        xs = demand(shape.get("all_points_x"), list, path, f"all_points_x of {image}")
        ys = demand(shape.get("all_points_y"), list, path, f"all_points_y of {image}")
        if xs and len(xs) == len(ys):
            xy = pairs([[x, y] for x, y in zip(xs, ys)], path, f"a {kind} of {image}")
            return polygon_centre(xy) if kind == "polygon" else line_centre(xy)
    raise AnnotationError(
        f"annotation {path}: region shape {str(kind)[:40]!r} of {image} is unknown or empty; export it again"
    )


def _box_centre(values: Sequence[float], path: Path, image: str) -> tuple[float, float]:
    if not any(values):
        raise AnnotationError(f"annotation {path}: a rect of {image} is 0, 0, 0, 0, which is no place; remove it")
    return box_centre(*values)


def _of_csv(path: Path) -> dict[str, dict[str, Any]]:
    """Return the entries of an exported csv, in the shape of the JSON: one row a region, one for an image without."""
    entries: dict[str, dict[str, Any]] = {}
    wanted: dict[str, float] = {}
    for line, row in enumerate(read_rows(path), start=2):
        cells = {(key or "").strip().lstrip("#"): value for key, value in row.items()}
        name, what = cells.get("filename") or "", f"annotation {path}, line {line}"
        if not name:
            raise AnnotationError(f"{what} names no file; export it again")
        key = f"{name}{cells.get('file_size', '')}"
        entry = entries.setdefault(key, {"filename": name, "regions": []})
        wanted[key] = number(cells.get("region_count"), path, f"region_count in line {line}")
        if wanted[key]:
            shape, attributes = (
                parse_json(cells.get(k) or "{}", f"{what}: {k}")
                for k in ("region_shape_attributes", "region_attributes")
            )
            entry["regions"].append({"shape_attributes": shape, "region_attributes": attributes})
    for key, entry in entries.items():
        if len(entry["regions"]) != wanted[key]:
            raise AnnotationError(
                f"annotation {path} has {len(entry['regions'])} regions of {entry['filename']} and states "
                f"{wanted[key]:g}; export it again"
            )
    return entries


def _is_version_3(content: Mapping[str, Any]) -> bool:
    return all(isinstance(content.get(key), dict) for key in ("project", "file", "view", "metadata"))


def _of_version_3(content: Mapping[str, Any], path: Path) -> Rows:
    """Return the dots of a project of version 3: metadata belong to a view, a view shows a file."""
    files = {key: demand(f, dict, path, "a file") for key, f in content["file"].items()}
    shown: dict[str, list[str]] = {}
    for key, view in content["view"].items():
        fids = demand(demand(view, dict, path, "a view").get("fid_list"), list, path, "fid_list of a view")
        shown[key] = [identity(fid, path, "a file of a view") for fid in fids]
    regions: dict[str, list[Mapping[str, Any]]] = {key: [] for key in files}
    for entry in content["metadata"].values():
        if not demand(entry, dict, path, "a metadatum").get("xy"):  # of the whole file
            continue
        fids = shown.get(identity(entry.get("vid"), path, "vid of a metadatum"), [])
        if len(fids) != 1 or fids[0] not in regions:
            raise AnnotationError(
                f"annotation {path}: a region belongs to {len(fids)} files, not to one; export it again"
            )
        regions[fids[0]].append(entry)
    options = _options(content.get("attribute"))
    return [
        (
            name := demand(file.get("fname"), str, path, "fname of a file"),
            Listed(deferred(partial(_dots_3, regions[key], options, path, name))),
        )
        for key, file in files.items()
    ]


def _options(attributes: Any) -> dict[str, Mapping[str, Any]]:
    """Return the names of the options of each attribute; empty for one that is free text."""
    rows = attributes.items() if isinstance(attributes, dict) else ()
    named = {k: a for k, a in rows if isinstance(a, dict)}
    order = sorted(named, key=lambda k: _CLASS_KEYS.index(n) if (n := named[k].get("aname")) in _CLASS_KEYS else 9)
    return {k: o if isinstance(o := named[k].get("options"), dict) else {} for k in order}


def _dots_3(regions: Sequence[Mapping[str, Any]], options: Mapping[str, Any], path: Path, image: str) -> Dots:
    xy, classes, outlines = [], [], []
    for region in regions:
        if region.get("z"):
            raise AnnotationError(
                f"annotation {path}: a region of {image} has a time, as in a video; export its frames"
            )
        code, *values = (
            number(v, path, f"xy of a region of {image}") for v in demand(region["xy"], list, path, f"xy of {image}")
        )
        xy.append(_centre_3(code, values, path, image))
        outlines.append(_outline_3(code, values))
        given = demand(region.get("av") or {}, dict, path, f"av of a region of {image}")
        key = next((k for k in options if k in given), None)
        value = str(given[key]) if key is not None else ""
        classes.append(str(options[key].get(value, value)) if key is not None else "")
    return dots_and_outlines(xy, classes, outlines)


def _outline_3(code: float, values: Sequence[float]) -> Outline | None:
    if code == 1:
        return None
    if code == 2:
        x, y, width, height = values
        return corners_of(x, y, x + width, y + height)
    return list(zip(values[::2], values[1::2])) if code == 7 else ()


def _centre_3(code: float, values: Sequence[float], path: Path, image: str) -> tuple[float, float]:
    """Return the centre of a shape: 1 point, 2 rectangle, 3 circle, 4 ellipse, 5 line, 6 polyline, 7 polygon."""
    sizes = {1.0: 2, 2.0: 4, 3.0: 3, 4.0: 4, 5.0: 4}
    if len(values) == sizes.get(code):
        x, y = values[:2]
        if code == 2:
            return _box_centre(values, path, image)
        return (x, y) if code != 5 else line_centre([values[:2], values[2:]])
    if code in (6, 7) and len(values) >= 4 and len(values) % 2 == 0:
        return (line_centre if code == 6 else polygon_centre)(list(zip(values[::2], values[1::2])))
    raise AnnotationError(
        f"annotation {path}: a region of {image} of shape {code:g} with {len(values)} numbers gives no dot; "
        "draw a point for each object"
    )
