"""Urban trees in aerial imagery (Ventura et al. 2024): 256 x 256 TIFF with red, green, blue and near infrared.

Layout: ``images/NAME.tif``, ``points/NAME.csv`` (``csv/`` in the authors' archive) with ``x,y``, and split lists
``train.txt``, ``val.txt``, ``test.txt`` or, for Southern California in 2020, ``*_socal.txt``. No csv means no trees.
Coordinates are whole numbers from 0 to 255, that is 0-based pixel indices: a tree is at ``x + 1/2``.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from dotcount.data.benchmarks.base import BENCHMARKS, Benchmark, Totals, listed
from dotcount.data.benchmarks.cells import read_pixel_indices
from dotcount.data.layout import Entry, Layout, ReadDots, no_dots

_PARTS = ("train", "val", "test")


def _suffix(root: Path) -> str | None:
    """Return which set of lists to use: the whole of it where all three are there, else Southern California."""
    return next((s for s in ("", "_socal") if all((root / f"{part}{s}.txt").is_file() for part in _PARTS)), None)


def _points_folder(root: Path) -> Path | None:
    return next((root / name for name in ("points", "csv") if (root / name).is_dir()), None)


@BENCHMARKS.register("urban_trees_socal")
class UrbanTrees(Benchmark):
    """Trees in 60 cm aerial imagery of Californian cities."""

    name = "urban_trees_socal"
    title = "urban trees"
    citation = (
        "Ventura et al., Individual tree detection in large-scale urban environments using high-resolution "
        "multispectral imagery, JAG 130, 2024"
    )
    license = "CC BY 4.0"
    totals = {
        "train": (Totals(383, 19_809, "Southern California 2020"),),
        "val": (Totals(43, 2_070, "Southern California 2020"),),
        "test": (Totals(48, 2_681, "Southern California 2020"),),
    }

    def recognises(self, root: Path) -> bool:
        """Return whether split lists stand beside ``images/`` with TIFF files and ``points/`` or ``csv/``."""
        if _suffix(root) is None or _points_folder(root) is None or not (root / "images").is_dir():
            return False
        return next((root / "images").glob("*.tif"), None) is not None

    def read(self, root: Path) -> Layout:
        """Return the images of the split lists, in the order of the lists."""
        suffix, points = _suffix(root), _points_folder(root)
        if suffix is None or points is None:
            raise self.foreign(root, "images/, points/ and train_socal.txt, val_socal.txt, test_socal.txt")
        entries = []
        known = set()
        for split in _PARTS:
            for name in (words[0] for words in listed(root / f"{split}{suffix}.txt")):
                image = root / "images" / f"{name}.tif"
                csv = points / f"{name}.csv"
                read: ReadDots = partial(read_pixel_indices, csv) if csv.is_file() else no_dots
                city = name.rsplit("_", 2)[0]
                entries.append(Entry(image, image.relative_to(root).as_posix(), read, split, {"city": city}))
                known.add(name)
        lost = sorted(p for p in points.glob("*.csv") if p.stem not in known and not suffix)
        unmatched = [f"annotation {p} is in none of the split lists; add its image or remove it" for p in lost]
        return self.layout(entries, unmatched, absent="zero")
