"""A street with people in perspective: size falls with distance, people hide each other, things look like heads."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dotcount.data.synthetic.drawing import Canvas, blur, paint_box, paint_ellipse, smooth_noise, to_bytes
from dotcount.points import Points

_SKIN = np.array([[0.95, 0.78, 0.66], [0.8, 0.6, 0.46], [0.55, 0.38, 0.28], [0.36, 0.24, 0.18]])
_HAIR = np.array([[0.1, 0.08, 0.07], [0.24, 0.15, 0.09], [0.5, 0.36, 0.18], [0.55, 0.53, 0.5]])
_EMPTY_SHARE = 0.06
_SMALLEST_HEAD = 3.0  # px; people farther away than that are not drawn


def crowd(
    width: int, height: int, count: tuple[int, int], rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], Points]:
    """Draw one street.

    Parameters
    ----------
    width, height
        Size of the image, px.
    count
        Smallest and largest number of people in an area of 256 x 256 px; the number wanted is drawn uniformly between
        and scaled with the area. People whose head would be hidden are left out. Some streets are empty.
    rng
        Source of all randomness.

    Returns
    -------
    (H, W, 3) image and the middles of the visible heads.
    """
    horizon = height * rng.uniform(-0.1, 0.25)
    near_head = rng.uniform(0.05, 0.085) * height  # width of a head at the lower border, px
    canvas = _street(width, height, max(horizon, 0.0), rng)
    empty = rng.random() < _EMPTY_SHARE
    wanted = 0 if empty else round(rng.uniform(*count) * width * height / 256**2)
    people = _place(width, height, wanted, horizon, near_head, rng)
    things = _place(width, height, int(rng.integers(2, 7)), horizon, near_head, rng)
    drawn = [(*p, True) for p in people] + [(*t, False) for t in things]
    for x, y, head, is_person in sorted(drawn, key=lambda item: item[2]):  # far to near
        if is_person:
            _paint_person(canvas, x, y, head, rng)
        elif not _hides(x, y, head, people):
            _paint_distractor(canvas, x, y, head, rng)
    image = _photograph(canvas, horizon, rng)
    points = Points(np.array([(x, y) for x, y, _ in people]), width, height)
    return image, Points(points.xy[points.inside()], width, height)


def _place(
    width: int, height: int, wanted: int, horizon: float, near_head: float, rng: np.random.Generator
) -> list[tuple[float, float, float]]:
    """Return (x, y, width of the head) of heads that are visible, near to far.

    Head width grows linearly from the horizon down, as on flat ground. Places are uniform in the image but drawn
    towards groups; a head too close to another or behind a nearer body is dropped.
    """
    n_groups = max(1, wanted // 6)
    groups = rng.random((n_groups, 2)) * (width, height - horizon) + (0, horizon)
    tries = []
    for _ in range(2 * wanted):
        if rng.random() < 0.5:
            x, y = rng.random() * (width + 20) - 10, horizon + rng.random() * (height - horizon)
        else:
            x, y = groups[rng.integers(n_groups)] + rng.normal(0, 1.5 * near_head, 2)
        head = near_head * (y - horizon) / (height - horizon)
        if head >= _SMALLEST_HEAD and y < height + head:
            tries.append((float(x), float(y), float(head)))
    kept: list[tuple[float, float, float]] = []
    for x, y, head in sorted(tries[:wanted], key=lambda item: -item[2]):
        if not _covered(x, y, head, kept):
            kept.append((x, y, head))
    return kept


def _covered(x: float, y: float, head: float, nearer: list[tuple[float, float, float]]) -> bool:
    """Return whether the head would touch a nearer head or lie behind a nearer body by more than half."""
    for nx, ny, size in nearer:
        if (x - nx) ** 2 + (y - ny) ** 2 < (0.55 * (head + size)) ** 2:
            return True
        if abs(x - nx) < size and ny < y < ny + 3.2 * size:
            return True
    return False


def _hides(x: float, y: float, head: float, people: list[tuple[float, float, float]]) -> bool:
    """Return whether a thing here would stand before somebody's head."""
    return any(abs(x - px) < 1.6 * head + size and -head < py - y < 6 * head for px, py, size in people)


