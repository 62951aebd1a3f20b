"""Regions of a file on the frames that they belong to, and what of the file is of no use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from dotcount.data.region_files import RegionSet, placed
from dotcount.errors import DataError
from dotcount.prediction.frame import Frame, printable
from dotcount.regions import Region

_STRAY = "images that regions belong to and that are not counted"


def add_regions(known: RegionSet, shared: Mapping[str, int], frame: Frame) -> None:
    """Give a frame its regions, in px; what a person should know of that is a warning.

    Parameters
    ----------
    known
        All regions.
    shared
        Names of theirs that stand for several images, and for how many.
    frame
        Whose name and size say which of them are its own.
    """
    name = known.named(frame.name)
    if name in shared:
        frame.warn(f"the regions of {name} were taken for {shared[name]:,} images; name those with their folders")
    regions, crs = known.of(frame.name)
    try:
        found, note = placed(regions, crs, frame.meta.place, frame.size)
    except DataError as error:
        frame.warn(f"regions not counted: {error}")
        return
    frame.meta = replace(frame.meta, regions=found)
    if note is not None:
        frame.warn(note)
    outside = sum(not _meets(region, frame.size) for region in found)
    if outside:
        many = f"{outside:,} of {len(found):,} regions lie" if outside < len(found) else "all regions lie"
        frame.warn(f"{many} outside the image; check whether they are drawn in this image")


def _meets(region: Region, size: tuple[int, int]) -> bool:
    """Return whether the bounds of a region meet an image."""
    xy = np.concatenate([ring for rings in region.polygons for ring in rings])
    return bool((xy.min(axis=0) < size).all() and (xy.max(axis=0) > 0).all())


def unused(known: RegionSet, names: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return what of a file of regions is no region, and of which image no frame is: (name, kind, remedy) each."""
    path = printable(str(known.path))
    found = [(path, kind, "draw polygons") for number, kind in known.left_out for _ in range(number)]
    remedy = "name them in the regions as in counts.csv, or count them"
    return found + [(printable(name), _STRAY, remedy) for name in known.missing(names)]
