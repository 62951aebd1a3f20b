"""ShanghaiTech A and B (Zhang et al., CVPR 2016): people in crowds and streets.

Layout: ``{train_data,test_data}/images/IMG_n.jpg`` with ``ground-truth/GT_IMG_n.mat`` (also ``ground_truth``; the
parts' folders are called ``part_A`` or ``part_A_final``). The ``.mat`` holds ``image_info{1}.location``, (n, 2) x, y.

Coordinates are taken as they are, as positions from the image's corner. In Part B (1024 x 768) they lie in [0.12,
1023.95] x [0.001, 766.4], 70 of 88,272 dots below 1/2 in x or y and none at or beyond the width: 1-based pixel centres
would span [0.5, 1024.5] instead.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from dotcount.data.benchmarks.base import BENCHMARKS, Benchmark, Totals, has, orphans
from dotcount.data.formats.mat import read_mat_points
from dotcount.data.images import is_image
from dotcount.data.layout import Entry, Layout

_TRUTH = ("ground-truth", "ground_truth")


def _truth_folder(part: Path) -> Path | None:
    return next((part / name for name in _TRUTH if (part / name).is_dir()), None)


def _number(path: Path) -> tuple[int, str]:
    digits = re.findall(r"\d+", path.stem)
    return (int(digits[-1]) if digits else 0, path.name)


class ShanghaiTech(Benchmark):
    """One part of ShanghaiTech."""

    part: str
    citation = "Zhang et al., Single-image crowd counting via multi-column convolutional neural network, CVPR 2016"
    license = "research use; the authors' repository of links is BSD-2-Clause"

    def recognises(self, root: Path) -> bool:
        """Return whether the folder, or one below it, has ``train_data`` with images and ground truth."""
        return self._root(root) is not None

    def _root(self, root: Path) -> Path | None:
        names = (f"part_{self.part}", f"part_{self.part}_final")
        inner = [root / name for name in names] + [root / "ShanghaiTech" / name for name in names]
        for folder in (*inner, root):
            named = f"part_{self.part}".lower() in folder.resolve().as_posix().lower()
            if named and (has(folder, "train_data/images") or has(folder, "test_data/images")):
                return folder
        # Unnamed copies: only the recipe's own name says which part it is.
        return None

    def read(self, root: Path) -> Layout:
        """Return the images of both splits, ordered by number."""
        folder = self._root(root) or root
        entries: list[Entry] = []
        unmatched: list[str] = []
        for split in ("train", "test"):
            part = folder / f"{split}_data"
            truth = _truth_folder(part)
            if not (part / "images").is_dir() or truth is None:
                continue
            images = sorted((p for p in (part / "images").iterdir() if is_image(p)), key=_number)
            for image in images:
                mat = truth / f"GT_{image.stem}.mat"
                read = partial(read_mat_points, mat) if mat.is_file() else None
                entries.append(Entry(image, image.relative_to(folder).as_posix(), read, split))
            unmatched += orphans(truth.glob("*.mat"), {truth / f"GT_{image.stem}.mat" for image in images})
        if not entries:
            raise self.foreign(root, "train_data/images and train_data/ground-truth")
        return self.layout(entries, unmatched, outside="known")


@BENCHMARKS.register("shanghaitech_a")
class PartA(ShanghaiTech):
    """Dense crowds from the web, sizes vary."""

    name = "shanghaitech_a"
    title = "ShanghaiTech part A"
    part = "A"
    totals = {"all": (Totals(482, 241_677, "paper"),)}
    protocol = "whole images; some papers count six photographs that are in both train and test"


@BENCHMARKS.register("shanghaitech_b")
class PartB(ShanghaiTech):
    """Streets of Shanghai, 1024 x 768."""

    name = "shanghaitech_b"
    title = "ShanghaiTech part B"
    part = "B"
    totals = {
        "train": (Totals(400, 49_151, "November 2016 release"),),
        "test": (Totals(316, 39_121, "November 2016 release"),),
        "all": (
            Totals(716, 88_272, "November 2016 release"),
            Totals(716, 88_488, "2015 release, which has dots outside their images"),
        ),
    }
    protocol = "whole images"
