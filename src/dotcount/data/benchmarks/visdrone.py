"""VisDrone crowd counting (VisDrone2020-CC): people in frames from drones.

Layout: ``sequences/00001/00001.jpg`` and ``annotations/00001.txt`` for each sequence, a head ``frame,x,y`` in each
line, x and y whole px (a pixel, so that the dot is at its middle); ``trainlist.txt`` and ``testlist.txt`` name
sequences. Those of the challenge's test set have no public annotation. The frames of one sequence look alike: splits
must keep them together, as these lists do.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np

from dotcount.data.benchmarks.base import BENCHMARKS, Benchmark, has, listed, orphans
from dotcount.data.formats.base import read_text
from dotcount.data.images import is_image
from dotcount.data.layout import Dots, Entry, Layout, fixed
from dotcount.errors import AnnotationError


def read_sequence(path: Path) -> dict[int, np.ndarray]:
    """Return the (n, 2) dots of each frame of a sequence."""
    heads: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for line, text in enumerate(read_text(path).splitlines(), start=1):
        if not text.strip():
            continue
        try:
            frame, x, y = (float(value) for value in text.split(",")[:3])
        except ValueError as error:
            raise AnnotationError(f"annotation {path}, line {line}: {text[:40]!r} is not frame,x,y") from error
        heads[int(frame)].append((x + 0.5, y + 0.5))
    return {frame: np.array(xy) for frame, xy in heads.items()}


@BENCHMARKS.register("visdrone_cc")
class VisDroneCC(Benchmark):
    """Frames of 1920 x 1080 px from 82 sequences with public annotation."""

    name = "visdrone_cc"
    title = "VisDrone-CC"
    citation = (
        "Du et al., VisDrone-CC2020: the vision meets drone crowd counting challenge results, ECCV workshops 2020"
    )
    license = "research use, see the authors' page"

    def recognises(self, root: Path) -> bool:
        """Return whether sequences and annotations are there, with a list of them."""
        lists = any((root / f"{split}list.txt").is_file() for split in ("train", "test"))
        return lists and has(root, "sequences", "annotations")

    def read(self, root: Path) -> Layout:
        """Return the frames of the listed sequences, in the order of the lists."""
        if not self.recognises(root):
            raise self.foreign(root, "sequences/00001/00001.jpg, annotations/00001.txt and trainlist.txt")
        entries, used = [], set()
        for split in ("train", "test"):
            names = root / f"{split}list.txt"
            for sequence in (line[0] for line in (listed(names) if names.is_file() else ())):
                path = root / "annotations" / f"{sequence}.txt"
                heads = read_sequence(path) if path.is_file() else None
                used.add(path)
                place = root / "sequences" / sequence
                for image in sorted(p for p in (place.iterdir() if place.is_dir() else ()) if is_image(p)):
                    number = int(image.stem) if image.stem.isdigit() else -1
                    none = np.zeros((0, 2))
                    read = fixed(Dots(heads.get(number, none))) if heads is not None else None
                    labels = {"sequence": sequence}
                    entries.append(Entry(image, image.relative_to(root).as_posix(), read, split, labels))
        return self.layout(entries, orphans((root / "annotations").glob("*.txt"), used), absent="unlabelled")
