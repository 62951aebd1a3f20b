"""Cell counting sets: VGG cells (Lempitsky and Zisserman 2010) and adipocytes (Count-ception, Cohen et al. 2017).

Layout: ``images/``, dot masks in ``points/`` and, where they were extracted, the dots as csv in ``points_csv/``. The
csv hold pixel indices, counted from 0: those of the VGG cells are exactly the non-zero pixels of the masks, and both
sets span 0 to width - 1. A dot is therefore at ``x + 1/2``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from dotcount.data.benchmarks.base import BENCHMARKS, Benchmark, Totals
from dotcount.data.discover import pair
from dotcount.data.formats.csv import parse
from dotcount.data.images import is_image
from dotcount.data.layout import Dots, Entry, Layout
from dotcount.errors import DataError


def read_pixel_indices(path: Path, _width: int, _height: int) -> Dots:
    """Return the dots of a csv of 0-based pixel indices at the centres of their pixels."""
    rows, _ = parse(path)
    return Dots(np.array([(row.x, row.y) for row in rows]).reshape(-1, 2) + 0.5)


class Cells(Benchmark):
    """A set of images with csv dots beside them; subclasses name the images and draw the splits."""

    pattern: re.Pattern[str]
    expected: str

    def recognises(self, root: Path) -> bool:
        """Return whether ``images/`` holds names of this set and ``points_csv/`` is there."""
        folder = root / "images"
        if not folder.is_dir() or not (root / "points_csv").is_dir():
            return False
        return any(self.pattern.fullmatch(p.name) for p in folder.iterdir())

    def read(self, root: Path) -> Layout:
        """Return the images in the order of their names."""
        folder, dots = root / "images", root / "points_csv"
        if not folder.is_dir() or not dots.is_dir():
            raise DataError(f"{root} is not laid out like {self.title}: expected {self.expected}")
        images = sorted(p for p in folder.iterdir() if is_image(p))
        files = sorted(p for p in dots.iterdir() if p.suffix == ".csv")
        paired = pair([p.relative_to(root) for p in images], [p.relative_to(root) for p in files])
        splits = self.splits([p.name for p in images])
        entries = []
        for image in images:
            match = paired.get(image.relative_to(root))
            read = partial(read_pixel_indices, root / match) if match is not None else None
            entries.append(Entry(image, image.relative_to(root).as_posix(), read, splits[image.name]))
        lost = sorted({p.relative_to(root) for p in files} - set(paired.values()))
        unmatched = [f"annotation {root / p} has no image; restore the image or remove it" for p in lost]
        return Layout(self.name, entries, unmatched, license=self.license, citation=self.citation)

    def splits(self, names: Sequence[str]) -> dict[str, str]:
        """Return the split of each image name (sorted)."""
        raise NotImplementedError


@BENCHMARKS.register("vgg_cells")
class VggCells(Cells):
    """Synthetic fluorescence cells, 256 x 256; the first 100 images are the training pool, the last 100 the test."""

    name = "vgg_cells"
    title = "VGG cells"
    citation = "Lempitsky and Zisserman, Learning to count objects in images, NeurIPS 2010"
    license = "none stated"
    pattern = re.compile(r"\d{3}cell\.png", re.IGNORECASE)
    expected = "images/001cell.png and points_csv/001cell.csv"
    totals = {"train": (Totals(100, 0, "as distributed"),), "test": (Totals(100, 0, "as distributed"),)}

    def splits(self, names: Sequence[str]) -> dict[str, str]:
        """Return train for the numbers 1 to 100, test for the rest."""
        numbers = {name: re.match(r"\d+", name) for name in names}
        return {name: "train" if found and int(found[0]) <= 100 else "test" for name, found in numbers.items()}


@BENCHMARKS.register("adipocyte")
class Adipocyte(Cells):
    """Human subcutaneous fat, 150 x 150; 50 train, 50 val, 100 test, drawn by a fixed hash of the names.

    The published protocol repeats random splits; this is one of them. Others are had from ``dotcount data split``.
    """

    name = "adipocyte"
    title = "adipocyte cells"
    citation = "Cohen et al., Count-ception: counting by fully convolutional redundant counting, ICCV workshops 2017"
    license = "none stated; images from GTEx"
    pattern = re.compile(r".*GTEX-.*Adipose.*\.jpe?g", re.IGNORECASE)
    expected = "images/*_GTEX-*_Adipose-*.jpeg and points_csv/*.csv"

    def splits(self, names: Sequence[str]) -> dict[str, str]:
        """Return a quarter train, a quarter val, the rest test, in the order of the hashes of the names."""
        ordered = sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
        quarter = len(ordered) // 4
        named = ["train"] * quarter + ["val"] * quarter + ["test"] * (len(ordered) - 2 * quarter)
        return dict(zip(ordered, named))
