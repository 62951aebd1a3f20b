"""The objects in each region of each image, as a table."""

from __future__ import annotations

from dotcount.files import csv_line
from dotcount.inference.result import Prediction
from dotcount.prediction.frame import Frame
from dotcount.prediction.output import OutputFolder
from dotcount.prediction.sinks.base import SINKS, Sink
from dotcount.regions import RegionCounts, count_regions

REGION_COLUMNS = (
    ("image", "part", "region", "count", "low", "high")
    + ("area_px2", "area_m2", "objects_per_m2", "objects_per_hectare", "note")
)  # fmt: skip


def counts_of(frame: Frame, prediction: Prediction) -> RegionCounts:
    """Return the objects in each region of a frame, outside all of them and in all of it."""
    size = (prediction.width, prediction.height)
    found = count_regions(prediction.density, prediction.stride, frame.meta.regions, size)
    return found.with_intervals(prediction.part)


@SINKS.register("regions")
class RegionTable(Sink):
    """``regions.csv``: of each image its regions, what lies outside all of them (``rest``) and the whole image.

    Regions and rest add up to the whole image; where regions overlap, what the sum of them has twice or more is a row
    ``shared``, to be subtracted, and each two that do are a row ``overlap``. Areas on the ground are there for
    georeferenced images.
    """

    title = "regions.csv, the objects in each region"
    names = ("regions.csv",)

    def open(self, out: OutputFolder) -> None:
        """Write the header of a new file."""
        self._file = out.grow("regions.csv")
        if self._file.new:
            self._file.write(csv_line(*REGION_COLUMNS))

    def write(self, frame: Frame, prediction: Prediction | None) -> None:
        """Write the rows of one image."""
        if prediction is None:
            return
        found, pixels = counts_of(frame, prediction), float(prediction.width * prediction.height)
        place = frame.meta.place
        ground = None if place is None else place.area / pixels
        self._ground, self._name = ground, frame.name
        for region in found.regions:
            self._row("region", region.name, region.count, region.interval, region.area, "; ".join(region.notes))
        for first, second, count in found.overlaps:
            self._row("overlap", f"{first} & {second}", count)
        if found.overlaps:
            self._row("shared", "", found.shared, note="counted in more than one region; the sum has it too often")
        if found.regions:
            self._row("rest", "", found.rest, found.rest_interval, found.rest_area)
        note = "" if found.regions else "no region belongs to it"
        self._row("image", "", prediction.count, prediction.interval, pixels, note)

    def _row(
        self,
        part: str,
        region: str,
        count: float,
        interval: tuple[float, float] | None = None,
        area: float | None = None,
        note: str = "",
    ) -> None:
        low, high = interval or (None, None)
        ground = None if area is None or self._ground is None else area * self._ground
        by_area = (None, None) if not ground else (count / ground, count / ground * 10_000)
        numbers = (None if number is None else f"{number:.9g}" for number in (count, low, high, area, ground, *by_area))
        self._file.write(csv_line(self._name, part, region, *numbers, note or None))
