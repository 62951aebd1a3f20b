"""COCO JSON (https://cocodataset.org/#format-data): keypoints, boxes or polygons.

``images``, ``annotations`` and ``categories``. An annotation with placed keypoints (visibility over 0) gives its first
placed keypoint; one with a box (x, y, width, height from the image's corner) gives the centre of the box; one with
polygons only the centre of the box around them. COCO's keypoints are stored as pixel indices from 0 by its own tools,
and as positions by most others; they are taken as positions. Every image listed was looked at.

A crowd region (``iscrowd``) stands for no single object: it is left out (reported), and an image that has nothing
else is an error. Two exporters write single objects so: where every annotation of a file is marked as a crowd, and
where one has the ``occluded`` attribute of CVAT (which marks what was painted with its brush), it is an object.
Annotations marked ``ignore`` and exact repeats of an annotation (the same id, too) are left out (reported).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dotcount.data.formats.base import FORMATS, Listed, Rows, Table
from dotcount.data.formats.boxes import areas_of_corners, written_as_corners
from dotcount.data.formats.structured import (
    box_around,
    box_centre,
    class_ids,
    deferred,
    demand,
    dots_of,
    identity,
    load_json,
    number,
    peek_json,
    positions,
    size_of,
    stated_size,
    write_json,
)
from dotcount.data.layout import Dots
from dotcount.data.records import Record
from dotcount.errors import AnnotationError


@FORMATS.register("coco")
class Coco(Table):
    """COCO keypoints or boxes."""

    name = "coco"
    title = "COCO JSON"
    suffixes = (".json",)
    filename = "annotations.json"

    def recognises(self, path: Path) -> bool:
        """Return whether the file has lists of images and annotations."""
        content = peek_json(path)
        return isinstance(content, dict) and isinstance(content.get("images"), list) and "annotations" in content

    def objection(self, path: Path) -> str | None:
        """Return that it is a list of results, which has no names of images."""
        content = peek_json(path)
        first = content[0] if isinstance(content, list) and content else None
        if isinstance(first, dict) and "image_id" in first and {"bbox", "keypoints", "segmentation"} & set(first):
            return "it is a list of COCO results, without the names of images; give the whole file, with its images"
        if isinstance(content, dict) and isinstance(content.get("images"), list) and "annotations" not in content:
            entry = content["images"][0] if content["images"] else None
            if isinstance(entry, dict) and "file_name" in entry:
                return "it lists images without annotations; give the file that has both"
        return None

    def read(self, path: Path) -> Rows:
        """Return the dots by ``file_name``."""
        content = demand(load_json(path), dict, path, "the top level")
        images = [demand(i, dict, path, "an image") for i in demand(content.get("images"), list, path, "images")]
        annotations = content.get("annotations")
        if isinstance(annotations, dict):  # by their ids, as LIVECell has them
            annotations = list(annotations.values())
        annotations = demand(annotations, list, path, "annotations")
        categories = _names(content.get("categories"), path)
        keypoints = _keypoints(content.get("categories"))
        grouped: dict[str, list[Mapping[str, Any]]] = {}
        for annotation in annotations:
            owner = demand(annotation, dict, path, "an annotation").get("image_id")
            grouped.setdefault(identity(owner, path, "image_id of an annotation"), []).append(annotation)
        _require_sides(images, annotations, path)
        regions = not all(a.get("iscrowd") for a in annotations)
        listed: list[tuple[str, Listed]] = []
        for key, image in _unique(images, path).items():
            name = demand(image.get("file_name") or image.get("coco_url"), str, path, "file_name")
            own = grouped.pop(key, [])
            read = deferred(partial(_dots, own, (categories, keypoints), regions, path, name))
            listed.append((name, Listed(read, size=stated_size(image.get("width"), image.get("height")))))
        if grouped:
            number_of = sum(map(len, grouped.values()))
            raise AnnotationError(
                f"annotation {path}: {number_of} annotations have an image_id that no image has, "
                f"such as {min(grouped)[:40]}; restore these images in the file, or remove the annotations"
            )
        return listed

    def write(self, path: Path, records: Sequence[Record]) -> None:
        """Write one annotation a dot: a keypoint, with an empty box at it."""
        ids = class_ids(records)
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for image_id, record in enumerate(records, start=1):
            width, height = size_of(record)
            images.append({"id": image_id, "file_name": record.name, "width": width, "height": height})
            for x, y, name in positions(record):
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": image_id,
                        "category_id": ids[name] + 1,
                        "keypoints": [x, y, 2],
                        "num_keypoints": 1,
                        "bbox": [x, y, 0, 0],
                        "area": 0,
                        "iscrowd": 0,
                    }
                )
        categories = [{"id": k + 1, "name": n, "keypoints": ["dot"], "skeleton": []} for n, k in ids.items()]
        write_json(path, {"images": images, "annotations": annotations, "categories": categories})


def _names(categories: Any, path: Path) -> dict[str, str]:
    """Return the name of each category; a file without any is fine."""
    rows = [demand(c, dict, path, "a category") for c in demand(categories or [], list, path, "categories")]
    return {identity(c.get("id"), path, "id of a category"): str(c.get("name", "")) for c in rows}


def _keypoints(categories: Any) -> dict[str, int]:
    """Return how many keypoints an object of each category has, where the file says it."""
    return {str(c.get("id")): len(c["keypoints"]) for c in categories or [] if isinstance(c.get("keypoints"), list)}


def _require_sides(images: Sequence[Mapping[str, Any]], annotations: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Refuse boxes that are two corners rather than a corner, a width and a height."""
    sizes = {str(i.get("id")): stated_size(i.get("width"), i.get("height")) for i in images}
    boxes, areas, within = [], [], []
    for annotation in annotations:
        box, area = annotation.get("bbox"), annotation.get("area")
        if not isinstance(box, list) or len(box) != 4 or not all(isinstance(v, (int, float)) for v in box):
            continue
        boxes.append([float(v) if abs(v) < 1e9 else 1e9 for v in box])
        known = isinstance(area, (int, float)) and not annotation.get("segmentation") and abs(area) < 1e18
        areas.append(float(area) if known and isinstance(area, (int, float)) else 0.0)
        within.append(sizes.get(str(annotation.get("image_id"))) or (np.inf, np.inf))
    found = np.array(boxes)
    if len(found) and (written_as_corners(found, np.array(within)) or areas_of_corners(found, np.array(areas))):
        raise AnnotationError(
            f"annotation {path}: bbox is x, y, width, height in COCO; here it can only be two corners, as in "
            f"{boxes[0]}; write width and height"
        )


