"""UCF-QNRF (Idrees et al., ECCV 2018) and UCF_CC_50 (Idrees et al., CVPR 2013): dense crowds from the web.

UCF-QNRF: ``{Train,Test}/img_nnnn.jpg`` with ``img_nnnn_ann.mat`` beside it; UCF_CC_50: ``n.jpg`` with ``n_ann.mat``.
Both hold ``annPoints``, (n, 2) fractional x, y, taken as positions. Some dots lie outside their images; the published
totals include them.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from dotcount.data.benchmarks.base import BENCHMARKS, Benchmark, Totals, orphans
from dotcount.data.formats.mat import read_mat_points
from dotcount.data.images import is_image
from dotcount.data.layout import Entry, Layout
from dotcount.data.resizing import ResizeRule

_FOLDS = 5


def _pairs(folder: Path, pattern: str) -> tuple[list[tuple[Path, Path]], list[str]]:
    """Return images with the path of their annotation, by number, and messages about annotations without image."""
    images = [p for p in folder.iterdir() if is_image(p) and re.fullmatch(pattern, p.stem)]
    pairs = [(p, p.with_name(f"{p.stem}_ann.mat")) for p in images]
    pairs.sort(key=lambda pair: int(re.sub(r"\D", "", pair[0].stem)))
    return pairs, orphans(folder.glob("*_ann.mat"), {mat for _, mat in pairs})


@BENCHMARKS.register("ucf_qnrf")
class Qnrf(Benchmark):
    """Very dense crowds, very large images."""

    name = "ucf_qnrf"
    title = "UCF-QNRF"
    citation = (
        "Idrees et al., Composition loss for counting, density map estimation and localization in dense crowds, "
        "ECCV 2018"
    )
    license = "research use, see the terms of the University of Central Florida"
    resize = ResizeRule(min_side=512, max_short_side=2048)
    protocol = "shorter side clamped to [512, 2048] px"
    totals = {"all": (Totals(1_535, 1_251_642, "paper"),)}

    def recognises(self, root: Path) -> bool:
        """Return whether ``Train`` or ``Test`` has images called ``img_nnnn`` with annotations beside them."""
        return any(next((root / part).glob("img_*_ann.mat"), None) for part in ("Train", "Test"))

    def read(self, root: Path) -> Layout:
        """Return the images of both splits by number."""
        entries: list[Entry] = []
        unmatched: list[str] = []
        for folder, split in (("Train", "train"), ("Test", "test")):
            if (root / folder).is_dir():
                pairs, lost = _pairs(root / folder, r"img_\d+")
                unmatched += lost
                entries += [
                    Entry(i, i.relative_to(root).as_posix(), partial(read_mat_points, m) if m.exists() else None, split)
                    for i, m in pairs
                ]
        if not entries:
            raise self.foreign(root, "Train/img_0001.jpg with Train/img_0001_ann.mat")
        return self.layout(entries, unmatched, outside="known")


class Cc50(Benchmark):
    """50 grey images; fold k of 5 is tested on, the others are trained on.

    The folds of the paper were never published; these take consecutive tens by number, as most code does.
    """

    title = "UCF_CC_50"
    citation = "Idrees et al., Multi-source multi-scale counting in extremely dense crowd images, CVPR 2013"
    license = "research use, see the terms of the University of Central Florida"
    totals = {"all": (Totals(50, 63_974, "paper"),)}
    protocol = "mean over the 5 folds: ucf_cc_50 (or ucf_cc_50_fold1) to ucf_cc_50_fold5"

    def __init__(self, fold: int = 1) -> None:
        self.fold = fold
        self.name = f"ucf_cc_50_fold{fold}"

    def recognises(self, root: Path) -> bool:
        """Return whether ``1.jpg`` stands beside ``1_ann.mat``."""
        return (root / "1_ann.mat").is_file() and any((root / f"1{end}").is_file() for end in (".jpg", ".JPG", ".png"))

    def read(self, root: Path) -> Layout:
        """Return the images by number; the chosen fold is the split test, the rest train."""
        pairs, unmatched = _pairs(root, r"\d+")
        if not pairs:
            raise self.foreign(root, "1.jpg with 1_ann.mat")
        entries = []
        for position, (image, mat) in enumerate(pairs):
            fold = position * _FOLDS // len(pairs) + 1
            read = partial(read_mat_points, mat) if mat.exists() else None
            split = "test" if fold == self.fold else "train"
            entries.append(Entry(image, image.name, read, split, {"fold": f"fold {fold}"}))
        return self.layout(entries, unmatched, outside="known")


BENCHMARKS.register("ucf_cc_50")(partial(Cc50, 1))
for _fold in range(1, _FOLDS + 1):
    BENCHMARKS.register(f"ucf_cc_50_fold{_fold}")(partial(Cc50, _fold))
