"""CARPK and PUCPR+ (Hsieh, Lin and Hsu 2017): cars on parking lots, from a drone and from a high building.

Layout of both: ``data/Images/NAME.png`` (PUCPR+ ``.jpg``), ``data/Annotations/NAME.txt`` with a box ``x1 y1 x2 y2 1``
in each line, and ``data/ImageSets/{train,test}.txt``, a NAME in each line. A dot is the middle of its box, with the
numbers as they stand: whether they count pixels from 0 or from 1 is not told, and boxes are wider than that.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from dotcount.data.benchmarks.base import BENCHMARKS, Benchmark, Totals, has, listed, orphans
from dotcount.data.formats.base import read_text
from dotcount.data.formats.structured import dots_of
from dotcount.data.images import is_image
from dotcount.data.layout import Dots, Entry, Layout
from dotcount.errors import AnnotationError


def read_boxes(path: Path, _width: int, _height: int) -> Dots:
    """Return the middles of the boxes ``x1 y1 x2 y2 ...`` of a text file."""
    xy = []
    for line, text in enumerate(read_text(path).splitlines(), start=1):
        if not text.strip():
            continue
        try:
            left, top, right, bottom = map(float, text.split()[:4])
        except ValueError as error:
            raise AnnotationError(f"annotation {path}, line {line}: {text[:40]!r} is not x1 y1 x2 y2") from error
        if right < left or bottom < top:
            raise AnnotationError(
                f"annotation {path}, line {line}: {text[:40]!r} is no box; its corners are in disorder"
            )
        xy.append(((left + right) / 2, (top + bottom) / 2))
    return dots_of(xy, [""] * len(xy))


class ParkingLot(Benchmark):
    """One of the two sets."""

    folder: str
    citation = "Hsieh, Lin and Hsu, Drone-based object counting by spatially regularized proposal networks, ICCV 2017"
    license = "research use, by an agreement with the authors"

    def _root(self, root: Path) -> Path | None:
        """Return the folder ``data`` in a folder whose name says which of the sets it is."""
        for place in (root, root / self.folder, root / "data", root / self.folder / "data"):
            named = any(
                part.casefold().startswith(self.folder.split("_")[0].casefold()) for part in place.resolve().parts
            )
            if named and has(place, "Images", "Annotations", "ImageSets"):
                return place
        return None

    def recognises(self, root: Path) -> bool:
        """Return whether images, boxes and lists are there, under a name of this set."""
        return self._root(root) is not None

    def read(self, root: Path) -> Layout:
        """Return the images of the lists, in their order."""
        place = self._root(root) or next((p for p in (root, root / "data") if has(p, "Images", "Annotations")), None)
        if place is None or not has(place, "ImageSets"):
            raise self.foreign(root, f"{self.folder}/data with Images, Annotations and ImageSets")
        images = {path.stem: path for path in sorted((place / "Images").iterdir()) if is_image(path)}
        entries, used = [], set()
        for split in ("train", "test"):
            names = place / "ImageSets" / f"{split}.txt"
            for name in (line[0] for line in (listed(names) if names.is_file() else ())):
                image = images.get(name, place / "Images" / f"{name}.png")
                boxes = place / "Annotations" / f"{name}.txt"
                read = partial(read_boxes, boxes) if boxes.is_file() else None
                entries.append(Entry(image, image.relative_to(place).as_posix(), read, split))
                used.add(boxes)
        return self.layout(entries, orphans((place / "Annotations").glob("*.txt"), used))


@BENCHMARKS.register("carpk")
class Carpk(ParkingLot):
    """1,448 images of 1280 x 720 px from a drone."""

    name = "carpk"
    title = "CARPK"
    folder = "CARPK_devkit"
    totals = {"all": (Totals(1448, 89_777, "paper"),)}


@BENCHMARKS.register("pucpr")
class Pucpr(ParkingLot):
    """125 images of 1280 x 720 px from the tenth floor of a building."""

    name = "pucpr"
    title = "PUCPR+"
    folder = "PUCPR+_devkit"
