"""Whether a set of images has an up and a down.

Photos from the ground have, images from above or of a microscope have not. Images without may be turned and flipped at
will in training, which makes more of few of them. Nobody says of a folder which kind it holds; it shows. Turned upside
down, a set without looks the same on average: what differs between the upper and the lower half of an image has a mean
of about zero over the set. In photos from the ground the sky is bright, far objects are small and close together, and
edges are rather upright.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tifffile
from scipy.spatial import cKDTree
from scipy.stats import spearmanr

from dotcount.data.images import read_pixels
from dotcount.data.records import Record
from dotcount.errors import ImageReadError
from dotcount.points import FloatArray, Points

MOST_IMAGES = 40
"""Images that are looked at, evenly spaced in the set."""

LEAST_IMAGES = 12
"""With fewer, chance decides."""

LARGEST_EFFECT = 0.6
"""Mean over standard deviation of a difference, from which on a set has an up and a down. On crowds from the ground it
is 2 to 5, on cells, tissue and trees from the air at most 0.35."""

SIDE, LARGEST_AREA = 256, 50_000_000  # px

SIGNS = ("brightness", "detail", "direction of edges", "place of the dots", "distance between dots")
"""What is compared."""


@dataclass(frozen=True)
class Orientation:
    """What was found of a set of images.

    Attributes
    ----------
    free
        Whether images may be turned and flipped at will; ``None`` if that is not known.
    reason
        Why, for people.
    """

    free: bool | None
    reason: str


def find_orientation(records: Sequence[Record]) -> Orientation:
    """Return whether images have an up and a down.

    Files of microscopes and maps say what they are (OME, ImageJ and the like, GeoTIFF). Of others the five
    :data:`SIGNS` are measured in up to :data:`MOST_IMAGES` images.

    Parameters
    ----------
    records
        Annotated images.
    """
    chosen = [records[i] for i in np.linspace(0, len(records) - 1, min(len(records), MOST_IMAGES)).round().astype(int)]
    kinds = [kind_of_file(record) for record in chosen[:8]]
    if kinds and all(kinds):
        return Orientation(True, f"these are {kinds[0]} files, which have no up and down")
    rows = [row for row in map(differences, chosen) if row is not None]
    if len(rows) < LEAST_IMAGES:
        return Orientation(None, f"{len(rows)} images are too few to see whether they have an up and a down")
    effects = np.abs(effect_sizes(np.array(rows)))
    strongest, chance = int(np.argmax(effects)), 1 / len(rows) ** 0.5
    if effects[strongest] - chance <= LARGEST_EFFECT:
        return Orientation(True, f"{len(rows)} images look the same from all sides")
    if effects[strongest] - 4 * chance > LARGEST_EFFECT:
        return Orientation(False, f"the images have an up and a down (see their {SIGNS[strongest]})")
    return Orientation(None, f"the images may have an up and a down (see their {SIGNS[strongest]})")


def effect_sizes(rows: FloatArray) -> FloatArray:
    """Return mean over standard deviation of every column (n, k); 0 where fewer than :data:`LEAST_IMAGES` have one."""
    effects = np.zeros(rows.shape[1])
    for k, column in enumerate(rows.T):
        known = column[np.isfinite(column)]
        if len(known) >= LEAST_IMAGES:
            effects[k] = known.mean() / max(float(known.std()), 1e-6)
    return effects


def kind_of_file(record: Record) -> str:
    """Return the name of a format of microscopes or maps that a file states, empty for others."""
    if record.image.suffix.lower() not in (".tif", ".tiff"):
        return ""
    try:
        with tifffile.TiffFile(record.image) as tiff:
            kinds = {"GeoTIFF": tiff.is_geotiff, "OME-TIFF": tiff.is_ome, "ImageJ": tiff.is_imagej}
            kinds |= {"microscope": tiff.is_lsm or tiff.is_stk or tiff.is_micromanager or tiff.is_svs}
    except Exception:  # of a damaged file anything; who reads the image tells it
        return ""
    return next((name for name, found in kinds.items() if found), "")


def differences(record: Record) -> FloatArray | None:
    """Return what differs between the upper and the lower half of an image (5,), see :data:`SIGNS`; None if unreadable.

    Each is about zero on average over a set without an up and a down; NaN where there are too few dots.
    """
    points = record.points
    if points is None or points.width * points.height > LARGEST_AREA:
        return None
    try:
        pixels = read_pixels(record.image)
    except ImageReadError:
        return None
    step = max(1, min(pixels.shape[:2]) // SIDE)
    grey = np.nan_to_num(pixels[::step, ::step].mean(axis=2, dtype=np.float64))
    if min(grey.shape) < 8 or grey.std() == 0:
        return None
    half = grey.shape[0] // 2
    upper, lower = grey[:half], grey[-half:]
    tiny = 1e-6 * grey.var()
    across, down = np.diff(grey, axis=1), np.diff(grey, axis=0)
    return np.array(
        [
            (upper.mean() - lower.mean()) / grey.std(),
            np.log((_energy(upper) + tiny) / (_energy(lower) + tiny)),
            np.log((np.square(across).mean() + tiny) / (np.square(down).mean() + tiny)),
            *_of_dots(points),
        ]
    )


def _energy(grey: FloatArray) -> float:
    return float(np.square(np.diff(grey, axis=0)).mean() + np.square(np.diff(grey, axis=1)).mean())


def _of_dots(points: Points) -> tuple[float, float]:
    """Return how far below the middle the dots are, and how their distances to the next grow downwards."""
    if len(points) < 5:
        return np.nan, np.nan
    height = float(points.xy[:, 1].mean() / points.height - 0.5)
    nearest = cKDTree(points.xy).query(points.xy, k=2)[0][:, 1]
    if np.ptp(nearest) == 0 or np.ptp(points.xy[:, 1]) == 0:
        return height, np.nan
    return height, float(spearmanr(nearest, points.xy[:, 1]).statistic)