def _unique(images: Sequence[Mapping[str, Any]], path: Path) -> dict[str, Mapping[str, Any]]:
    """Return the images by id; an entry that stands there again, equal, counts once."""
    found: dict[str, Mapping[str, Any]] = {}
    for image in images:
        key = identity(image.get("id"), path, "id of an image")
        first = found.setdefault(key, image)
        if first.get("file_name") != image.get("file_name"):
            names = f"{first.get('file_name')!s:.60} and {image.get('file_name')!s:.60}"
            raise AnnotationError(f"annotation {path}: images {names} share the id {key[:40]}; number them apart")
    return found


def _dots(
    annotations: Sequence[Mapping[str, Any]],
    kinds: tuple[Mapping[str, str], Mapping[str, int]],
    regions: bool,
    path: Path,
    image: str,
) -> Dots:
    """Return the dots of one image.

    ``kinds``: name and number of keypoints of each category; ``regions``: crowd regions stand for no single object.
    """
    categories, keypoints = kinds
    xy, classes = [], []
    crowds = unplaced = ignored = 0
    once = _without_repeats(annotations)
    for annotation in once:
        if annotation.get("iscrowd") and regions and not _painted(annotation):
            crowds += 1
            continue
        if annotation.get("ignore"):
            ignored += 1
            continue
        _require_one_object(annotation, keypoints, path, image)
        found = _place(annotation, path, f"an annotation of image {image}")
        if found is None:
            unplaced += 1
            continue
        xy.append(found)
        classes.append(_class(annotation.get("category_id"), categories, path, image))
    if crowds and not xy:
        raise AnnotationError(
            f"annotation {path}: image {image} has only crowd regions (iscrowd 1), which stand for no single object; "
            "annotate its objects, set iscrowd to 0, or leave the image out"
        )
    left_out = [f"{crowds} crowd regions (iscrowd 1)"] if crowds else []
    left_out += [f"{unplaced} annotations of which no keypoint was placed"] if unplaced else []
    left_out += [f"{ignored} annotations marked ignore"] if ignored else []
    repeats = len(annotations) - len(once)
    left_out += [f"{repeats} exact repeats of an annotation"] if repeats else []
    dots = dots_of(xy, classes)
    return Dots(dots.xy, dots.classes, tuple(left_out))


