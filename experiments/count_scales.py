"""What mean error is left by a count scale from a few images, by way of fitting it, and the least that can be left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from dotcount.calibration import fit_count_scale
from dotcount.calibration.recalibrating import PRIOR

Array = npt.NDArray[np.float64]
WITHIN = 0.03


def _robust(count: Array, true: Array) -> float:
    """Return the ratio with large residuals, in units of sqrt(count + 1), given less weight (Huber)."""
    scale = true.sum() / count.sum()
    for _ in range(20):
        residual = np.abs(true - scale * count) / np.sqrt(count + 1)
        limit = 1.5 * 1.4826 * np.median(residual) + 1e-9
        weight = np.minimum(1, limit / np.maximum(residual, 1e-9))
        scale = (weight * true).sum() / (weight * count).sum()
    return float(scale)


WAYS: dict[str, Callable[[Array, Array], float]] = {
    "as it was": lambda *_: 1.0,
    "ratio of sums": lambda count, true: fit_count_scale(count, true, always=True).scale,
    "ratio, taken back by its error (`calibrate`)": lambda count, true: (
        fit_count_scale(count, true, always=True, prior=PRIOR).scale
    ),
    "ratio, if that lowers the error": lambda count, true: fit_count_scale(count, true).scale,
    "least squares through zero": lambda count, true: float((count * true).sum() / (count * count).sum()),
    "mean of ratios": lambda count, true: float(np.mean((true + 1) / (count + 1))),
    "median of ratios": lambda count, true: float(np.median((true + 1) / (count + 1))),
    "ratio, large residuals less": _robust,
}


def left(count: Array, true: Array, number: int, splits: int, seed: int = 3) -> dict[str, Any]:
    """Return the mean error, relative to the dots, of the images that are left when ``number`` of them fit the scale.

    ``best`` is what the scale of all images would leave: nobody knows it. The errors of the images that are left do not
    add up to zero either. ``of many`` is how often an unbiased scale of so many images leaves less than 3 % of many new
    ones, by the spread of the errors and the normal law.
    """
    rng, found, held = np.random.default_rng(seed), {name: [] for name in [*WAYS, "best"]}, []
    everyone = true.sum() / count.sum()
    spread = float(np.sqrt(((true - everyone * count) ** 2).mean()) / true.mean())
    for _ in range(splits):
        order = rng.permutation(true.size)
        fit, new = order[:number], order[number:]
        scales = {name: way(count[fit], true[fit]) for name, way in WAYS.items()} | {"best": everyone}
        for name, scale in scales.items():
            found[name].append((scale * count[new] - true[new]).sum() / true[new].sum())
        error = fit_count_scale(count[fit], true[fit], always=True).error
        assert error is not None, "there are enough images"
        # Of a finite set: the images that fit are part of it.
        reach = stats.t.ppf(0.95, number - 1) * error * np.sqrt(1 - number / true.size)
        held.append(abs(true[fit].sum() / count[fit].sum() / everyone - 1) <= reach)
    errors = {name: np.array(each) for name, each in found.items()}
    standard = spread / np.sqrt(number)
    return {
        "images": int(true.size),
        "spread of errors": round(spread, 4),
        "standard error of the scale": round(float(standard), 4),
        "of many": round(float(2 * stats.norm.cdf(WITHIN / standard) - 1), 3),
        "90 % intervals of the scale that hold": round(float(np.mean(held)), 3),
        "images for 3 % in nine of ten draws": int(np.ceil((stats.norm.ppf(0.95) * spread / WITHIN) ** 2)),
        "ways": {
            name: {
                "mean bias": round(float(each.mean()), 4),
                "root mean square": round(float(np.sqrt((each**2).mean())), 4),
                "below 3 %": round(float((np.abs(each) < WITHIN).mean()), 3),
            }
            for name, each in errors.items()
        },
    }
