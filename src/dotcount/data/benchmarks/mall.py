"""Mall (Chen, Loy, Gong and Xiang 2012): people in a shopping mall, 2,000 frames of one camera.

Layout: ``frames/seq_000001.jpg`` to ``seq_002000.jpg`` and ``mall_gt.mat`` with ``frame{k}.loc``, (n, 2) x, y of the
heads in frame k, and ``count``. Coordinates are taken as they stand; whether they count from 0 or 1 is not told.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from dotcount.data.benchmarks.base import BENCHMARKS, Benchmark, Totals, has
from dotcount.data.formats.mat import read_variables
from dotcount.data.images import is_image
from dotcount.data.layout import Dots, Entry, Layout, fixed
from dotcount.errors import AnnotationError

_TRAINED = 800


@BENCHMARKS.register("mall")
class Mall(Benchmark):
    """2,000 frames of 640 x 480 px; the first 800 train, the others test."""

    name = "mall"
    title = "Mall"
    citation = "Chen, Loy, Gong and Xiang, Feature mining for localised crowd counting, BMVC 2012"
    license = "research use, see the authors' page"
    totals = {"all": (Totals(2000, 62_325, "paper"),)}
    protocol = "frames 1 to 800 train, 801 to 2000 test; the region of interest (perspective_roi.mat) is not used"

    def recognises(self, root: Path) -> bool:
        """Return whether ``mall_gt.mat`` stands beside ``frames``."""
        return has(root, "mall_gt.mat", "frames")

    def read(self, root: Path) -> Layout:
        """Return the frames by number."""
        if not self.recognises(root):
            raise self.foreign(root, "mall_gt.mat and frames/seq_000001.jpg")
        path = root / "mall_gt.mat"
        heads = frames_of(read_variables(path), path)
        entries = []
        for image in sorted(p for p in (root / "frames").iterdir() if is_image(p)):
            number = int((re.findall(r"\d+", image.stem) or ["0"])[-1])
            read = fixed(Dots(heads[number - 1])) if 0 < number <= len(heads) else None
            split = "train" if number <= _TRAINED else "test"
            entries.append(Entry(image, image.relative_to(root).as_posix(), read, split))
        lost = len(heads) - len(entries)
        unmatched = [f"annotation {path} is of {len(heads)} frames, {len(entries)} are there; restore the others"]
        return self.layout(entries, unmatched if lost > 0 else [])


def frames_of(variables: dict[str, Any], path: Path) -> list[np.ndarray]:
    """Return the (n, 2) heads of each frame; their numbers must be those of ``count``, where it is there."""
    frames = variables.get("frame")
    frames = frames if isinstance(frames, list) else [frames]
    heads = []
    for k, frame in enumerate(frames, start=1):
        while isinstance(frame, list) and len(frame) == 1:
            frame = frame[0]
        loc = frame.get("loc") if isinstance(frame, dict) else None
        if not isinstance(loc, np.ndarray) or loc.ndim != 2 or (loc.size and loc.shape[1] < 2):
            raise AnnotationError(f"annotation {path}: frame {k} holds no (n, 2) array loc; download the file again")
        heads.append(loc[:, :2].astype(np.float64) if loc.size else np.zeros((0, 2)))
    counts = np.ravel(variables.get("count", ()))
    if counts.size:
        wrong = [k for k, (n, xy) in enumerate(zip(counts, heads), start=1) if int(n) != len(xy)]
        if counts.size != len(heads) or wrong:
            where = f"frame {wrong[0]}" if wrong else f"{counts.size} counts for {len(heads)} frames"
            raise AnnotationError(f"annotation {path}: counts and heads disagree ({where}); download the file again")
    return heads
