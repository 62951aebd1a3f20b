"""Cell counting sets: VGG cells (Lempitsky and Zisserman 2010), adipocytes and bone marrow (Cohen et al. 2017).

Layout: ``images/``, dot masks in ``points/`` and, where they were extracted, the dots as csv in ``points_csv/``; the
VGG cells also as their authors pack them, ``NNNcell.png`` and ``NNNdots.png`` in one folder. The csv hold pixel
indices, counted from 0: those of the VGG cells are exactly the non-zero pixels of the masks, and both sets span 0 to
width - 1. A dot is therefore at ``x + 1/2``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from dotcount.data.benchmarks.base import BENCHMARKS, Benchmark, Totals, orphans
from dotcount.data.formats.csv import parse
from dotcount.data.formats.masks import DotMask
from dotcount.data.images import is_image
from dotcount.data.layout import Dots, Entry, Layout
from dotcount.data.pairing import pair


def read_pixel_indices(path: Path, _width: int, _height: int) -> Dots:
    """Return the dots of a csv of 0-based pixel indices at the centres of their pixels."""
    rows, _, _ = parse(path)
    return Dots(np.array([(row.x, row.y) for row in rows]).reshape(-1, 2) + 0.5)


def drawn_splits(names: Sequence[str], sizes: Mapping[str, int]) -> dict[str, str]:
    """Deal names, in the order of their hashes, to splits in proportion to the given sizes."""
    ordered = sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    bounds = np.cumsum([0, *sizes.values()]) * len(ordered) // sum(sizes.values())
    return {name: split for split, start, stop in zip(sizes, bounds[:-1], bounds[1:]) for name in ordered[start:stop]}


class Cells(Benchmark):
    """A set of images with their dots as csv or masks; subclasses name the images and draw the splits."""

    pattern: re.Pattern[str]
    mask_pattern: re.Pattern[str]
    expected: str

    def _find(self, root: Path) -> tuple[list[Path], list[Path]]:
        """Return the images, in ``images/`` or here, and their dots: the csv or, without any, the masks."""
        folder = root / "images" if (root / "images").is_dir() else root
        images = sorted(p for p in folder.iterdir() if self.pattern.fullmatch(p.name))
        if (root / "points_csv").is_dir():
            return images, sorted((root / "points_csv").glob("*.csv"))
        masks = root / "points" if (root / "points").is_dir() else root
        return images, sorted(p for p in masks.iterdir() if self.mask_pattern.fullmatch(p.name) and p not in images)

    def recognises(self, root: Path) -> bool:
        """Return whether images and dots have the names of this set."""
        return root.is_dir() and all(self._find(root))

    def read(self, root: Path) -> Layout:
        """Return the images in the order of their names."""
        images, files = self._find(root)
        if not images or not files:
            raise self.foreign(root, self.expected)
        paired = pair([p.relative_to(root) for p in images], [p.relative_to(root) for p in files])
        splits = self.splits([p.name for p in images])
        entries = []
        for image in images:
            match = paired.get(image.relative_to(root))
            reader = read_pixel_indices if match is not None and match.suffix == ".csv" else DotMask().read
            read = partial(reader, root / match) if match is not None else None
            entries.append(Entry(image, image.relative_to(root).as_posix(), read, splits[image.name]))
        return self.layout(entries, orphans(files, {root / p for p in paired.values()}))

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
    mask_pattern = re.compile(r"\d{3}dots\.png", re.IGNORECASE)
    expected = "001cell.png with 001dots.png, or images/001cell.png with points_csv/001cell.csv"
    totals = {
        "train": (Totals(100, 18_045, "as distributed"),),
        "test": (Totals(100, 17_147, "as distributed"),),
        "all": (Totals(200, 35_192, "as distributed"),),
    }
    protocol = "N = 32 or 50 images drawn from the 100 of the pool, 5 draws or more, tested on the last 100"

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
    mask_pattern = pattern
    expected = "images/*_GTEX-*_Adipose-*.jpeg with points_csv/*.csv or points/*.jpeg"
    totals = {"all": (Totals(200, 31_017, "as distributed"),)}
    protocol = "5 random splits or more into 50 train, 50 val, 100 test; this is one of them"

    def splits(self, names: Sequence[str]) -> dict[str, str]:
        """Return a quarter train, a quarter val, the rest test."""
        return drawn_splits(names, {"train": 50, "val": 50, "test": 100})


@BENCHMARKS.register("mbm")
class BoneMarrow(Benchmark):
    """Modified bone marrow: nuclei in human bone marrow, 600 x 600, with dot masks beside the images.

    ``NAME_dots.png`` beside ``NAME.png``, or as in the repository of its authors, ``MBM_data/NAME_dots_000.png`` beside
    ``NAME_000.png``.
    """

    name = "mbm"
    title = "modified bone marrow (MBM)"
    citation = "Cohen et al., Count-ception: counting by fully convolutional redundant counting, ICCV workshops 2017"
    license = "none stated; images by Kainz et al. 2015"
    protocol = "10 random splits into 15 train, 14 val, 15 test; this is one of them"

    def recognises(self, root: Path) -> bool:
        """Return whether masks called ``BM_*_dots*.png`` are in the folder, or in ``MBM_data`` below."""
        return any(next(place.glob("BM_*_dots*.png"), None) for place in (root, root / "MBM_data"))

    def read(self, root: Path) -> Layout:
        """Return the images in the order of their names."""
        folder = root / "MBM_data" if (root / "MBM_data").is_dir() else root
        masks = {p.with_name(p.name.replace("_dots", "")): p for p in folder.glob("*_dots*.png")}
        images = sorted(p for p in folder.iterdir() if is_image(p) and p not in set(masks.values()))
        if not masks:
            raise self.foreign(root, "BM_GRAZ_HE_0001_01.png with BM_GRAZ_HE_0001_01_dots.png")
        splits = drawn_splits([p.name for p in images], {"train": 15, "val": 14, "test": 15})
        entries = [
            Entry(
                p,
                p.relative_to(root).as_posix(),
                partial(DotMask().read, masks[p]) if p in masks else None,
                splits[p.name],
            )
            for p in images
        ]
        return self.layout(entries, orphans(masks.values(), {masks[p] for p in images if p in masks}))
