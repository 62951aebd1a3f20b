"""Random crops and augmentation, image and dots together.

Every function is pure: what it does depends on its arguments and the generator it is given. Images are (H, W, 3)
arrays; geometry keeps the depth of the file, colour changes work on float32 in [0, 1].
"""

from __future__ import annotations

import numpy as np

from dotcount.config import AugmentConfig
from dotcount.data.images import PixelArray, UnitArray, to_unit
from dotcount.data.resizing import resize_pixels
from dotcount.data.windows import TiffWindows
from dotcount.intensity import IntensityRule
from dotcount.points import Points

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601, as grey conversion does


def random_crop(
    pixels: PixelArray | TiffWindows,
    points: Points,
    side: int,
    scale: tuple[float, float] | None,
    rng: np.random.Generator,
    places: int = 1,
) -> tuple[PixelArray, Points]:
    """Cut a ``side`` x ``side`` px window at a place drawn uniformly, of a magnification drawn from ``scale``.

    Where the image is smaller than ``side``, what is cut is smaller as well.

    Of several ``places`` that with the most dots is taken, the first of equal ones.

    With a magnification ``f`` a window of ``side / f`` px is cut and resampled to ``side``, which is what enlarging the
    image first would give, at the cost of the window alone. Where an image that holds ``side`` is too small
    for the drawn window, the window is the largest square that fits.
    """
    height, width, _ = pixels.shape
    window = side
    if scale is not None:
        # Log-uniform: twice as large is as likely as half as large.
        factor = float(np.exp(rng.uniform(np.log(scale[0]), np.log(scale[1]))))
        window = max(1, round(side / factor))
    if min(width, height) >= side:
        window = min(window, width, height)
    across, down = min(window, width), min(window, height)
    drawn = []
    for _ in range(places):
        left, top = int(rng.integers(0, width - across + 1)), int(rng.integers(0, height - down + 1))
        drawn.append((points.crop(left, top, across, down), left, top))
    inside, left, top = max(drawn, key=lambda place: len(place[0]))
    cut = pixels[top : top + down, left : left + across]
    if window == side:
        return cut, inside
    target = max(1, round(across * side / window)), max(1, round(down * side / window))
    return resize_pixels(cut, *target), inside.resize(*target)


def random_turns(
    pixels: PixelArray, points: Points, augment: AugmentConfig, rng: np.random.Generator
) -> tuple[PixelArray, Points]:
    """Flip and turn as ``augment`` allows, each with equal chances."""
    if augment.flip_horizontal and rng.random() < 0.5:
        pixels, points = pixels[:, ::-1], points.flip_horizontal()
    if augment.flip_vertical and rng.random() < 0.5:
        pixels, points = pixels[::-1], points.flip_vertical()
    if augment.rotate90:
        turns = int(rng.integers(4))
        pixels, points = np.rot90(pixels, turns), points.rotate90(turns)
    return pixels, points


def random_colour(image: UnitArray, augment: AugmentConfig, rng: np.random.Generator) -> UnitArray:
    """Change brightness and contrast by factors in ``[1 - a, 1 + a]`` and turn to grey with the given chance."""
    if augment.brightness:
        image = image * np.float32(rng.uniform(1 - augment.brightness, 1 + augment.brightness))
    if augment.contrast:
        mean = image.mean(dtype=np.float32)
        image = (image - mean) * np.float32(rng.uniform(1 - augment.contrast, 1 + augment.contrast)) + mean
    if augment.grey and rng.random() < augment.grey:
        image = np.repeat((image @ _LUMA)[..., None], 3, axis=-1)
    return image.clip(0, 1)


def training_sample(
    pixels: PixelArray | TiffWindows,
    points: Points,
    side: int,
    augment: AugmentConfig,
    rng: np.random.Generator,
    intensity: IntensityRule | None = None,
) -> tuple[UnitArray, Points]:
    """Crop, turn and recolour: what the network sees of one image in one epoch.

    Values of more than 8 bits are mapped to brightness by ``intensity``, which has to be that of the whole set.
    """
    scale = augment.scale if augment.scale is not None and rng.random() < augment.scale_chance else None
    places = 2 if augment.crowded and rng.random() < augment.crowded else 1
    pixels, points = random_crop(pixels, points, side, scale, rng, places)
    pixels, points = random_turns(pixels, points, augment, rng)
    image = to_unit(pixels, intensity)
    if augment.brightness or augment.contrast or augment.grey:
        image = random_colour(image, augment, rng)
    return np.ascontiguousarray(image), points
