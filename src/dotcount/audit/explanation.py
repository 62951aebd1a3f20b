"""Which dot explains which part of a density: the transport plan of a prediction, and numbers that go with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.spatial import KDTree

from dotcount.files import CsvWriter, write_text
from dotcount.inference import Prediction, find_peaks
from dotcount.metadata import ModelMetadata
from dotcount.points import FloatArray
from dotcount.transport import Solution, solve

IntArray = npt.NDArray[np.int64]

MISSED, OVERCOUNTED = 0.5, 1.5
"""A dot is marked when fewer predicted objects than this go to it from nearby, or more from anywhere."""

UNMATCHED = 0.25
"""A place where at least this much predicted mass is destroyed, in objects, is listed."""

_OF_THE_LOSS = ("cost", "penalty", "epsilon", "rho", "delta")


@dataclass(frozen=True, eq=False)
class TransportMap:
    """How the predicted mass of an image goes to its dots; lengths are px of the original image.

    Attributes
    ----------
    solution
        Of the transport problem on the grid of the model, with its certificate.
    settings
        What it was solved with: ``cost``, ``penalty``, ``epsilon``, ``rho``, ``delta``, ``length_scale``.
    dots
        (m, 2) annotated dots.
    owner
        (h, w) the dot that takes most of each cell's mass; -1 where none takes any.
    taken
        (h, w) mass that the owner takes.
    predicted
        (m,) predicted objects that go to each dot, ``sum_i u_i p_ij``; 1 is right, and they add up to the count as far
        as it is in reach.
    predicted_nearby
        (m,) those of them from nearer than half-way to the next dot (or two cells, where dots are closer): a dot where
        nothing is predicted is served from far away, because the transport must serve it.
    dot_mass
        (m,) mass that arrives, ``sum_i q_i p_ij``: the transport meets half-way between what is predicted and one.
    kept
        (m,) the part of ``predicted`` that is not destroyed on its way, ``sum_i min(u_i, q_i) p_ij``; together with
        what is destroyed it adds up to the count.
    distance
        (m,) mean distance that this mass comes from, px; NaN where there is none.
    area
        (m,) area of the cells that a dot owns and that hold at least a hundredth of the fullest one's mass, px^2.
    destroyed
        (h, w) predicted mass that is destroyed: it goes to no dot.
    unmatched, unmatched_mass
        (k, 2) places where at least a quarter of an object is destroyed, and (k,) how much, largest first.

    Examples
    --------
    >>> import dotcount
    >>> from dotcount.data.synthetic import generate
    >>> image, dots = generate("cells", size=96)
    >>> predictor = dotcount.load("cells")
    >>> prediction = predictor.predict(image)
    >>> settings = transport_settings(predictor.metadata)
    >>> found = transport_map(prediction, dots.xy, predictor.stride, settings)
    >>> found.owner.shape == prediction.density.shape, found.summary()["dots"] == len(dots)
    (True, True)
    """

    solution: Solution
    settings: dict[str, Any]
    dots: FloatArray
    owner: IntArray
    taken: FloatArray
    predicted: FloatArray
    predicted_nearby: FloatArray
    dot_mass: FloatArray
    kept: FloatArray
    distance: FloatArray
    area: FloatArray
    destroyed: FloatArray
    unmatched: FloatArray
    unmatched_mass: FloatArray

    @property
    def missed(self) -> FloatArray:
        """Return the (k, 2) dots that less than half a predicted object goes to from nearby."""
        return self.dots[self.predicted_nearby < MISSED]

    @property
    def overcounted(self) -> FloatArray:
        """Return the (k, 2) dots that more than one and a half predicted objects go to."""
        return self.dots[self.predicted > OVERCOUNTED]

    def summary(self) -> dict[str, Any]:
        """Return the figures of the whole image as plain values."""
        solution, moved = self.solution, float(self.dot_mass.sum())
        reached = self.dot_mass > 0
        mean = float(np.dot(self.dot_mass[reached], self.distance[reached]) / moved) if reached.any() else None
        return {
            "dots": len(self.dots),
            "predicted": float(solution.density.sum()),
            "transported": moved,
            "mean_distance_px": mean,
            "destroyed_mass": float(self.destroyed.sum()),
            "unmatched_places": len(self.unmatched),
            "missed_dots": len(self.missed),
            "overcounted_dots": len(self.overcounted),
            "value": solution.value,
            "gap": solution.gap,
            "converged": solution.converged,
            "terms": dict(vars(solution.terms)),
            "settings": self.settings | {"epsilon_px": solution.epsilon_px},
        }

    def save(self, out: Path) -> None:
        """Write ``dots.csv``, ``unmatched.csv`` and ``explanation.json`` into the folder ``out``."""
        with CsvWriter(
            out / "dots.csv", ("dot", "x", "y", "predicted", "predicted_nearby", "dot_mass", "distance_px", "area_px")
        ) as sink:
            for k, (x, y) in enumerate(self.dots):
                distance = float(self.distance[k]) if np.isfinite(self.distance[k]) else None
                masses = self.predicted[k], self.predicted_nearby[k], self.dot_mass[k]
                sink.write(k + 1, float(x), float(y), *masses, distance, self.area[k])
        with CsvWriter(out / "unmatched.csv", ("x", "y", "mass")) as sink:
            for (x, y), mass in zip(self.unmatched, self.unmatched_mass):
                sink.write(float(x), float(y), float(mass))
        write_text(out / "explanation.json", json.dumps(self.summary(), indent=2, allow_nan=False) + "\n")


def transport_settings(metadata: ModelMetadata) -> dict[str, Any]:
    """Return cost, penalty, epsilon, rho, delta and length scale (px) of a run, from its model's metadata.

    A run of another loss has none of these; it gets the paper's, with the side of its training crop as unit of length.

    Examples
    --------
    >>> from dotcount.metadata import ModelMetadata
    >>> transport_settings(ModelMetadata(model="compact", stride=4))
    {'cost': 'l2', 'penalty': 'kl', 'epsilon': 0.01, 'rho': 1.0, 'delta': None, 'length_scale': None}
    """
    settings: dict[str, Any] = {"cost": "l2", "penalty": "kl", "epsilon": 0.01, "rho": 1.0, "delta": None}
    training = metadata.training
    scale: float | None = None
    if training is not None:
        scale = training.crop
        if training.loss.name == "uot":
            options = training.loss.options
            settings |= {key: options[key] for key in _OF_THE_LOSS if options.get(key) is not None}
            scale = training.loss.length_scale or scale
    if isinstance(settings["rho"], list):
        settings["rho"] = tuple(settings["rho"])
    return settings | {"length_scale": float(scale) if scale else None}


def transport_map(
    prediction: Prediction, dots: npt.ArrayLike, stride: float, settings: Mapping[str, Any]
) -> TransportMap:
    """Solve the transport from the predicted density to the dots and say what goes where.

    Parameters
    ----------
    prediction
        Of the image; see :meth:`dotcount.prediction.Predictor.predict`.
    dots
        (m, 2) annotated dots, px of the original image; may be empty.
    stride
        Side of a cell, px of the image as the model saw it: :attr:`dotcount.prediction.Predictor.stride`.
    settings
        Keyword arguments of :func:`dotcount.transport.solve`; see :func:`transport_settings`.

    Examples
    --------
    >>> import dotcount
    >>> from dotcount.data.synthetic import generate
    >>> image, dots = generate("cells", size=96)
    >>> predictor = dotcount.load("cells")
    >>> prediction = predictor.predict(image)
    >>> settings = transport_settings(predictor.metadata)
    >>> found = transport_map(prediction, dots.xy, predictor.stride, settings)
    >>> found.predicted.shape == (len(dots),), found.solution.converged
    (True, True)
    """
    xy = np.asarray(dots, dtype=np.float64).reshape(-1, 2)
    side = np.array(prediction.stride, dtype=np.float64)  # of a cell, px of the original image
    seen = torch.from_numpy(xy / side * stride)
    density = torch.from_numpy(prediction.density.astype(np.float64))
    solution = solve(density, seen, stride=stride, **settings)
    shape = prediction.density.shape
    plan = solution.plan(threshold=1e-4)
    cells, columns = plan.indices().numpy()
    mass = plan.values().numpy()
    centres = np.stack([cells % shape[1], cells // shape[1]], axis=1) + 0.5
    gaps = np.linalg.norm(centres * side - xy[columns], axis=1)
    owner, taken = _owners(cells, columns, mass, shape)
    total = _sums(columns, mass, len(xy))
    with np.errstate(invalid="ignore", divide="ignore"):
        distance = _sums(columns, mass * gaps, len(xy)) / total
    sent = solution.pixel_mass.numpy().ravel()[cells]
    share = np.divide(mass, sent, out=np.zeros_like(mass), where=sent > 0)
    there = density.numpy().ravel()[cells]
    offered = share * there
    shown = (owner >= 0) & (taken >= 0.01 * taken.max())
    left = np.clip(-solution.pixel_defect.numpy(), 0, None)
    peaks, peak_mass = find_peaks(left, 1, UNMATCHED)
    return TransportMap(
        solution=solution,
        settings={key: list(value) if isinstance(value, tuple) else value for key, value in settings.items()}
        | {"length_scale": solution.geometry.length_scale},
        dots=xy,
        owner=owner,
        taken=taken,
        predicted=_sums(columns, offered, len(xy)),
        predicted_nearby=_sums(columns, offered * (gaps <= _reach(xy, side)[columns]), len(xy)),
        dot_mass=solution.dot_mass.numpy(),
        kept=_sums(columns, share * np.minimum(sent, there), len(xy)),
        distance=distance,
        area=_sums(owner[shown], np.full(int(shown.sum()), side.prod()), len(xy)),
        destroyed=left,
        unmatched=peaks * side,
        unmatched_mass=peak_mass,
    )


def _sums(groups: IntArray, values: FloatArray, n: int) -> FloatArray:
    """Return (n,) the sum of the values of each group, float also where there is none."""
    return np.bincount(groups, values, n).astype(np.float64)


def _reach(dots: FloatArray, side: FloatArray) -> FloatArray:
    """Return (m,) how far around each dot, px, what is predicted counts as its own."""
    if len(dots) < 2:
        return np.full(len(dots), np.inf)
    nearest = KDTree(dots).query(dots, k=2)[0][:, 1]
    return np.maximum(nearest / 2, 2 * float(side.max()))


def _owners(
    cells: IntArray, columns: IntArray, mass: FloatArray, shape: tuple[int, ...]
) -> tuple[IntArray, FloatArray]:
    """Return (h, w) which dot takes most of each cell's mass, and how much it takes."""
    owner, taken = np.full(shape, -1, dtype=np.int64), np.zeros(shape)
    order = np.lexsort((mass, cells))
    last = order[np.flatnonzero(np.diff(cells[order], append=-1))] if order.size else order
    owner.flat[cells[last]] = columns[last]
    taken.flat[cells[last]] = mass[last]
    return owner, taken
