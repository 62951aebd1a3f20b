"""TRANCOS (Guerrero-Gomez-Olmo et al. 2015): vehicles in traffic jams.

Layout (version 3): ``images/image-1-000001.jpg`` with a dot mask ``image-1-000001dots.png`` and a region of interest
``image-1-000001mask.mat`` beside it, and ``image_sets/{training,validation,test}.txt``, a name ``image-1-000001.jpg``
in each line. Dots lie within the region alone; the region itself is not used, so that a network is also asked to count
nothing outside it.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from dotcount.data.benchmarks.base import BENCHMARKS, Benchmark, Totals, has, listed, orphans
from dotcount.data.formats.masks import DotMask
from dotcount.data.layout import Entry, Layout

_SETS = {"training": "train", "validation": "val", "test": "test"}


@BENCHMARKS.register("trancos")
class Trancos(Benchmark):
    """1,244 images of 640 x 480 px from traffic cameras."""

    name = "trancos"
    title = "TRANCOS"
    citation = "Guerrero-Gomez-Olmo et al., Extremely overlapping vehicle counting, IbPRIA 2015"
    license = "research use, see the authors' page"
    totals = {"all": (Totals(1244, 46_796, "paper"),)}
    protocol = "GAME(0) to GAME(3) within the region of interest, which is not read here"

    def recognises(self, root: Path) -> bool:
        """Return whether the lists stand beside images with dot masks of their names."""
        found = has(root, "image_sets/training.txt", "images")
        return found and next((root / "images").glob("*dots.png"), None) is not None

    def read(self, root: Path) -> Layout:
        """Return the images of the lists, in their order."""
        if not has(root, "image_sets", "images"):
            raise self.foreign(root, "image_sets/training.txt and images/image-1-000001.jpg with ...dots.png")
        entries, used = [], set()
        for words, split in _SETS.items():
            names = root / "image_sets" / f"{words}.txt"
            for name in (line[0] for line in (listed(names) if names.is_file() else ())):
                image = root / "images" / f"{Path(name).stem}.jpg"
                mask = image.with_name(f"{image.stem}dots.png")
                read = partial(DotMask().read, mask) if mask.is_file() else None
                entries.append(Entry(image, image.relative_to(root).as_posix(), read, split))
                used.add(mask)
        return self.layout(entries, orphans((root / "images").glob("*dots.png"), used))
