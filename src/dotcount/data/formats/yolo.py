"""YOLO text files (https://docs.ultralytics.com/datasets/detect/): one file for each image, a line an object.

``class x_centre y_centre width height``, all but the class as shares of the image's size, from its corner; lines with
more numbers are polygons (``class x1 y1 x2 y2 ...``). An image without a file, or with an empty one, holds no objects:
so YOLO defines it. Class names come from ``names`` in a ``data.yaml`` (or ``dataset.yaml``) or from ``classes.txt`` in
the folder of the labels or one of the three above it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import yaml

from dotcount.data.formats.base import FORMATS, Sidecar, head, read_text
from dotcount.data.formats.structured import class_ids, dots_of, polygon_centre, positions, size_of
from dotcount.data.layout import Dots
from dotcount.data.records import Record
from dotcount.errors import AnnotationError


@FORMATS.register("yolo")
class Yolo(Sidecar):
    """YOLO boxes."""

    name = "yolo"
    title = "YOLO text files"
    suffixes = (".txt",)
    absent = "zero"
    folder = "labels"

    def recognises(self, path: Path) -> bool:
        """Return whether the first line is a class number and at least four shares of the image."""
        first = next(iter(head(path).splitlines()), "")
        try:
            return _parse(first)[1] is not None and path.name not in _NAME_FILES
        except ValueError:
            return False

    def read(self, path: Path, width: int, height: int, /) -> Dots:
        """Return the centres of one image."""
        names = _names(path.parent)
        xy, classes = [], []
        for line, text in enumerate(read_text(path).splitlines(), start=1):
            if not text.strip():
                continue
            try:
                label, (x, y) = _parse(text)
            except ValueError as error:
                raise AnnotationError(
                    f"annotation {path}, line {line}: {text[:40]!r} is not a class and a box in shares of the image"
                ) from error
            xy.append((x * width, y * height))
            classes.append(names.get(label, str(label)))
        return dots_of(xy, classes if names or set(classes) != {"0"} else [""] * len(xy))

    def prepare(self, root: Path, records: Sequence[Record]) -> None:
        """Write ``classes.txt`` where there are classes, so that a number means the same in every file."""
        if any(record.classes for record in records):
            (root / "classes.txt").write_text("".join(f"{n}\n" for n in class_ids(records)), encoding="utf-8")

    def write(self, path: Path, record: Record) -> None:
        """Write a box of one pixel around each dot."""
        width, height = size_of(record)
        ids = {name: k for k, name in _names(path.parent).items()} or dict(class_ids([record]))
        rows = [
            f"{ids[name]} {x / width!r} {y / height!r} {1 / width!r} {1 / height!r}\n"
            for x, y, name in positions(record)
        ]
        path.write_text("".join(rows), encoding="utf-8")


_NAME_FILES = ("classes.txt", "obj.names")
_YAML_FILES = ("data.yaml", "dataset.yaml")


def _parse(text: str) -> tuple[int, tuple[float, float]]:
    label, *numbers = text.split()
    values = [float(v) for v in numbers]
    if len(values) < 4 or not all(-0.5 <= v <= 1.5 for v in values):
        raise ValueError(text)
    if len(values) >= 6 and len(values) % 2 == 0:
        return int(label), polygon_centre(list(zip(values[::2], values[1::2])))
    return int(label), (values[0], values[1])


def _names(folder: Path) -> dict[int, str]:
    found: dict[int, str] = {}
    for place in (folder, *list(folder.parents)[:3]):
        for name in (*_YAML_FILES, *_NAME_FILES):
            if (place / name).is_file():
                found = _read_names(place / name, (place / name).stat().st_mtime_ns)
                if found:
                    return found
    return found


@lru_cache(maxsize=64)
def _read_names(path: Path, _modified: int) -> dict[int, str]:
    text = read_text(path)
    if path.name in _NAME_FILES:
        return dict(enumerate(line.strip() for line in text.splitlines() if line.strip()))
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise AnnotationError(f"class names {path} are not valid YAML; correct the file") from error
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, list):
        return {k: str(name) for k, name in enumerate(names)}
    if isinstance(names, dict):
        return {int(k): str(name) for k, name in names.items() if str(k).isdigit()}
    return {}
