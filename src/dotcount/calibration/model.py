"""Everything that held-out images decide about a trained network, in one step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import nn

from dotcount.calibration.familiarity import Looks, fit_familiarity, looks_of
from dotcount.calibration.intervals import calibrate
from dotcount.calibration.parts import part_residuals
from dotcount.calibration.thresholds import choose_threshold
from dotcount.calibration.trials import CalibrationOptions, Images, try_augmentations
from dotcount.inference.peaks import DEFAULT_THRESHOLD
from dotcount.inference.runtimes import as_runtime
from dotcount.metadata import AugmentationTrial, CountingMetrics, CountInterval, Familiarity, PeakRule
from dotcount.metrics import BaselineComparison, compare_with_constant, counting_metrics
from dotcount.points import FloatArray

PEAK_IMAGES = 50
"""Held-out images that the peaks are chosen on; more change little, and matching takes long."""

FEATURE_IMAGES = 100
"""Images of training, and held-out ones, whose features are gathered."""

RADII = (1, 2, 3, 4)
"""Radii of the peaks' windows, cells, among which one is chosen."""


@dataclass(frozen=True)
class Calibration:
    """What held-out images decide, and what they say of the result.

    Attributes
    ----------
    magnify, mirror
        The test-time augmentation: size of the images relative to training, and whether the mirror image counts.
    count_scale, peaks, interval
        See :class:`dotcount.metadata.ModelMetadata`.
    counting
        Errors; each image is judged by the choices that the others would make.
    baseline
        The same counts against always answering the mean count of the training images.
    trials
        The augmentations that were tried.
    familiarity
        What tells images like those of training from others; None if there are too few of them.

    Examples
    --------
    >>> from dotcount import data, models
    >>> from dotcount.data.synthetic import write_dataset
    >>> records = data.open_collection(write_dataset("cells", train=3, val=0, test=0, size=64)).records
    >>> batches = [data.whole_batch(data.load_sample(record)) for record in records]
    >>> network = models.create("compact", width=4)
    >>> found = calibrate_model(network, lambda magnify: batches, CalibrationOptions(), mean_count=3.0)
    >>> found.magnify, found.counting.n
    (1.0, 3)
    """

    magnify: float
    mirror: bool
    count_scale: float
    peaks: PeakRule
    interval: CountInterval
    counting: CountingMetrics
    baseline: BaselineComparison
    trials: tuple[AugmentationTrial, ...]
    familiarity: Familiarity | None = None


def calibrate_model(
    network: nn.Module,
    images: Images,
    options: CalibrationOptions,
    *,
    mean_count: float,
    checkpoint_shift: FloatArray | None = None,
    training_images: Images | None = None,
    device: str | torch.device = "cpu",
) -> Calibration:
    """Choose test-time augmentation, count scale and peaks on held-out images, and calibrate the interval of a count.

    Parameters
    ----------
    network
        The trained network; it is left on the CPU, in eval mode.
    images
        Magnification -> the held-out images, in batches.
    options
        What may be chosen.
    mean_count
        Mean number of dots in a training image: what the network must be better than.
    checkpoint_shift
        (n,) what each count would change by, had the checkpoint been chosen by the other images alone; None if the
        images had no say in it.
    training_images
        Like ``images``, of training, for the statistics of :class:`~dotcount.metadata.Familiarity`; the first
        :data:`FEATURE_IMAGES` are taken.
    device
        Where to compute.

    Examples
    --------
    >>> from dotcount import data, models
    >>> from dotcount.data.synthetic import write_dataset
    >>> records = data.open_collection(write_dataset("cells", train=3, val=0, test=0, size=64)).records
    >>> batches = [data.whole_batch(data.load_sample(record)) for record in records]
    >>> network = models.create("compact", width=4)
    >>> found = calibrate_model(network, lambda magnify: batches, CalibrationOptions(mirror=True), mean_count=3.0)
    >>> len(found.trials), found.interval.finite  # three images are too few for an interval
    (2, False)
    """
    trials, choice = try_augmentations(network, images, options, device)
    trial = trials[choice.best]
    fitted, held_out = trial.fitted, choice.held_out
    if checkpoint_shift is not None and len(checkpoint_shift) == len(held_out):
        held_out = np.clip(held_out + fitted.scale * checkpoint_shift, 0, None)
    maps = [fitted.scale * density for density in trial.densities]
    own = [count / one.sum() if one.sum() > 0 else 1.0 for count, one in zip(held_out, trial.densities)]
    stride = int(network.stride)  # type: ignore[arg-type]
    parts = part_residuals([k * one for k, one in zip(own, trial.densities)], trial.dots, stride)
    return Calibration(
        magnify=trial.magnify,
        mirror=trial.mirror,
        count_scale=fitted.scale,
        peaks=choose_peaks(
            maps,
            trial.dots,
            stride,
            method=options.peak_method,
            radius=options.peak_radius,
        ),
        interval=calibrate(held_out, trial.true, level=options.level, confidence=options.confidence, parts=parts),
        counting=counting_metrics(held_out, trial.true),
        baseline=compare_with_constant(held_out, trial.true, mean_count),
        trials=tuple(one.summary() for one in trials),
        familiarity=_familiarity(network, images, training_images, trial.magnify, device),
    )


def _familiarity(
    network: nn.Module,
    images: Images,
    training_images: Images | None,
    magnify: float,
    device: str | torch.device,
) -> Familiarity | None:
    known = Looks()
    if training_images is not None:
        known = looks_of(network, training_images(magnify), device, FEATURE_IMAGES)
    held_out = looks_of(network, images(magnify), device, FEATURE_IMAGES)
    found = fit_familiarity(as_runtime(network).feature_channels(), known, held_out)
    network.cpu()
    return found


def choose_peaks(
    densities: Sequence[FloatArray],
    dots: Sequence[FloatArray],
    stride: int,
    *,
    method: Literal["mass", "nms", "count"] = "mass",
    radius: int | None = None,
) -> PeakRule:
    """Return the peaks with the best F on at most :data:`PEAK_IMAGES` images; of equally good radii the smallest.

    Where no image has a dot, threshold and radius are the defaults; ``count`` has neither.

    Parameters
    ----------
    densities, dots
        (h, w) maps and (m, 2) dots (px), one of each per image.
    stride
        Side of a cell, px.
    method, radius
        Of :func:`dotcount.inference.find_peaks`; a radius of None is chosen among :data:`RADII`.

    Examples
    --------
    >>> import numpy as np
    >>> density = np.array([[0.0, 0.7, 0.0]])
    >>> choose_peaks([density], [np.array([[6.0, 2.0]])], stride=4).radius
    1
    """
    chosen = np.linspace(0, len(dots) - 1, min(len(dots), PEAK_IMAGES)).round().astype(int)
    radii = RADII if radius is None else (radius,)
    rule, best = PeakRule(method, radii[0], DEFAULT_THRESHOLD), 0.0
    if method != "count" and any(len(dots[i]) for i in chosen):
        maps, true = [densities[i] for i in chosen], [dots[i] for i in chosen]
        for candidate in radii:
            choice = choose_threshold(maps, true, stride, method=method, radius=candidate)
            if choice.f > best:
                rule, best = PeakRule(method, candidate, choice.threshold), choice.f
    return rule
