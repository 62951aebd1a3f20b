"""JSON lines: one object a line, ``{"image": name, "points": [[x, y], ...]}``, with ``classes`` where there are any.

Coordinates are positions from the image's corner. An image with ``"points": []`` was looked at and holds nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from dotcount.data.formats.base import FORMATS, Listed, Rows, Table, head, read_text
from dotcount.data.formats.structured import demand, dots_of, number, size_of
from dotcount.data.layout import fixed
from dotcount.data.records import Record
from dotcount.errors import AnnotationError


@FORMATS.register("jsonl")
class JsonLines(Table):
    """One JSON object a line."""

    name = "jsonl"
    title = "JSON lines with image and points"
    suffixes = (".jsonl", ".ndjson")
    filename = "dots.jsonl"

    def recognises(self, path: Path) -> bool:
        """Return whether the first line names an image and points."""
        first = next(iter(head(path).splitlines()), "")
        return first.lstrip().startswith("{") and '"image"' in first and '"points"' in first

    def read(self, path: Path) -> Rows:
        """Return the dots by image name."""
        listed: list[tuple[str, Listed]] = []
        for line, text in enumerate(read_text(path).splitlines(), start=1):
            if not text.strip():
                continue
            try:
                row = json.loads(text)
            except (json.JSONDecodeError, RecursionError) as error:
                raise AnnotationError(f"annotation {path}, line {line} is not valid JSON; correct it") from error
            where = f"line {line}"
            name = demand(demand(row, dict, path, where).get("image"), str, path, f"{where}: image")
            points = demand(row.get("points"), list, path, f"{where}: points")
            if any(not isinstance(p, list) or len(p) != 2 for p in points):
                raise AnnotationError(f"annotation {path}, {where}: every point must be a pair [x, y]; correct it")
            xy = [(number(x, path, where), number(y, path, where)) for x, y in points]
            classes = demand(row.get("classes", []), list, path, f"{where}: classes")
            if classes and len(classes) != len(xy):
                raise AnnotationError(f"annotation {path}, {where}: {len(classes)} classes for {len(xy)} points")
            dots = dots_of(xy, [str(c) for c in classes])
            listed.append((name, Listed(fixed(dots), row.get("split"))))
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
