"""NWPU-Crowd (Wang et al., TPAMI 2020): crowds of 0 to 20,033 people, with images without any.

Layout: ``images/nnnn.jpg`` or, as downloaded, ``images_part1/`` to ``images_part5/``; ``mats/nnnn.mat`` (``annPoints``)
or ``jsons/nnnn.json`` (``points``); ``train.txt``, ``val.txt``, ``test.txt`` with lines ``id illumination level``. The
labels of the test split are not public: its images are unlabelled. Dots are taken as positions.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from dotcount.data.benchmarks.base import BENCHMARKS, Benchmark, listed, orphans
from dotcount.data.formats.mat import read_mat_points
from dotcount.data.formats.structured import demand, dots_of, load_json, number
from dotcount.data.layout import Dots, Entry, Layout, ReadDots
from dotcount.data.resizing import ResizeRule

_SPLITS = ("train", "val", "test")


def read_json_points(path: Path, _width: int, _height: int) -> Dots:
    """Return the ``points`` of one image."""
    points = demand(demand(load_json(path), dict, path, "the top level").get("points"), list, path, "points")
    if any(not isinstance(p, list) or len(p) != 2 for p in points):
        demand(None, list, path, "a point [x, y]")
    return dots_of([(number(x, path, "x"), number(y, path, "y")) for x, y in points], [])


def _images(root: Path) -> dict[str, Path]:
    folders = [root / "images", *sorted(root.glob("images_part*"))]
    return {p.stem: p for folder in folders if folder.is_dir() for p in sorted(folder.rglob("*.jpg"))}


@BENCHMARKS.register("nwpu")
class Nwpu(Benchmark):
    """Crowds with illumination and density levels."""

    name = "nwpu"
    title = "NWPU-Crowd"
    citation = "Wang et al., NWPU-Crowd: a large-scale benchmark for crowd counting and localization, TPAMI 2020"
    license = "academic and non-commercial use"
    resize = ResizeRule(min_side=384, max_side=2048)
    # The paper's total, 5,109 images with 2,133,375 heads, includes the test split, whose labels are withheld.
    protocol = (
        "longer side at most 2048 px (shorter at least 384 in DM-Count); 'Avg.' is the mean over subsets S0 to S4"
    )

    def recognises(self, root: Path) -> bool:
        """Return whether split lists stand beside ``mats/`` or ``jsons/``."""
        lists = all((root / f"{split}.txt").is_file() for split in ("train", "val"))
        return lists and ((root / "mats").is_dir() or (root / "jsons").is_dir())

    def read(self, root: Path) -> Layout:
        """Return the images of the split lists, in the order of the lists."""
        if not self.recognises(root):
            raise self.foreign(root, "images/0001.jpg, mats/0001.mat or jsons/0001.json, train.txt and val.txt")
        images = _images(root)
        entries: list[Entry] = []
        for split in _SPLITS:
            path = root / f"{split}.txt"
            for name, *levels in listed(path) if path.is_file() else ():
                image = images.get(name, root / "images" / f"{name}.jpg")
                labels = dict(zip(("luminance", "level"), (f"{k}{v}" for k, v in zip("LS", levels))))
                read = self._reader(root, name, split)
                entries.append(Entry(image, image.relative_to(root).as_posix(), read, split, labels))
        used = {root / "mats" / f"{Path(e.name).stem}.mat" for e in entries}
        unmatched = orphans((root / "mats").glob("*.mat"), used)
        return self.layout(entries, unmatched, absent="unlabelled", outside="known")

    def _reader(self, root: Path, name: str, split: str) -> ReadDots | None:
        mat, json = root / "mats" / f"{name}.mat", root / "jsons" / f"{name}.json"
        if mat.is_file():
            return partial(read_mat_points, mat)
        if json.is_file() or split != "test":  # a missing file is an error, except where labels are withheld
            return partial(read_json_points, json)
        return None
