"""JHU-CROWD++ (Sindagi et al. 2020): crowds with weather, scenes and head sizes.

Layout: ``{train,val,test}/images/nnnn.jpg``, ``gt/nnnn.txt`` and ``image_labels.txt``. A line of ``gt`` is a head:
``x y w h occlusion blur``, (x, y) its middle in whole px (a pixel, so the dot is at its centre), occlusion 1 visible,
2 partial, 3 full. A line of ``image_labels.txt`` is an image: ``name,count,scene,weather,distractor``, weather 0 none,
1 fog or haze, 2 rain, 3 snow. An empty ``gt`` file is an image without people.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from dotcount.data.benchmarks.base import BENCHMARKS, Benchmark, Totals, orphans
from dotcount.data.formats.base import read_text
from dotcount.data.formats.structured import dots_of
from dotcount.data.images import is_image
from dotcount.data.layout import Dots, Entry, Layout
from dotcount.data.resizing import ResizeRule
from dotcount.errors import AnnotationError

_WEATHER = {"0": "clear", "1": "fog", "2": "rain", "3": "snow"}
_OCCLUSION = {"1": "visible", "2": "partly hidden", "3": "hidden"}


def read_heads(path: Path, _width: int, _height: int) -> Dots:
    """Return the middles of the heads; the class tells occlusion and blur: ``visible``, ``hidden, blurred``."""
    xy, classes = [], []
    for line, text in enumerate(read_text(path).splitlines(), start=1):
        values = text.split()
        if not values:
            continue
        try:
            x, y = float(values[0]), float(values[1])
        except (IndexError, ValueError) as error:
            raise AnnotationError(f"annotation {path}, line {line}: {text[:40]!r} is not x y w h o b") from error
        xy.append((x + 0.5, y + 0.5))
        occlusion = _OCCLUSION.get(values[4], values[4]) if len(values) > 4 else ""
        blurred = len(values) > 5 and values[5] not in ("0", "")
        classes.append(f"{occlusion}, blurred" if blurred else occlusion)
    return dots_of(xy, classes)


def read_labels(path: Path) -> dict[str, Mapping[str, str]]:
    """Return the labels by image stem: scene, weather, and, where they apply, ``Weather`` and ``distractor``."""
    labels: dict[str, Mapping[str, str]] = {}
    for text in read_text(path).splitlines() if path.is_file() else ():
        name, *values = [value.strip() for value in text.split(",")]
        if len(values) < 4:
            continue
        found = {"scene": values[1], "weather": _WEATHER.get(values[2], values[2])}
        if values[2] != "0":
            found["weather subset"] = "Weather"  # the paper's subset: any degradation
        if values[3] != "0":
            found["distractor"] = "distractor"
        labels[name] = found
    return labels


@BENCHMARKS.register("jhu_crowd")
class Jhu(Benchmark):
    """Unconstrained crowds; labels by image and by head."""

    name = "jhu_crowd"
    title = "JHU-CROWD++"
    citation = "Sindagi et al., JHU-CROWD++: large-scale crowd counting dataset and a benchmark method, TPAMI 2020"
    license = "research use, see the terms of Johns Hopkins University"
    resize = ResizeRule(min_side=512, max_side=2048)
    totals = {"all": (Totals(4_372, 1_515_005, "paper"),)}
    protocol = "longer side at most 2048 px, shorter at least 512; subsets Low 0-50, Medium 51-500, High, Weather"

    def recognises(self, root: Path) -> bool:
        """Return whether a split has ``gt`` with text files beside ``image_labels.txt``."""
        return any((root / s / "gt").is_dir() and (root / s / "image_labels.txt").is_file() for s in self._splits())

    @staticmethod
    def _splits() -> tuple[str, str, str]:
        return "train", "val", "test"

    def read(self, root: Path) -> Layout:
        """Return the images of all splits by name."""
        entries: list[Entry] = []
        unmatched: list[str] = []
        for split in self._splits():
            part = root / split
            if not (part / "images").is_dir():
                continue
            labels = read_labels(part / "image_labels.txt")
            images = sorted(p for p in (part / "images").iterdir() if is_image(p))
            for image in images:
                text = part / "gt" / f"{image.stem}.txt"
                read = partial(read_heads, text) if text.is_file() else None
                name = image.relative_to(root).as_posix()
                entries.append(Entry(image, name, read, split, labels.get(image.stem, {})))
            unmatched += orphans((part / "gt").glob("*.txt"), {part / "gt" / f"{i.stem}.txt" for i in images})
        if not entries:
            raise self.foreign(root, "train/images/0001.jpg, train/gt/0001.txt and train/image_labels.txt")
        return self.layout(entries, unmatched, outside="known")
