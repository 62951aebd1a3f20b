"""BCData (Huang et al. 2020): tumour cells, positive and negative for Ki-67.

Layout: ``images/{train,validation,test}/n.png`` and, in ``annotations/{train,validation,test}``, ``positive/n.h5`` and
``negative/n.h5`` with a data set ``coordinates``, (n, 2) x, y. The numbers are whole; they are taken as pixels counted
from 0, so that a dot is at ``x + 1/2``. Classes: ``positive``, ``negative``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from dotcount.data.benchmarks.base import BENCHMARKS, Benchmark, Totals, has, orphans
from dotcount.data.formats.mat import read_variables
from dotcount.data.formats.structured import dots_of
from dotcount.data.images import is_image
from dotcount.data.layout import Dots, Entry, Layout
from dotcount.errors import AnnotationError

_SPLITS = {"train": "train", "validation": "val", "test": "test"}
_CLASSES = ("positive", "negative")


def read_cells(files: Sequence[tuple[str, Path]], _width: int, _height: int) -> Dots:
    """Return the cells of an image from the file of each class."""
    xy: list[tuple[float, float]] = []
    classes: list[str] = []
    for name, path in files:
        found = np.asarray(read_variables(path).get("coordinates", np.zeros((0, 0))))
        # The reader turns arrays as MATLAB stores them; these were written by Python.
        found = found.T if found.ndim == 2 else found
        if found.size and (found.ndim != 2 or found.shape[1] != 2 or found.dtype.kind not in "iuf"):
            raise AnnotationError(f"annotation {path} holds no (n, 2) array coordinates; download it again")
        xy += [(float(x) + 0.5, float(y) + 0.5) for x, y in found.reshape(-1, 2)]
        classes += [name] * (found.size // 2)
    return dots_of(xy, classes)


@BENCHMARKS.register("bcdata")
class BCData(Benchmark):
    """1,338 images of 640 x 640 px of breast cancer, stained for Ki-67."""

    name = "bcdata"
    title = "BCData"
    citation = "Huang et al., BCData: a large-scale dataset and benchmark for cell detection and counting, MICCAI 2020"
    license = "research use, see the authors' page"
    totals = {"all": (Totals(1338, 181_074, "paper"),)}

    def recognises(self, root: Path) -> bool:
        """Return whether images and files of positive cells are there."""
        if not has(root, "images", "annotations"):
            return False
        return any(next((root / "annotations" / s / "positive").glob("*.h5"), None) is not None for s in _SPLITS)

    def read(self, root: Path) -> Layout:
        """Return the images by split and name."""
        entries, used = [], set()
        for folder, split in _SPLITS.items():
            place = root / "images" / folder
            for image in sorted(p for p in (place.iterdir() if place.is_dir() else ()) if is_image(p)):
                files = [(name, root / "annotations" / folder / name / f"{image.stem}.h5") for name in _CLASSES]
                there = [(name, path) for name, path in files if path.is_file()]
                read = partial(read_cells, there) if len(there) == len(files) else None
                entries.append(Entry(image, image.relative_to(root).as_posix(), read, split))
                used |= {path for _, path in there}
        if not entries:
            raise self.foreign(root, "images/train/0.png with annotations/train/positive/0.h5 and negative/0.h5")
        return self.layout(entries, orphans((root / "annotations").rglob("*.h5"), used))
