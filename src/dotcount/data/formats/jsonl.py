"""JSON lines: one object a line, ``{"image": name, "points": [[x, y], ...]}``, with ``classes`` where there are any.

Coordinates are positions from the image's corner. An image with ``"points": []`` was looked at and holds nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from dotcount.data.formats.base import FORMATS, Listed, Rows, Table, read_text
from dotcount.data.formats.structured import deferred, demand, dots_of, pairs, parse_json, size_of, stated_size
from dotcount.data.layout import Dots
from dotcount.data.records import Record
from dotcount.errors import AnnotationError

_LONGEST_LINE = 1 << 24


@FORMATS.register("jsonl")
class JsonLines(Table):
    """One JSON object a line."""

    name = "jsonl"
    title = "JSON lines with image and points"
    suffixes = (".jsonl", ".ndjson")
    filename = "dots.jsonl"

    def recognises(self, path: Path) -> bool:
        """Return whether the first line names an image and points."""
        try:
            if not path.is_file():
                return False
            with path.open("rb") as file:
                lines = (line.strip() for line in iter(partial(file.readline, _LONGEST_LINE), b""))
                first = next((line for line in lines if line), b"")
        except OSError:
            return False
        first = first.removeprefix(b"\xef\xbb\xbf").lstrip()
        return first.startswith(b"{") and b'"image"' in first and b'"points"' in first

    def read(self, path: Path) -> Rows:
        """Return the dots by image name."""
        listed: list[tuple[str, Listed]] = []
        for line, text in enumerate(read_text(path).split("\n"), start=1):
            if text.strip():
                where = f"line {line}"
                row = demand(parse_json(text, f"annotation {path}, {where}"), dict, path, where)
                name = demand(row.get("image"), str, path, f"{where}: image")
                split = row.get("split")
                if split is not None:
                    demand(split, str, path, f"{where}: split")
                size = stated_size(row.get("width"), row.get("height"))
                listed.append((name, Listed(deferred(partial(_dots, row, path, where)), split, size=size)))
        return listed

    def write(self, path: Path, records: Sequence[Record]) -> None:
        """Write one line a record."""
        with path.open("w", encoding="utf-8") as file:
            for record in records:
                width, height = size_of(record)
                row: dict[str, object] = {"image": record.name, "width": width, "height": height}
                if record.split is not None:
                    row["split"] = record.split
                row["points"] = record.points.xy.tolist() if record.points is not None else []
                if record.classes:
                    row["classes"] = list(record.classes)
                file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _dots(row: Mapping[str, Any], path: Path, where: str) -> Dots:
    points = demand(row.get("points"), list, path, f"{where}: points")
    xy = pairs(points, path, f"{where}: a point") if points else []
    classes = demand(row.get("classes") or [], list, path, f"{where}: classes")
    if classes and len(classes) != len(xy):
        raise AnnotationError(f"annotation {path}, {where}: {len(classes)} classes for {len(xy)} points; correct it")
    return dots_of(xy, [str(c) for c in classes])
