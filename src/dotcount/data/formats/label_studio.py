"""Label Studio JSON export (https://labelstud.io/guide/task_format): a list of tasks.

Coordinates are percent of the image, 0 to 100 from its corner: ``x_px = x W / 100``. Results of type ``keypoint``,
``rectangle``, ``ellipse``, ``polygon`` and ``vector``, with or without ``labels`` behind, give a dot each, at the
centre of the shape; the class may stand in a second result of type ``labels`` and the same id. Brush strokes and all
other regions are an error; answers that have no place (``choices``, ``textarea``, ...) are passed over.

Of several annotations of a task that were not cancelled the one marked as ground truth counts, else the last, which is
reported; where several people differ in the number of objects none is chosen. A task without any was not annotated;
predictions are left alone. The size is that of the image file, since exports may lack ``original_width``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlparse

from dotcount.data.formats.base import FORMATS, Listed, Rows, Table, require_size
from dotcount.data.formats.outlines import Outline, corners_of, dots_and_outlines
from dotcount.data.formats.structured import (
    NO_CLASS,
    demand,
    line_centre,
    load_json,
    number,
    pairs,
    peek_json,
    polygon_centre,
    positions,
    size_of,
    stated_size,
    write_json,
)
from dotcount.data.images import is_image
from dotcount.data.layout import Dots
from dotcount.data.records import Record
from dotcount.errors import AnnotationError

# Results about a whole image or a region that is there already, and relations between regions.
_WITHOUT_PLACE = ("choices", "taxonomy", "textarea", "number", "rating", "datetime", "pairwise", "ranker", "relation")


@FORMATS.register("label_studio")
class LabelStudio(Table):
    """Label Studio tasks."""

    name = "label_studio"
    title = "Label Studio JSON"
    suffixes = (".json",)
    filename = "label_studio.json"

    def recognises(self, path: Path) -> bool:
        """Return whether the file is a list of tasks with data, some of them with annotations."""
        content = peek_json(path)
        tasks = content if isinstance(content, list) else [content]
        return all(isinstance(t, dict) for t in tasks) and any(
            isinstance(t.get("data"), dict) and ("annotations" in t or "completions" in t) for t in tasks
        )

    def objection(self, path: Path) -> str | None:
        """Return that it is the short export, which does not say which image was annotated in full."""
        content = peek_json(path)
        first = content[0] if isinstance(content, list) and content else None
        if isinstance(first, dict) and {"annotation_id", "annotator"} & set(first) and "annotations" not in first:
            return "it is Label Studio's JSON-MIN; export the project as JSON"
        return None

    def read(self, path: Path) -> Rows:
        """Return the dots by image name."""
        content = load_json(path)
        listed: list[tuple[str, Listed]] = []
        tasks = content if isinstance(content, list) else [content]
        for task in tasks:
            data = demand(demand(task, dict, path, "a task").get("data"), dict, path, "data of a task")
            done = task.get("annotations", task.get("completions", []))
            done = [demand(a, dict, path, "an annotation") for a in demand(done, list, path, "annotations")]
            done = [a for a in done if not a.get("was_cancelled") and not a.get("skipped")]
            if done:
                name = _image_name(data, path)
                listed.append((name, Listed(partial(_dots, done, path, name))))
        if not listed and tasks:
            predicted = sum(bool(task.get("predictions")) for task in tasks)
            raise AnnotationError(
                f"annotation {path}: none of its {len(tasks)} tasks is annotated: they are open, skipped or cancelled"
                f"{f', and {predicted} have predictions alone' if predicted else ''}; submit annotations"
            )
        _require_regions(tasks, path)
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


def _require_regions(tasks: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Refuse a project of answers about whole images: that none has a region says nothing about objects."""
    kinds = {
        str(result.get("type"))
        for task in tasks
        for annotation in task.get("annotations", task.get("completions", []))
        for result in annotation.get("result") or ()
        if isinstance(result, dict)
    }
    if kinds and kinds <= set(_WITHOUT_PLACE):
        raise AnnotationError(
            f"annotation {path} holds answers about whole images ({', '.join(sorted(kinds))}) and no place of any "
            "object; annotate objects with key points or boxes"
        )


def _image_name(data: Mapping[str, Any], path: Path) -> str:
    """Return the file that a task is about: a path, an upload URL or ``/data/local-files/?d=PATH``."""
    texts = {str(key): value for key, value in data.items() if isinstance(value, str)}
    named = [_file_of(texts[key]) for key in ("image", "img", "image_url", "url", "ocr") if key in texts]
    found = named or [_file_of(v) for v in texts.values()]
    found = [f for f in found if is_image(Path(PurePosixPath(f).name))] or found
    if len(found) == 1 or named:
        return found[0]
    keys = ", ".join(map(str, data))[:80] or "nothing"
    raise AnnotationError(
        f"annotation {path}: data of a task names {'no' if not found else 'more than one'} image (it has {keys}); "
        "give the image the key image"
    )


def _file_of(text: str) -> str:
    try:
        url = urlparse(text)
        local = parse_qs(url.query).get("d")
    except ValueError:  # what looks like a URL and is none
        return text
    if local:
        return local[0]
    return unquote(url.path) if url.scheme in ("http", "https", "s3", "gs", "azure-blob") else text


