"""The held-out images counted with several test-time augmentations, and the one that counts them best."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import nn

from dotcount.calibration.choosing import Choice, choose_best
from dotcount.calibration.scaling import CountScale, fit_count_scale
from dotcount.data import Batch
from dotcount.density import cells_inside
from dotcount.inference.network import counts
from dotcount.inference.runtimes.pytorch import TorchRuntime
from dotcount.metadata import AugmentationTrial
from dotcount.metrics import count_errors
from dotcount.points import FloatArray

Images = Callable[[float], Iterable[Batch | None]]
"""Magnification, relative to training -> the held-out images; None for one that can't be decoded."""


@dataclass(frozen=True)
class CalibrationOptions:
    """What calibration may choose from.

    Attributes
    ----------
    magnify
        Magnifications, relative to training, that are tried besides 1.
    mirror
        Whether to try the mirror image as well.
    scale
        Whether to fit a count scale: True, where it lowers the errors; ``always``; or False.
    select
        The error by which test-time augmentation and checkpoint are chosen.
    peak_method, peak_radius
        Of the peaks; a radius of None is chosen from 1 to 4 cells.
    level, confidence
        Of the interval of a count, see :func:`dotcount.calibration.calibrate`.

    Examples
    --------
    >>> CalibrationOptions(mirror=True).level
    0.9
    """

    magnify: tuple[float, ...] = ()
    mirror: bool = False
    scale: bool | Literal["always"] = True
    select: Literal["mae", "rmse"] = "mae"
    peak_method: Literal["mass", "nms", "count"] = "mass"
    peak_radius: int | None = None
    level: float = 0.9
    confidence: float | None = 0.8


@dataclass(frozen=True)
class Trial:
    """The held-out images counted with one test-time augmentation.

    Attributes
    ----------
    magnify, mirror
        The augmentation.
    densities, dots
        Density (h, w), unless another trial is better, and dots (m, 2) of every image.
    fitted
        Scale of the counts, and the counts that leave-one-out scales give.
    """

    magnify: float
    mirror: bool
    densities: list[FloatArray]
    dots: list[FloatArray]
    fitted: CountScale

    @property
    def true(self) -> list[int]:
        """Number of dots of every image."""
        return [len(xy) for xy in self.dots]

    def summary(self) -> AugmentationTrial:
        """Return the errors for the metadata."""
        mae, rmse, bias = count_errors(self.fitted.held_out, self.true)
        return AugmentationTrial(self.magnify, self.mirror, mae, rmse, bias, self.fitted.scale)


def try_augmentations(
    network: nn.Module, images: Images, options: CalibrationOptions, device: str | torch.device = "cpu"
) -> tuple[list[Trial], Choice]:
    """Return the held-out images counted at every magnification, then mirrored as well at the best; and the best.

    The first is at magnification 1 and without mirror. Only the best one keeps its densities, which may be large.

    Examples
    --------
    >>> from dotcount import data, models
    >>> from dotcount.data.synthetic import write_dataset
    >>> records = data.open_collection(write_dataset("cells", train=3, val=0, test=0, size=64)).records
    >>> batches = [data.whole_batch(data.load_sample(record)) for record in records]
    >>> network = models.create("compact", width=4)
    >>> trials, choice = try_augmentations(network, lambda magnify: batches, CalibrationOptions(mirror=True))
    >>> [trial.mirror for trial in trials], len(choice.held_out)
    ([False, True], 3)
    """
    trials = list[Trial]()
    network = network.to(device).eval()

    def attempt(magnify: float, mirror: bool) -> Choice:
        trials.append(_trial(network, images(magnify), magnify, mirror, options, torch.device(device)))
        choice = choose_best([one.fitted.held_out for one in trials], trials[0].true, options.select)
        for k, trial in enumerate(trials):
            if k != choice.best:
                trial.densities.clear()
        return choice

    choice = attempt(1.0, False)
    for factor in options.magnify:
        if factor != 1:
            choice = attempt(factor, False)
    if options.mirror:
        choice = attempt(trials[choice.best].magnify, True)
    network.cpu()
    return trials, choice


def _trial(
    network: nn.Module,
    batches: Iterable[Batch | None],
    magnify: float,
    mirror: bool,
    options: CalibrationOptions,
    device: torch.device,
) -> Trial:
    densities, dots, predicted = list[FloatArray](), list[FloatArray](), list[float]()
    runtime = TorchRuntime(network, device)
    for batch in batches:
        if batch is None:
            continue
        density = runtime.density(batch.images.permute(0, 2, 3, 1).numpy(), mirror=mirror)
        predicted += counts(torch.from_numpy(density)[:, None], runtime.stride, batch.image_sizes).tolist()
        for map_, (height, width) in zip(density.astype(np.float64), batch.image_sizes):
            rows, columns = (cells_inside(n, runtime.stride, side) for n, side in zip(map_.shape, (height, width)))
            densities.append(map_[:rows, :columns])
        dots += [xy.cpu().double().numpy() for xy in batch.points]
    fitted = CountScale(1.0, np.array(predicted))
    if options.scale:
        fitted = fit_count_scale(predicted, [len(xy) for xy in dots], always=options.scale == "always")
    return Trial(magnify, mirror, densities, dots, fitted)
