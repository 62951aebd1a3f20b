"""What might make intervals narrower: what errors are scaled or shifted by, fitted without the image's own help."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression

import dotcount
from dotcount.calibration import conformal_rank

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
FLIPS: tuple[Callable[[Any], Any], ...] = (lambda a: a[:, ::-1], lambda a: a[::-1], lambda a: a[::-1, ::-1])
OF_DENSITY = ("spread", "disagreement", "flips", "entropy", "peaks", "weak", "faint", "busy", "crowding", "strangeness")
EVERYTHING = ("count", *OF_DENSITY, "brightness")
OFFSET = 0.05
"""Added to residuals before their logarithm is taken."""


def described(predictor: Any, pixels: npt.NDArray[Any]) -> dict[str, float]:
    """Return count, and what density, flipped views, peaks, features and brightness say of an image."""
    found = predictor.predict(pixels)
    cells = found.density.astype(np.float64)
    views = [cells]
    for flip in FLIPS if not predictor.metadata.mirror else FLIPS[1:2]:
        turned = predictor.predict(np.ascontiguousarray(flip(pixels)))
        views.append(flip(turned.density).astype(np.float64))
    share = cells[cells > 0] / max(cells.sum(), 1e-9)
    apart = np.abs(np.stack(views) - np.mean(views, axis=0))
    told = {
        "count": found.count,
        "spread": (cells * (1 - cells.clip(0, 1))).sum(),
        "disagreement": apart.sum() / len(views),
        "flips": np.std([one.sum() for one in views], ddof=1),
        "entropy": -(share * np.log(share)).sum(),
        "peaks": len(found.points) - found.count,
        "weak": (1 - found.scores.clip(0, 1)).sum(),
        "faint": cells[cells < 0.02].sum(),
        "busy": (cells > 0.05).mean(),
        "crowding": (cells**2).sum() / max(cells.sum(), 1e-9),
        "brightness": found.brightness,
    }
    if found.familiarity is not None:
        told["strangeness"] = 0.5 * np.log(1 / max(found.familiarity, 1e-9) - 1 + 1e-9)
    return {name: round(float(value), 6) for name, value in told.items()}


def ridge(x: Array, y: Array, strengths: Array) -> tuple[Array, Array]:
    """Return weights, the first of a constant, and (n,) what the others predict of each, at the best strength."""
    x, best = np.c_[np.ones(len(x)), x], (np.inf, np.zeros(0), np.zeros(0))
    for strength in strengths:
        penalty = strength * np.eye(x.shape[1])
        penalty[0, 0] = 1e-9
        solve = np.linalg.solve(x.T @ x + penalty, x.T)
        residual = (y - x @ (solve @ y)) / (1 - np.einsum("ij,ji->i", x, solve))
        if (error := float((residual**2).mean())) < best[0]:
            best = (error, solve @ y, y - residual)
    return best[1], best[2]


class Split:
    """Images that fit and new ones; every method gives each its centre and the unit of its error."""

    def __init__(self, rows: dict[str, Array], fit: Indices, new: Indices) -> None:
        self.true, self.count, self.rows, self.fit, self.new = rows["true"], rows["count"], rows, fit, new
        true, count = self.true[fit], self.count[fit]
        self.scaled = self.count * (true.sum() / count.sum())
        self.held_out = count * (true.sum() - true) / (count.sum() - count)
        self.widths: dict[str, tuple[float, float, float]] = {}

    def add(self, name: str, scores: Array, centre: Array, unit: Array) -> None:
        """Keep coverage, width, and width at 90 % of the new images, by the scores of those that fit."""
        rank = conformal_rank(scores.size, 0.9)
        assert rank is not None, "there are enough images"
        reach, found = np.sort(scores)[rank - 1], np.sort(np.abs(self.true[self.new] - centre) / unit)
        mean, exact = float(unit.mean()), found[int(np.ceil(0.9 * found.size)) - 1]
        self.widths[name] = float((found <= reach).mean()), float(2 * reach * mean), float(2 * exact * mean)

    def scale(self, name: str, size: Callable[[Array], Array]) -> float:
        """Add errors by a function of the count; return their width on those that fit."""
        scores = np.abs(self.true[self.fit] - self.held_out) / size(self.held_out)
        self.add(name, scores, self.scaled[self.new], size(self.scaled[self.new]))
        return float(np.quantile(scores, 0.9) * size(self.held_out).mean())

    def scale_by(self, name: str, sizes: Array) -> float:
        """Add errors by a number of each image."""
        scores = np.abs(self.true[self.fit] - self.held_out) / sizes[self.fit]
        self.add(name, scores, self.scaled[self.new], sizes[self.new])
        return float(np.quantile(scores, 0.9) * sizes[self.fit].mean())

    def isotonic(self, name: str) -> None:
        """Add errors by a rising function of the count, of five parts each by that of the other four."""
        residual, fold = np.abs(self.true[self.fit] - self.held_out), np.arange(self.fit.size) % 5
        unit = np.empty(self.fit.size)
        for k in range(5):
            unit[fold == k] = _rising(self.held_out[fold != k], residual[fold != k], self.held_out[fold == k])
        of_new = _rising(self.held_out, residual, self.scaled[self.new])
        self.add(name, residual / unit, self.scaled[self.new], of_new)

    def fitted(self, names: Sequence[str], label: str) -> None:
        """Add errors scaled, and shifted, by ridge fits of what is named."""
        x = np.stack([self.rows[name] for name in names], axis=1)
        mean, deviation = x[self.fit].mean(axis=0), x[self.fit].std(axis=0)
        x = (x - mean) / np.where(deviation > 1e-9, deviation, 1.0)
        root = np.sqrt(self.held_out + 1)
        residual = np.log(np.abs(self.true[self.fit] - self.held_out) / root + OFFSET)
        weights, others = ridge(x[self.fit], residual, np.logspace(0, 4, 9))
        unit = np.sqrt(self.scaled + 1)[self.new] * np.exp(x[self.new] @ weights[1:])
        scores = np.abs(self.true[self.fit] - self.held_out) / (root * np.exp(others - weights[0]))
        self.add(f"scaled by a fit of {label}", scores, self.scaled[self.new], unit)
        root = np.sqrt(self.count + 1)
        error = (self.true - self.count) / root
        weights, others = ridge(x[self.fit], error[self.fit], np.logspace(-3, 3, 13))
        centre = self.count + root * (weights[0] + x @ weights[1:])
        self.add(f"shifted by a fit of {label}", np.abs(error[self.fit] - others), centre[self.new], root[self.new])


def _rising(x: Array, y: Array, at: Array) -> Array:
    order = np.argsort(x)
    fitted = isotonic_regression(y[order]).x
    return np.maximum(np.interp(at, x[order], fitted), 0.2 * y.mean() + 1e-9)


def compared(rows: dict[str, Array], splits: int, seed: int = 2) -> dict[str, Any]:
    """Return of every method coverage and width, relative to errors by sqrt(count + 1); half of the images fit."""
    rng, found = np.random.default_rng(seed), dict[str, list[tuple[float, float, float]]]()
    rows = rows | {"count squared": (rows["count"] / max(rows["count"].mean(), 1.0)) ** 2}
    known = [name for name in EVERYTHING if name in rows]
    for _ in range(splits):
        order = rng.permutation(rows["true"].size)
        split = Split(rows, order[: order.size // 2], order[order.size // 2 :])
        inner = {
            "sqrt(count + 1)": split.scale("sqrt(count + 1)", lambda count: np.sqrt(count + 1)),
            "1": split.scale("1", np.ones_like),
            "count + 1": split.scale("count + 1", lambda count: count + 1),
        }
        for name in ("spread", "disagreement", "flips"):
            if name in rows:
                inner[f"sqrt({name} + 1)"] = split.scale_by(f"sqrt({name} + 1)", np.sqrt(rows[name] + 1))
        if "strangeness" in rows:
            size = np.sqrt(rows["count"] + 1) * np.exp(rows["strangeness"])
            inner["sqrt(count + 1) strangeness"] = split.scale_by("sqrt(count + 1) strangeness", size)
        split.widths["the narrowest of these on those that fit"] = split.widths[min(inner, key=inner.__getitem__)]
        split.isotonic("a rising function of the count")
        split.fitted(("count", "count squared"), "the count")
        if len(known) > 1:
            split.fitted([name for name in known if name != "brightness"], "density, views and features")
            split.fitted(known, "the same and brightness")
        for name, one in split.widths.items():
            found.setdefault(name, []).append(one)
    mean = {name: np.mean(each, axis=0) for name, each in found.items()}
    base = mean["sqrt(count + 1)"]
    return {
        name: {
            "coverage": round(float(one[0]), 3),
            "width": round(float(one[1] / base[1]), 3),
            "width at equal coverage": round(float(one[2] / base[2]), 3),
        }
        for name, one in mean.items()
    }


def counted(model: str, place: str, splits: Sequence[str]) -> list[dict[str, Any]]:
    """Return what is known of every image of these splits, or of all."""
    predictor, rows = dotcount.load(model, device="cpu"), []
    for record in dotcount.open_collection(place, strict=False).records:
        if not splits or record.split in splits:
            told = described(predictor, dotcount.data.read_pixels(record.image))
            rows.append({"split": record.split, "true": record.count} | told)
    return rows
