"""Pictures of a prediction: density and located points over the image, and points against annotated dots."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.spatial import KDTree

from dotcount.files import replacing
from dotcount.inference import Prediction
from dotcount.metrics import optimal_match
from dotcount.points import FloatArray, spacing
from dotcount.report.heat import heat_layer
from dotcount.report.legend import SMALLEST, with_legend
from dotcount.report.marks import EXTRA, FOUND, MISSED, Marks, draw_points
from dotcount.report.view import Shown, View, Window

_USUAL, _LARGEST = 1600, 4096  # longer sides of an overlay, px
_CARPET = 9.0  # px of an overlay for each point, below which rings would be all that is seen
_ROOM = 12.0  # distance between neighbouring points on an overlay that it is enlarged for, px


@dataclass(frozen=True, eq=False)
class Matches:
    """Located points against dots within ``radius`` px: found and extra points, missed dots, each (n, 2) px."""

    found: FloatArray
    missed: FloatArray
    extra: FloatArray
    radius: float


def match_points(predicted: FloatArray, dots: FloatArray, radius: float) -> Matches:
    """Match as many as possible one to one within ``radius`` px, see :func:`dotcount.metrics.object_radii`."""
    guess, dot = optimal_match(predicted, dots, radius)
    extra = np.setdiff1d(np.arange(len(predicted)), guess)
    missed = np.setdiff1d(np.arange(len(dots)), dot)
    return Matches(predicted[guess], dots[missed], predicted[extra], radius)


def draw_matches(view: View, matches: Matches) -> Image.Image:
    """Return the image with found points (discs), missed dots (rings) and extra points (crosses)."""
    parts = [xy[view.inside(xy)] for xy in (matches.found, matches.missed, matches.extra)]
    canvas = Marks(view, np.concatenate(parts))
    for draw, xy, colour in zip((canvas.disc, canvas.ring, canvas.cross), parts, (FOUND, MISSED, EXTRA)):
        draw(xy, colour)
    return canvas.over(view.image)


def worst_window(matches: Matches, width: int, height: int, side: int) -> Window | None:
    """Return where most points are missed or extra, if the whole image is too small to see them.

    The window has the shape of the image.

    Parameters
    ----------
    matches
        Of the whole image.
    width, height
        Of the image, px.
    side
        Longer side on the display, px.

    Returns
    -------
    tuple or None
        A window in which neighbouring points lie some 20 px apart on the display; None where they do so in the whole
        image.
    """
    every = np.concatenate([matches.found, matches.missed, matches.extra])
    extent = int(np.ceil(side * spacing(every) / 20)) if len(every) > 1 else max(width, height)
    if extent * 1.5 >= max(width, height):
        return None
    wrong = np.concatenate([matches.missed, matches.extra])
    if not len(wrong):
        wrong = every
    frame = np.array([width, height])
    size = np.maximum(1, np.ceil(frame * extent / max(width, height))).astype(int)
    near = KDTree(wrong / size).query_ball_point(wrong / size, 0.5, p=np.inf, return_length=True)
    corner = np.clip(wrong[int(np.argmax(near))] - size / 2, 0, frame - size).astype(int)
    return *corner.tolist(), *(corner + size).tolist()


def overlay(pixels: Shown, prediction: Prediction, *, side: int | None = None) -> Image.Image:
    """Return one picture of a prediction: the image, its density as colour, a ring at each point, and a legend.

    Parameters
    ----------
    pixels
        (H, W, 3) the predicted image: float32 in [0, 1], or 8 bit.
    prediction
        Its prediction.
    side
        Longer side of the image in the picture, px. None: that of the image, between 512 and 1,600; more, up to twice
        the image's and 4,096, where points lie so close that they could not be told apart.

    Where there is a point for every few px of the picture, none is drawn, and the legend says so: the rings would hide
    image and density, and a million of them take a gigabyte.
    """
    longest = max(pixels.shape[:2])
    if side is None:
        needed = longest * _ROOM / spacing(prediction.points) if len(prediction.points) > 1 else 0.0
        usual = min(max(SMALLEST, longest), _USUAL)
        side = max(usual, min(round(needed), 2 * longest, _LARGEST))
    view = View.fit(pixels, side)
    layer, scale = heat_layer(view, prediction, backdrop=1.0, strength=0.6)
    points, (width, height) = len(prediction.points), view.image.size
    title = f"count {prediction.count:,.1f}"
    if points * _CARPET > width * height:
        return with_legend(layer, f"{title}; {points:,} points, too dense to be drawn", scale)
    picture = draw_points(view, layer, prediction.points)
    rings = f"{points:,} located point{'' if points == 1 else 's'}" if points else ""
    return with_legend(picture, title, scale, rings=rings)


def save_overlay(path: Path, pixels: Shown, prediction: Prediction, *, side: int | None = None) -> None:
    """Write :func:`overlay` as a JPEG file.

    Examples
    --------
    >>> from pathlib import Path
    >>> import dotcount
    >>> from dotcount.data.synthetic import generate
    >>> image, dots = generate("cells", size=96)
    >>> predictor = dotcount.load("cells")
    >>> prediction = predictor.predict(image)
    >>> save_overlay(Path("overlay.jpg"), image, prediction)
    >>> Path("overlay.jpg").exists()
    True
    """
    picture = overlay(pixels, prediction, side=side)
    with replacing(path) as temporary:
        picture.save(temporary, format="JPEG", quality=88)