def _street(width: int, height: int, horizon: float, rng: np.random.Generator) -> Canvas:
    """Paint ground that darkens into the distance, house fronts with windows or sky, and paving."""
    ground, wall = (
        rng.uniform(0.35, 0.65) * np.array([1.0, 0.98, 0.94]),
        rng.uniform(0.35, 0.7) + rng.uniform(-0.12, 0.12, 3),
    )
    canvas = np.empty((height, width, 3))
    depth = ((np.arange(height) - horizon) / max(height - horizon, 1)).clip(0, 1)[:, None, None]
    canvas[:] = ground * (0.8 + 0.3 * depth)
    canvas += 0.08 * (smooth_noise(height, width, 40, rng)[..., None] - 0.5)
    canvas += 0.06 * (smooth_noise(height, width, 3, rng)[..., None] - 0.5)
    for k in range(1, 9):  # rows of paving, closer together towards the horizon
        y = horizon + (height - horizon) / k
        paint_box(canvas, 0, y - 0.6, width, y + 0.6, ground * 0.75, 0.5)
    if horizon > 4:
        sky = np.array([0.7, 0.8, 0.92]) * rng.uniform(0.8, 1.05)
        paint_box(canvas, 0, 0, width, horizon, sky)
        left = -rng.uniform(0, 30)
        while left < width:
            right = left + rng.uniform(0.1, 0.3) * width
            top = horizon * rng.uniform(0, 0.6)
            front = (wall + rng.uniform(-0.15, 0.15, 3)).clip(0.1, 0.9)
            paint_box(canvas, left, top, right, horizon, front)
            step = rng.uniform(7, 12)
            for wx in np.arange(left + 3, right - 5, step):
                for wy in np.arange(top + 3, horizon - 5, step):
                    paint_box(canvas, wx, wy, wx + 4, wy + 5, front * 0.45)
            left = right + rng.uniform(0, 8)
    return canvas


def _paint_person(canvas: Canvas, x: float, y: float, head: float, rng: np.random.Generator) -> None:
    """Paint legs, trunk and head; ``y`` is the middle of the head, ``head`` its width."""
    shirt = rng.uniform(0.08, 0.85) + rng.uniform(-0.25, 0.25, 3)
    trousers = rng.uniform(0.08, 0.4) + rng.uniform(-0.07, 0.07, 3)
    skin, hair = _SKIN[rng.integers(len(_SKIN))], _HAIR[rng.integers(len(_HAIR))]
    shade = rng.uniform(0.05, 0.2)
    paint_ellipse(canvas, x + 0.4 * head, y + 7.2 * head, 1.3 * head, 0.35 * head, [0.22, 0.22, 0.22])
    for side in (-0.38, 0.38):
        paint_ellipse(canvas, x + side * head, y + 5.4 * head, 0.42 * head, 2.1 * head, trousers, shade)
    paint_ellipse(canvas, x, y + 2.3 * head, 1.0 * head, 1.8 * head, shirt, shade)
    paint_ellipse(canvas, x, y, 0.5 * head, 0.62 * head, skin, shade)
    if rng.random() < 0.35:  # seen from behind
        paint_ellipse(canvas, x, y - 0.05 * head, 0.5 * head, 0.58 * head, hair, shade)
    else:
        paint_ellipse(canvas, x, y - 0.32 * head, 0.5 * head, 0.34 * head, hair, shade)


def _paint_distractor(canvas: Canvas, x: float, y: float, head: float, rng: np.random.Generator) -> None:
    """Paint a street lamp, a bollard, a bush or a sign: round or tall things that are nobody."""
    colour = rng.uniform(0.3, 0.8) + rng.uniform(-0.2, 0.2, 3)
    kind = int(rng.integers(4))
    if kind == 0:
        paint_box(canvas, x - 0.12 * head, y, x + 0.12 * head, y + 7 * head, [0.25, 0.25, 0.27])
        paint_ellipse(canvas, x, y, 0.6 * head, 0.6 * head, [0.97, 0.95, 0.85])
    elif kind == 1:
        paint_box(canvas, x - 0.3 * head, y + 3 * head, x + 0.3 * head, y + 7 * head, colour * 0.6)
        paint_ellipse(canvas, x, y + 3 * head, 0.35 * head, 0.35 * head, colour)
    elif kind == 2:
        for _ in range(6):
            dx, dy = rng.normal(0, 0.8 * head, 2)
            green = np.array([0.15, 0.35, 0.12]) * rng.uniform(0.7, 1.4)
            paint_ellipse(canvas, x + dx, y + 5 * head + dy, head, head, green, 0.2)
    else:
        paint_box(canvas, x - 0.1 * head, y, x + 0.1 * head, y + 7 * head, [0.5, 0.5, 0.5])
        paint_box(canvas, x - 0.9 * head, y - 0.6 * head, x + 0.9 * head, y + 0.6 * head, colour)


def _photograph(canvas: Canvas, horizon: float, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Add haze towards the horizon, uneven light, exposure, optics and noise."""
    height, width = canvas.shape[:2]
    distance = (1 - (np.arange(height) - horizon) / (height - horizon)).clip(0, 1)[:, None, None]
    haze = rng.uniform(0, 0.35) * distance**2
    canvas = canvas * (1 - haze) + 0.8 * haze
    canvas = canvas * (0.75 + 0.5 * smooth_noise(height, width, 0.7 * max(width, height), rng)[..., None])
    canvas = blur(canvas * rng.uniform(0.75, 1.15), rng.uniform(0.4, 0.8))
    return to_bytes(canvas + rng.normal(0, rng.uniform(0.01, 0.03), canvas.shape))
