"""COCO JSON (https://cocodataset.org/#format-data): keypoints or boxes.

``images``, ``annotations`` and ``categories``. An annotation with visible keypoints gives its first visible keypoint;
one with a box (x, y, width, height from the image's corner) gives the centre of the box. COCO's keypoints are stored as
pixel indices from 0 by its own tools, and as positions by most others; they are taken as positions. Crowd regions
(``iscrowd``) stand for no single object and are left out. Every image listed was looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dotcount.data.formats.base import FORMATS, Listed, Rows, Table
from dotcount.data.formats.structured import (
    box_centre,
    class_ids,
    demand,
    dots_of,
    load_json,
    number,
    peek_json,
    positions,
    size_of,
    write_json,
)
from dotcount.data.layout import fixed
from dotcount.data.records import Record


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
        return isinstance(content, dict) and all(isinstance(content.get(k), list) for k in ("images", "annotations"))

    def read(self, path: Path) -> Rows:
        """Return the dots by ``file_name``."""
        content = demand(load_json(path), dict, path, "the top level")
        images = demand(content.get("images"), list, path, "images")
        categories = {
            c.get("id"): str(c.get("name", "")) for c in content.get("categories") or () if isinstance(c, dict)
        }
        grouped: dict[Any, list[tuple[float, float, str]]] = {}
        for annotation in demand(content.get("annotations"), list, path, "annotations"):
            found = _point(demand(annotation, dict, path, "an annotation"), path)
            if found is not None:
                name = categories.get(annotation.get("category_id"), "")
                grouped.setdefault(annotation.get("image_id"), []).append((*found, name))
        listed: list[tuple[str, Listed]] = []
        for image in images:
            name = demand(demand(image, dict, path, "an image").get("file_name"), str, path, "file_name")
            rows = grouped.get(image.get("id"), [])
            dots = dots_of([row[:2] for row in rows], [row[2] for row in rows])
            listed.append((name, Listed(fixed(dots))))
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


def _point(annotation: Mapping[str, Any], path: Path) -> tuple[float, float] | None:
    if annotation.get("iscrowd"):
        return None
    keypoints = annotation.get("keypoints")
    if isinstance(keypoints, list):
        for k in range(0, len(keypoints) - 2, 3):
            if keypoints[k + 2]:
                return number(keypoints[k], path, "a keypoint"), number(keypoints[k + 1], path, "a keypoint")
    box = demand(annotation.get("bbox"), list, path, "bbox")
    values = [number(value, path, "bbox") for value in box]
    if len(values) != 4:
        demand(None, list, path, "bbox with 4 numbers")
    return box_centre(*values)
