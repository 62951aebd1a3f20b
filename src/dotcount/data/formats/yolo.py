"""YOLO text files (https://docs.ultralytics.com/datasets/detect/): one file for each image, a line an object.

``class x_centre y_centre width height``, all but the class as shares of the image's size, from its corner; a confidence
may follow, as predictions have it. Longer lines are polygons or turned boxes (``class x1 y1 x2 y2 ...``), or, where a
``data.yaml`` states ``kpt_shape``, boxes with keypoints, which give the centre of the box. Without any ``data.yaml`` a
file whose lines could be either is an error. An image without a file, or with an empty one, holds no objects: so YOLO
defines it. Class names come from ``names`` in a ``data.yaml`` (or another yaml file of a data set) or from
``classes.txt`` in the folder of the labels or one of the five above it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import yaml

from dotcount.data.formats.base import FORMATS, Sidecar, head, read_text
from dotcount.data.formats.boxes import written_as_corners
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
    helpers = ("classes.txt", "obj.names", "train.txt", "val.txt", "test.txt")

    def __init__(self) -> None:
        self._ids: Mapping[str, int] = {}

    def recognises(self, path: Path) -> bool:
        """Return whether the first line is a class number and at least four shares of the image."""
        if path.name in _NAME_FILES:
            return False
        try:
            first = next(line for line in head(path).splitlines() if line.strip())
            _, values = _numbers(first)
        except (ValueError, StopIteration):
            return False
        return all(-0.5 <= v <= 1.5 for v in values[:4]) and all(-0.5 <= v <= 2 for v in values[4:])

    def objection(self, path: Path) -> str | None:
        """Return what is wrong with lines that come near: boxes in px, commas, names of classes."""
        first = next((line for line in head(path).splitlines() if line.strip()), "")
        words = first.replace(",", " ").replace(";", " ").split()
        try:
            values = [float(word) for word in words[1:]]
        except ValueError:
            return None
        if len(values) != 4 or self.recognises(path):
            return None
        if not words[0].isdecimal():
            return f"its lines begin with {words[0][:40]!r}, where YOLO has the number of a class"
        if max(map(abs, values)) > 1.5:
            return "its numbers are no shares of the image, 0 to 1; divide them by its width and height"
        return "its numbers are not parted by blanks; write class x_centre y_centre width height"

    def read(self, path: Path, width: int, height: int, /) -> Dots:
        """Return the centres of one image."""
        described = _described(path.parent)
        rows: list[tuple[int, int, list[float]]] = []
        for line, text in enumerate(read_text(path).splitlines(), start=1):
            if text.strip():
                try:
                    rows.append((line, *_numbers(text)))
                except ValueError as error:
                    raise _wrong(path, line, text) from error
        keypoints = described.keypoints
        _require_sides([values for *_, values in rows], path, width, height)
        unclear = keypoints is None and not described.found and _may_be_pose([v for *_, v in rows])
        xy, classes = [], []
        for line, label, values in rows:
            centre = _centre(values, keypoints)
            if centre is not None and unclear and len(values) > 5 and not _turned_box(values):
                raise AnnotationError(
                    f"annotation {path}, line {line} may be a polygon or a box with keypoints; "
                    "put the data.yaml of the set beside its labels, with kpt_shape if there are keypoints"
                )
            if centre is None and unclear:  # no polygon has a number above 1.5, as visibility is
                centre = (values[0], values[1])
            if centre is None:
                raise _wrong(path, line, f"{label} {' '.join(f'{v:g}' for v in values)}")
            xy.append((centre[0] * width, centre[1] * height))
            classes.append(described.names.get(label, str(label)))
        return dots_of(xy, classes)

    def prepare(self, root: Path, records: Sequence[Record]) -> None:
        """Write ``classes.txt`` where there are classes, so that a number means the same in every file."""
        self._ids = class_ids(records)
        if any(record.classes for record in records):
            (root / "classes.txt").write_text("".join(f"{n}\n" for n in self._ids), encoding="utf-8")

    def write(self, path: Path, record: Record) -> None:
        """Write a box of one pixel around each dot."""
        width, height = size_of(record)
        ids = self._ids or class_ids([record])
        rows = [
            f"{ids[name]} {x / width!r} {y / height!r} {1 / width!r} {1 / height!r}\n"
            for x, y, name in positions(record)
        ]
        path.write_text("".join(rows), encoding="utf-8")


_NAME_FILES = ("classes.txt", "obj.names")
_MOST_BYTES = 1 << 20  # of a data.yaml
_SPREAD = 0.3


@dataclass(frozen=True)
class _Described:
    """What lies beside the labels; ``found``: a yaml file of the set, ``keypoints``: how many, of how many numbers."""

    names: Mapping[int, str] = field(default_factory=dict)
    keypoints: tuple[int, int] | None = None
    found: bool = False


def _wrong(path: Path, line: int, text: str) -> AnnotationError:
    return AnnotationError(
        f"annotation {path}, line {line}: {text.strip()[:40]!r} is not a class and a box in shares of the image, "
        "nor a polygon; correct it"
    )


def _require_sides(rows: Sequence[Sequence[float]], path: Path, width: int, height: int) -> None:
    """Refuse boxes that are none: all numbers 0, or two corners rather than a centre, a width and a height."""
    boxes = [row[:4] for row in rows if len(row) in (4, 5)]
    if any(not any(box) for box in boxes):
        raise AnnotationError(f"annotation {path} has a box of zeros, which is no place; remove the line")
    size = np.array([width, height], dtype=np.float64)
    if len(boxes) > 1 and written_as_corners(np.array(boxes) * np.tile(size, 2), size, centred=True):
        shown = " ".join(f"{v:g}" for v in boxes[0])
        raise AnnotationError(
            f"annotation {path}: boxes such as {shown} can only be two corners, where YOLO has x_centre y_centre width "
            "height; convert them"
        )


def _numbers(text: str) -> tuple[int, list[float]]:
    """Return the class and the numbers of a line; ValueError if it is none."""
    label, *values = (float(word) for word in text.split())
    if len(values) < 4 or not label.is_integer() or label < 0 or not all(map(math.isfinite, values)):
        raise ValueError(text)
    return int(label), values


def _centre(values: Sequence[float], keypoints: tuple[int, int] | None) -> tuple[float, float] | None:
    """Return the centre of an object in shares of the image; ``None`` if the numbers are none."""
    n = len(values)
    box = n <= 5 or (keypoints is not None and n - 4 - keypoints[0] * keypoints[1] in (0, 1))
    confident = n == 5 if n <= 5 else n % 2 == 1 if not box else n - 4 - math.prod(keypoints or ()) == 1
    if confident and not 0 <= values[-1] <= 1:
        return None
    if box:
        return (values[0], values[1]) if _is_box(values) else None
    corners = values[: n - confident]
    if keypoints is not None or not all(-0.5 <= v <= 1.5 for v in corners):
        return None
    return polygon_centre(list(zip(corners[::2], corners[1::2])))


def _is_box(values: Sequence[float]) -> bool:
    return all(-0.5 <= v <= 1.5 for v in values[:4]) and min(values[2:4]) >= 0


def _may_be_pose(rows: Sequence[Sequence[float]]) -> bool:
    """Return whether all lines could be boxes with keypoints: equally long, with the keypoints in their boxes."""
    n = len(rows[0]) if rows else 0
    if n < 6 or any(len(row) != n for row in rows):
        return False
    for numbers in (2, 3):
        for last in (0, 1):  # a confidence
            if (n - 4 - last) % numbers == 0 and all(_is_pose(row[: n - last], numbers) for row in rows):
                return True
    return False


def _is_pose(values: Sequence[float], numbers: int) -> bool:
    x, y, width, height = values[:4]
    xs, ys = values[4::numbers], values[5::numbers]
    placed = [(a, b) for a, b in zip(xs, ys) if a or b]
    if numbers == 3 and not all(0 <= v <= 2 for v in values[6::3]):
        return False
    if not _is_box(values) or any(abs(a - x) > 0.6 * width or abs(b - y) > 0.6 * height for a, b in placed):
        return False
    if min(x - width / 2, y - height / 2) < -0.02 or max(x + width / 2, y + height / 2) > 1.02:
        return False
    if len(placed) < 4:
        return True
    # The outline of a small object, read so, is a huge box with all its keypoints in one place.
    spans = [max(axis) - min(axis) for axis in zip(*placed)]
    return spans[0] >= _SPREAD * width or spans[1] >= _SPREAD * height


def _turned_box(values: Sequence[float]) -> bool:
    """Return whether the first eight of eight or nine numbers are the corners of a parallelogram."""
    a, b, c, d = (
        (values[k : k + 2] for k in (0, 2, 4, 6)) if len(values) in (8, 9) else ((0, 0), (0, 0), (0, 0), (1, 1))
    )
    return all(abs(p + r - q - s) < 2e-3 for p, q, r, s in zip(a, b, c, d))


def _described(folder: Path) -> _Described:
    """Return what is said about the labels of a folder there or above it: names of classes, shape of keypoints."""
    names: Mapping[int, str] = {}
    for place in (folder, *list(folder.parents)[:5]):
        try:
            listed = _listed(place, place.stat().st_mtime_ns)
            changed = [path.stat().st_mtime_ns for path in listed]
        except OSError:
            continue
        for path, modified in zip(listed, changed):
            if path.name in _NAME_FILES:
                names = names or _read_names(path, modified)
            elif (found := _read_yaml(path, modified)) is not None:
                return _Described(names or found.names, found.keypoints, True)
    return _Described(names)


@lru_cache(maxsize=64)  # a folder may hold as many labels as there are images
def _listed(folder: Path, _modified: int) -> tuple[Path, ...]:
    """Return the files of a folder that may say something about labels, ``data.yaml`` first."""
    found = (p for p in folder.iterdir() if (p.suffix in (".yaml", ".yml") or p.name in _NAME_FILES) and p.is_file())
    return tuple(sorted(found, key=lambda p: (p.name in _NAME_FILES, p.stem != "data", p.name)))


@lru_cache(maxsize=64)
def _read_names(path: Path, _modified: int) -> dict[int, str]:
    lines = enumerate(line.strip() for line in read_text(path).splitlines())
    return {k: name for k, name in lines if name}


@lru_cache(maxsize=64)
def _read_yaml(path: Path, _modified: int) -> _Described | None:
    """Return what the yaml file of a YOLO data set says; ``None`` for another one."""
    named = path.stem in ("data", "dataset")
    if path.stat().st_size > _MOST_BYTES:
        return None
    try:
        content = yaml.safe_load(read_text(path))
    except (AnnotationError, yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        if not named:
            return None
        raise AnnotationError(f"class names {path} are not valid YAML; correct the file") from error
    if not isinstance(content, dict) or not (named or ("names" in content and {"train", "val"} & set(content))):
        return None
    names, shape = content.get("names"), content.get("kpt_shape")
    pairs = enumerate(names) if isinstance(names, list) else names.items() if isinstance(names, dict) else ()
    by_id = {int(k): str(v) for k, v in pairs if str(k).isdecimal() and isinstance(v, (str, int, float))}
    if shape is None:
        return _Described(by_id, None, True)
    if not (isinstance(shape, list) and len(shape) == 2 and all(type(k) is int and k > 0 for k in shape)):
        raise AnnotationError(f"{path}: kpt_shape is not [number of keypoints, 2 or 3]; correct it")
    return _Described(by_id, (shape[0], shape[1]), True)
