"""Located points on the map, in the reference system of the image."""

from __future__ import annotations

from dotcount.errors import DataError
from dotcount.geo import Georeference, write_geopackage
from dotcount.inference.result import Prediction
from dotcount.prediction.frame import Frame
from dotcount.prediction.output import OutputFolder
from dotcount.prediction.sinks.base import SINKS, Sink


@SINKS.register("geopackage")
class GeoPackages(Sink):
    """``geopackage/NAME.gpkg``: the layer ``objects`` with a point for each, its score and its px."""

    title = "points as GeoPackage, for georeferenced images"
    names = ("geopackage/",)

    def open(self, out: OutputFolder) -> None:
        """Begin or continue."""
        self._out = out

    def write(self, frame: Frame, prediction: Prediction | None) -> None:
        """Write the points of one image."""
        if prediction is not None:
            with self._out.file(f"geopackage/{frame.name}.gpkg") as path:
                write_geopackage(path, prediction.points, prediction.scores, place_of(frame))


def place_of(frame: Frame) -> Georeference:
    """Return where a frame lies; a :class:`DataError` if that is not known."""
    if frame.meta.place is None:
        raise DataError("the image is not georeferenced, or not read as such; give a GeoTIFF with a reference system")
    return frame.meta.place
