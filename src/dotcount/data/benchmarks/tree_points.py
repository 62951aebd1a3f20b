"""TreePoints of MillionTrees (Weinstein et al.): crowns of trees in aerial images of many sources.

Layout: ``images/`` and csv of splits, of which ``random.csv`` (in older releases ``official.csv``) is read: a tree in
each row, with ``filename``, ``x``, ``y``, ``split``, ``source`` and, in newer releases, ``complete``. Positions are
taken as they stand. Images that are not annotated completely (``complete`` is false) have no count and are left
unlabelled.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from dotcount.data.benchmarks.base import BENCHMARKS, Benchmark
from dotcount.data.formats.base import read_text
from dotcount.data.layout import Dots, Entry, Layout, fixed, split_named
from dotcount.errors import AnnotationError

_SCHEMES = ("random", "official")
_COLUMNS = {"filename", "x", "y", "split", "source"}


def _scheme(root: Path) -> Path | None:
    return next((root / f"{name}.csv" for name in _SCHEMES if (root / f"{name}.csv").is_file()), None)


@BENCHMARKS.register("tree_points")
class TreePoints(Benchmark):
    """Trees as points; sizes and sources differ by release."""

    name = "tree_points"
    title = "MillionTrees TreePoints"
    citation = "Weinstein et al., MillionTrees: a benchmark for airborne machine learning of trees, 2025"
    license = "by source, see the release"

    def recognises(self, root: Path) -> bool:
        """Return whether a csv with the columns of TreePoints stands beside ``images``."""
        path = _scheme(root)
        if path is None or not (root / "images").is_dir():
            return False
        try:
            with path.open(encoding="utf-8") as file:
                return set(file.readline(2000).strip().split(",")) >= _COLUMNS
        except (OSError, ValueError):
            return False

    def read(self, root: Path) -> Layout:
        """Return the images in the order of the rows."""
        path = _scheme(root)
        if path is None or not self.recognises(root):
            raise self.foreign(root, "images/ and random.csv with filename, x, y, split and source")
        trees: dict[str, list[tuple[float, float]]] = {}
        facts: dict[str, tuple[str | None, str, bool]] = {}
        for line, row in enumerate(csv.DictReader(io.StringIO(read_text(path))), start=2):
            name, complete = row["filename"], (row.get("complete") or "true").strip().casefold()
            if not name or set(name) & set("/\\"):
                raise AnnotationError(f"annotation {path}, line {line}: {name[:40]!r} is not the name of an image")
            try:
                trees.setdefault(name, []).append((float(row["x"]), float(row["y"])))
            except (TypeError, ValueError) as error:
                raise AnnotationError(
                    f"annotation {path}, line {line}: x and y are no numbers; correct them"
                ) from error
            fact = (split_named(row["split"]), row["source"], complete in ("true", "1", "1.0"))
            if facts.setdefault(name, fact) != fact:
                raise AnnotationError(f"annotation {path}, line {line}: {name[:40]} has another split or source before")
        entries = []
        for name, (split, source, complete_image) in facts.items():
            read = fixed(Dots(np.array(trees[name]))) if complete_image else None
            entries.append(Entry(root / "images" / name, f"images/{name}", read, split, {"source": source}))
        return self.layout(entries, absent="unlabelled")