def _dots(annotations: Sequence[Mapping[str, Any]], path: Path, image: str, width: int, height: int) -> Dots:
    """Return the dots of one image of which there are one or more annotations."""
    sure = [a for a in annotations if a.get("ground_truth")]
    chosen = (sure or annotations)[-1]
    dots = _annotated(chosen, path, image, width, height)
    others = len(annotations) - 1
    if not others or len(sure) == 1:
        return dots
    if not len(dots.xy) and any(len(_annotated(a, path, image, width, height).xy) for a in annotations):
        raise AnnotationError(
            f"annotation {path}: of {len(annotations)} annotations of image {image} the last is empty and another is "
            "not; cancel what is wrong, or mark one as ground truth"
        )
    people = {repr(a.get("completed_by")) for a in annotations if a.get("completed_by") is not None}
    if len(people) > 1 and any(len(_annotated(a, path, image, width, height).xy) != len(dots.xy) for a in annotations):
        raise AnnotationError(
            f"annotation {path}: {len(people)} people annotated image {image} and differ in the number of objects; "
            "mark one annotation as ground truth, or cancel the others"
        )
    return Dots(dots.xy, dots.classes, (*dots.left_out, f"{others} earlier annotations of the same image"))


def _annotated(annotation: Mapping[str, Any], path: Path, image: str, width: int, height: int) -> Dots:
    shapes: list[tuple[str, Mapping[str, Any], str]] = []
    labels: dict[str, str] = {}
    for result in demand(annotation.get("result"), list, path, "result of an annotation"):
        kind = str(demand(result, dict, path, "a result").get("type", ""))
        if kind in _WITHOUT_PLACE:
            continue
        value = demand(result.get("value"), dict, path, f"value of a {kind} of image {image}")
        _require_upright(result, path, image, width, height)
        owner = str(result.get("id", ""))
        if kind == "labels":
            labels[owner] = _first(value.get("labels"))
        else:
            shapes.append((owner, {**value, "kind": kind.removesuffix("labels")}, _first(value.get(kind))))
    lost = set(labels) - {owner for owner, *_ in shapes}
    if lost:
        raise AnnotationError(f"annotation {path}: labels of image {image} belong to no region; export it again")
    xy = [_centre(value, path, image, width, height) for _, value, _ in shapes]
    classes = [named or labels.get(owner, "") or NO_CLASS for owner, _, named in shapes]
    return dots_and_outlines(xy, classes, [_outline(value, width, height) for _, value, _ in shapes])


def _outline(value: Mapping[str, Any], width: int, height: int) -> Outline | None:
    """Return the outline of a shape whose centre has been read; of a box that was not turned."""
    if value["kind"] == "keypoint":
        return None
    if value["kind"] == "polygon":
        return [(float(x) * width / 100, float(y) * height / 100) for x, y in value["points"]]
    if value["kind"] == "rectangle" and not value.get("rotation"):
        x, y, w, h = (float(value.get(k) or 0) for k in ("x", "y", "width", "height"))
        return [(a * width / 100, b * height / 100) for a, b in corners_of(x, y, x + w, y + h)]
    return ()


def _first(names: Any) -> str:
    return str(names[0]) if isinstance(names, list) and names else ""


def _require_upright(result: Mapping[str, Any], path: Path, image: str, width: int, height: int) -> None:
    """Refuse places on a picture that was shown turned; copies of another size are fine, as places are in percent."""
    if result.get("image_rotation") not in (None, 0, 360):
        raise AnnotationError(
            f"annotation {path}: image {image} was turned while it was annotated; annotate it upright"
        )
    require_size(path, stated_size(result.get("original_width"), result.get("original_height")), (width, height), True)


def _centre(value: Mapping[str, Any], path: Path, image: str, width: int, height: int) -> tuple[float, float]:
    kind = value["kind"]
    what = f"a {kind} of image {image}"
    if kind == "polygon":
        x, y = polygon_centre(pairs(value.get("points"), path, what))
    elif kind == "vector":
        vertices = demand(value.get("vertices"), list, path, f"vertices of {what}")
        xy = [demand(v, dict, path, f"a vertex of {what}") for v in vertices]
        line = pairs([[v.get("x"), v.get("y")] for v in xy], path, what)
        x, y = polygon_centre(line) if value.get("closed") else line_centre(line)
    elif kind in ("keypoint", "ellipse", "rectangle"):
        x, y = (number(value.get(k), path, f"{k} of {what}") for k in ("x", "y"))
        if kind == "rectangle":  # turned about its first corner, in px
            w, h, turn = (number(value.get(k) or 0, path, f"{k} of {what}") for k in ("width", "height", "rotation"))
            turn = math.radians(turn)
            half_w, half_h = w * width / 200, h * height / 200
            x += (half_w * math.cos(turn) - half_h * math.sin(turn)) * 100 / width
            y += (half_w * math.sin(turn) + half_h * math.cos(turn)) * 100 / height
    else:
        raise AnnotationError(
            f"annotation {path}: {what} gives no dot; mark objects as points or boxes, or export brush strokes as masks"
        )
    return x * width / 100, y * height / 100