def _require_one_object(annotation: Mapping[str, Any], keypoints: Mapping[str, int], path: Path, image: str) -> None:
    """Refuse several placed keypoints of a category whose objects have not so many: each may be an object."""
    values = annotation.get("keypoints")
    number_of = len(values) // 3 if isinstance(values, list) else 0
    stated = keypoints.get(str(annotation.get("category_id")))
    if (
        number_of > 1
        and stated is not None
        and stated != number_of
        and sum(map(bool, values[2::3] if values else ())) > 1
    ):
        raise AnnotationError(
            f"annotation {path}: an annotation of image {image} has {number_of} keypoints, its category {stated}; "
            "they may be so many objects or one: write an annotation for each object, or name the keypoints"
        )


def _class(category: Any, categories: Mapping[str, str], path: Path, image: str) -> str:
    """Return the name of a category; a file without any categories leaves it open."""
    if category is None:
        return ""
    key = identity(category, path, "category_id")
    if categories and key not in categories:
        raise AnnotationError(
            f"annotation {path}: an annotation of image {image} has the category_id {key[:40]}, which no category has; "
            "restore the category in the file, or correct the id"
        )
    return categories.get(key, "")


def _without_repeats(annotations: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the annotations; one that stands there again, with the same id and content, counts once."""
    with_id = Counter(repr(a["id"]) for a in annotations if a.get("id") is not None)
    kept: list[Mapping[str, Any]] = []
    seen: set[str] = set()
    for annotation in annotations:
        if with_id[repr(annotation.get("id"))] > 1:
            content = repr(sorted(annotation.items()))
            if content in seen:
                continue
            seen.add(content)
        kept.append(annotation)
    return kept


def _painted(annotation: Mapping[str, Any]) -> bool:
    attributes = annotation.get("attributes")
    return isinstance(attributes, dict) and "occluded" in attributes


def _place(annotation: Mapping[str, Any], path: Path, what: str) -> tuple[float, float] | None:
    """Return the position of an annotation; ``None`` where it says itself that nothing was placed."""
    keypoints, box, parts = (annotation.get(k) for k in ("keypoints", "bbox", "segmentation"))
    if keypoints:
        placed = _keypoint(demand(keypoints, list, path, f"keypoints of {what}"), path, what)
        if placed is not None:
            return placed
    if box:
        values = [number(v, path, f"bbox of {what}") for v in demand(box, list, path, f"bbox of {what}")]
        if len(values) != 4 or values[2] < 0 or values[3] < 0:
            raise AnnotationError(f"annotation {path}: bbox of {what} is not x, y, width, height; export it again")
        if any(values):  # a box of zeros stands for none
            return box_centre(*values)
        if not (keypoints or parts):
            raise AnnotationError(f"annotation {path}: bbox of {what} is 0, 0, 0, 0, which is no place; remove it")
    if parts and isinstance(parts, list):
        rings = [p if isinstance(p, list) else None for p in parts]
        if any(not ring or len(ring) % 2 or len(ring) < 6 for ring in rings):
            raise AnnotationError(f"annotation {path}: a polygon of {what} is not x1, y1, x2, y2, ...; export it again")
        values = [number(v, path, f"a polygon of {what}") for ring in rings for v in ring or ()]
        return box_around(list(zip(values[::2], values[1::2])))
    if keypoints:
        return None
    if parts:
        raise AnnotationError(f"annotation {path}: {what} is a run-length mask without bbox; export it with boxes")
    held = "segments_info (panoptic COCO)" if "segments_info" in annotation else ", ".join(map(str, annotation))[:80]
    raise AnnotationError(
        f"annotation {path}: {what} has neither keypoints nor bbox nor polygon (it has {held or 'nothing'}); "
        "export keypoints or instances"
    )


def _keypoint(values: Sequence[Any], path: Path, what: str) -> tuple[float, float] | None:
    triples = [number(v, path, f"a keypoint of {what}") for v in values]
    if len(triples) % 3 or any(not 0 <= v <= 2 for v in triples[2::3]):
        raise AnnotationError(
            f"annotation {path}: keypoints of {what} are not x, y, visibility (0, 1 or 2), ...; export them again"
        )
    return next(((triples[k], triples[k + 1]) for k in range(0, len(triples), 3) if triples[k + 2] > 0), None)
