"""Located points as longitude and latitude, which is what GeoJSON is (RFC 7946)."""

from __future__ import annotations

from dotcount.inference.result import Prediction
from dotcount.prediction.frame import Frame
from dotcount.prediction.output import OutputFolder
from dotcount.prediction.sinks.base import SINKS, Sink
from dotcount.prediction.sinks.geopackage import place_of

_ROWS = 10_000


@SINKS.register("wgs84")
class Wgs84Points(Sink):
    """``wgs84/NAME.geojson``: a point feature for each located object, with its score.

    Coordinates have nine decimals, a tenth of a millimetre.
    """

    title = "points as GeoJSON in WGS 84, for georeferenced images"
    names = ("wgs84/",)

    def open(self, out: OutputFolder) -> None:
        """Begin or continue."""
        self._out = out

    def write(self, frame: Frame, prediction: Prediction | None) -> None:
        """Write the points of one image."""
        if prediction is None:
            return
        place, comma = place_of(frame), ""
        with self._out.file(f"wgs84/{frame.name}.geojson") as path, path.open("w", encoding="utf-8") as file:
            file.write('{"type": "FeatureCollection", "features": [')
            for first in range(0, len(prediction.points), _ROWS):
                scores = prediction.scores[first : first + _ROWS].tolist()
                for (x, y), score in zip(place.to_wgs84(prediction.points[first : first + _ROWS]).tolist(), scores):
                    geometry = f'{{"type": "Point", "coordinates": [{x:.9f}, {y:.9f}]}}'
                    properties = f'{{"score": {score:.6g}}}'
                    file.write(f'{comma}\n{{"type": "Feature", "properties": {properties}, "geometry": {geometry}}}')
                    comma = ","
            file.write("\n]}\n")
