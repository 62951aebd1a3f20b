"""Label Studio JSON export (https://labelstud.io/guide/task_format): a list of tasks.

Coordinates are percent of the image, 0 to 100 from its corner: ``x_px = x W / 100``. Results of type
``keypointlabels`` and ``keypoint`` give dots, ``rectanglelabels`` and ``ellipselabels`` and ``polygonlabels`` their
centres. Of several annotations of a task the last that was not cancelled counts; a task without any was not annotated;
predictions are left alone. The size is that of the image file, since exports may lack ``original_width``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlparse

from dotcount.data.formats.base import FORMATS, Listed, Rows, Table
from dotcount.data.formats.structured import (
    NO_CLASS,
    demand,
    dots_of,
    load_json,
    number,
    peek_json,
    polygon_centre,
    positions,
    size_of,
    write_json,
)
from dotcount.data.layout import Dots
from dotcount.data.records import Record


@FORMATS.register("label_studio")
class LabelStudio(Table):
    """Label Studio tasks."""

    name = "label_studio"
    title = "Label Studio JSON"
    suffixes = (".json",)
    filename = "label_studio.json"

    def recognises(self, path: Path) -> bool:
        """Return whether the file is a list of tasks with data and annotations."""
        content = peek_json(path)
        return (
            isinstance(content, list)
            and bool(content)
            and isinstance(content[0], dict)
            and isinstance(content[0].get("data"), dict)
            and ("annotations" in content[0] or "completions" in content[0])
        )

    def read(self, path: Path) -> Rows:
        """Return the dots by image name."""
        listed: list[tuple[str, Listed]] = []
        for task in demand(load_json(path), list, path, "the list of tasks"):
            data = demand(demand(task, dict, path, "a task").get("data"), dict, path, "data of a task")
            done = task.get("annotations", task.get("completions"))
            done = [a for a in demand(done, list, path, "annotations") if isinstance(a, dict) and not _cancelled(a)]
            if done:
                results = demand(done[-1].get("result"), list, path, "result of an annotation")
                listed.append((_image_name(data, path), Listed(partial(_dots, results, path))))
        return listed

    def write(self, path: Path, records: Sequence[Record]) -> None:
        """Write one task an image."""
        tasks = []
        for task_id, record in enumerate(records, start=1):
            width, height = size_of(record)
            results = [
                {
                    "id": f"{task_id}-{k}",
                    "from_name": "label",
                    "to_name": "image",
                    "type": "keypointlabels",
                    "original_width": width,
                    "original_height": height,
                    "image_rotation": 0,
                    "value": {"x": x / width * 100, "y": y / height * 100, "width": 0.5, "keypointlabels": [name]},
                }
                for k, (x, y, name) in enumerate(positions(record))
            ]
            annotations = [{"id": task_id, "result": results, "was_cancelled": False}]
            tasks.append({"id": task_id, "data": {"image": record.name}, "annotations": annotations})
        write_json(path, tasks)


def _cancelled(annotation: Mapping[str, Any]) -> bool:
    return bool(annotation.get("was_cancelled"))


def _image_name(data: Mapping[str, Any], path: Path) -> str:
    """Return the file that a task is about: a path, an upload URL or ``/data/local-files/?d=PATH``."""
    value = next((data[k] for k in ("image", "img", "image_url", "url") if isinstance(data.get(k), str)), None)
    value = value or next((v for v in data.values() if isinstance(v, str)), None)
    text = demand(value, str, path, "the image of a task")
    url = urlparse(text)
    local = parse_qs(url.query).get("d")
    if local:
        return local[0]
    return unquote(url.path) if url.scheme in ("http", "https", "s3", "gs") else text


def _dots(results: Sequence[Any], path: Path, width: int, height: int) -> Dots:
    xy, classes = [], []
    for result in results:
        if not isinstance(result, dict) or not isinstance(result.get("value"), dict):
            continue
        value = result["value"]
        kind = str(result.get("type", "")).removesuffix("labels")
        centre = _centre(value, kind, path, width, height)
        if centre is not None:
            xy.append(centre)
            names = value.get(f"{kind}labels") or [NO_CLASS]
            classes.append(str(names[0]))
    return dots_of(xy, classes)


def _centre(value: Mapping[str, Any], kind: str, path: Path, width: int, height: int) -> tuple[float, float] | None:
    if kind == "polygon":
        points = demand(value.get("points"), list, path, "points of a polygon")
        if any(not isinstance(p, list) or len(p) != 2 for p in points) or not points:
            demand(None, list, path, "a point of a polygon")
        x, y = polygon_centre([[number(v, path, "a point") for v in p] for p in points])
    elif kind in ("keypoint", "ellipse", "rectangle"):
        x, y = number(value.get("x"), path, "x"), number(value.get("y"), path, "y")
        if kind == "rectangle":  # turned about its first corner, in px
            w, h = number(value.get("width"), path, "width"), number(value.get("height"), path, "height")
            turn = math.radians(number(value.get("rotation") or 0, path, "rotation"))
            half_w, half_h = w * width / 200, h * height / 200
            x += (half_w * math.cos(turn) - half_h * math.sin(turn)) * 100 / width
            y += (half_w * math.sin(turn) + half_h * math.cos(turn)) * 100 / height
    else:
        return None
    return x * width / 100, y * height / 100
