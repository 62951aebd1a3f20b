"""Fluorescence-like cells: clusters, overlaps, defocus, uneven light, haze, photon and camera noise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dotcount.data.synthetic.drawing import Canvas, blur, smooth_noise, to_bytes, window
from dotcount.points import Points

# Emission colours of common stains (DAPI, GFP, Texas red) and a grey camera, as linear RGB.
_STAINS = np.array([[0.15, 0.3, 1.0], [0.2, 1.0, 0.3], [1.0, 0.25, 0.15], [1.0, 1.0, 1.0]])


def cells(
    width: int, height: int, count: tuple[int, int], rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], Points]:
    """Draw one field of view.

    Parameters
    ----------
    width, height
        Size of the image, px.
    count
        Smallest and largest number of cells in an area of 256 x 256 px; the number wanted is drawn uniformly between
        and scaled with the area. Cells that find no room are left out.
    rng
        Source of all randomness.

    Returns
    -------
    (H, W, 3) image and the centres of the cells in it. Cells whose centre lies outside reach into the image but have
    no dot.
    """
    radius = rng.uniform(6.0, 8.5)
    margin = 1.5 * radius
    area = (width + 2 * margin) * (height + 2 * margin) / 256**2
    wanted = round(rng.uniform(*count) * area)
    centres, radii = _place(width, height, wanted, radius, margin, rng)
    light = np.zeros((height, width))
    for (x, y), r in zip(centres, radii):
        _add_cell(light, x, y, r, rng)
    image = _photograph(light, rng)
    points = Points(centres, width, height)
    return image, Points(points.xy[points.inside()], width, height)


def _place(
    width: int, height: int, wanted: int, radius: float, margin: float, rng: np.random.Generator
) -> tuple[Canvas, Canvas]:
    """Scatter cells, some alone and some in clusters; neighbours may overlap by up to about a third of a diameter."""
    clustered = rng.uniform(0.2, 0.7)
    n_clusters = max(1, wanted // 8)
    low, span = np.array([-margin, -margin]), np.array([width + 2 * margin, height + 2 * margin])
    hearts = low + rng.random((n_clusters, 2)) * span
    kept = np.zeros((wanted, 2))
    radii = np.zeros(wanted)
    n = 0
    for _ in range(wanted):
        r = radius * rng.uniform(0.8, 1.25)
        for _ in range(8):
            if rng.random() < clustered:
                spot = hearts[rng.integers(n_clusters)] + rng.normal(0, 2.5 * radius, 2)
            else:
                spot = low + rng.random(2) * span
            apart = np.hypot(*(kept[:n] - spot).T) if n else np.array([np.inf])
            if (spot >= low).all() and (spot < low + span).all() and apart.min() > 0.65 * (r + radius):
                kept[n], radii[n] = spot, r
                n += 1
                break
    return kept[:n], radii[:n]


def _add_cell(light: Canvas, x: float, y: float, radius: float, rng: np.random.Generator) -> None:
    """Add the light of one nucleus: an ellipse with a wavy outline, textured, more or less in focus."""
    stretch = rng.uniform(1.0, 1.35)
    angle = rng.uniform(0, np.pi)
    brightness = 0.55 * np.exp(rng.normal(0, 0.25))
    softness = rng.uniform(0.08, 0.16) if rng.random() < 0.8 else rng.uniform(0.2, 0.32)
    phase, lobes = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.1)
    dapple = rng.normal(0, 0.1, 4)
    reach = radius * np.sqrt(stretch) * (1 + 7 * softness)  # there the light is below 0.1 % of the peak
    part = window(light.shape[0], light.shape[1], x, y, reach, reach)
    if part is None:
        return
    rows, columns, dx, dy = part
    u = (np.cos(angle) * dx + np.sin(angle) * dy) / (radius * np.sqrt(stretch))
    v = (np.cos(angle) * dy - np.sin(angle) * dx) * np.sqrt(stretch) / radius
    squared = u * u + v * v
    # sin(2 t + phase) of the direction t, without the angle: sin 2t = 2 u v / r^2, cos 2t = (u^2 - v^2) / r^2
    wave = np.cos(phase) * 2 * u * v + np.sin(phase) * (u * u - v * v)
    rho = np.sqrt(squared) / (1 + lobes * wave / (squared + 1e-9))
    profile = 1 / (1 + np.exp((rho - 1) / softness))
    texture = 1 + dapple[0] * u + dapple[1] * v + dapple[2] * np.sin(4 * u + phase) + dapple[3] * np.sin(4 * v)
    # A sphere is thicker, so brighter, in its middle.
    light[rows, columns] += brightness * profile * texture * (1 - 0.35 * np.minimum(rho, 1.0) ** 2)


def _photograph(light: Canvas, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Turn emitted light into a camera image: optics, uneven lamp, haze, stain, photon and read noise."""
    height, width = light.shape
    light = blur(light, rng.uniform(0.7, 1.4))
    cell = max(width, height) * 0.6
    lamp = 0.7 + 0.5 * smooth_noise(height, width, cell, rng)
    haze = rng.uniform(0.02, 0.1) * (0.5 + smooth_noise(height, width, cell / 2, rng))
    signal = (light * lamp + haze) * rng.uniform(0.8, 1.2)
    photons = rng.uniform(60, 200)
    signal = signal + rng.normal(size=signal.shape) * np.sqrt(np.maximum(signal, 0) / photons)
    signal = signal + rng.normal(0, 0.012, signal.shape)
    stain = _STAINS[rng.integers(len(_STAINS))]
    return to_bytes(1 - np.exp(-1.3 * signal.clip(0)[..., None] * stain))
