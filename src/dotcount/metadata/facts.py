"""Where a model comes from and how well it counts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, MinLen

from dotcount.typed import Strict

Number = Annotated[int, Ge(0)]
Amount = Annotated[float, Ge(0)]
Name = Annotated[str, MinLen(1)]
Option = bool | int | float | str | list[bool | int | float | str] | None
"""What an option of a model or a loss may be: a plain value, or a list of them."""


@dataclass(frozen=True)
class LossFacts(Strict):
    """The loss that a model was trained with.

    Attributes
    ----------
    name, options
        As given to :func:`dotcount.losses.create`.

    Examples
    --------
    >>> LossFacts("uot", {"length_scale": 256.0}).length_scale
    256.0
    """

    name: Name = "uot"
    options: Mapping[str, Option] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, options: Mapping[str, Any]) -> LossFacts:
        """Return the facts of a loss with infinite options as text, since JSON has no number for them.

        Examples
        --------
        >>> LossFacts.of("uot", {"rho": [1.0, float("inf")]}).options
        {'rho': [1.0, 'inf']}
        """

        def plain(value: Any) -> Any:
            if isinstance(value, list | tuple):
                return [plain(one) for one in value]
            return str(value) if isinstance(value, float) and math.isinf(value) else value

        return cls(name, {key: plain(value) for key, value in options.items()})

    @property
    def length_scale(self) -> float | None:
        """Unit of length of the transport cost, px; None where the loss has none.

        Where each dot has its own it is the longest.
        """
        value = self.options.get("length_scale")
        return float(value) if isinstance(value, (int, float)) else None


@dataclass(frozen=True)
class CountRange(Strict):
    """Least, median and largest number of dots in a training image.

    Examples
    --------
    >>> CountRange(min=3, median=12.5, max=40).max
    40
    """

    min: Number = 0
    median: Amount = 0.0
    max: Number = 0


@dataclass(frozen=True)
class TrainingFacts(Strict):
    """What a model was trained on, and how.

    Attributes
    ----------
    data, format
        Name of the data set and of its layout.
    images, dots, validation_images
        Numbers of training images, of their dots, and of the images that checkpoint and calibration rest on.
    count
        Dots an image.
    crop
        Side of the training crops, px.
    epochs, steps, minutes
        Length of the training.
    pretrained
        Whether it began from weights of another training.
    seed
        Of weights, order of the data and augmentation.
    loss
        What was minimised.
    digests
        Of the training images, see :func:`dotcount.data.digests.packed`; empty if they are not known.

    Examples
    --------
    >>> TrainingFacts(data="cells", images=80, dots=4000).mean_count
    50.0
    """

    data: str = ""
    format: str = ""
    images: Annotated[int, Ge(1)] = 1
    dots: Number = 0
    validation_images: Number = 0
    count: CountRange = field(default_factory=CountRange)
    crop: Annotated[int, Ge(1)] | None = None
    epochs: Number = 0
    steps: Number = 0
    minutes: Amount = 0.0
    pretrained: bool = False
    seed: Number = 0
    loss: LossFacts = field(default_factory=LossFacts)
    digests: str = ""

    @property
    def mean_count(self) -> float:
        """Mean number of dots in a training image."""
        return self.dots / self.images


@dataclass(frozen=True)
class CountingMetrics(Strict):
    """Errors of predicted counts ``p`` against true counts ``c`` over ``n`` images, in objects.

    Attributes
    ----------
    n
        Number of images.
    mae
        Mean of ``|p - c|``.
    rmse
        Root of the mean of ``(p - c)^2``; crowd-counting papers print it as "MSE".
    nae
        Mean of ``|p - c| / c`` over images with ``c > 0``; ``None`` when there is none.
    bias
        Mean of ``p - c``; positive when too many are counted.
    mae_ci95
        95 % bootstrap interval of ``mae`` over images.

    Examples
    --------
    >>> CountingMetrics(n=2, mae=2.0, rmse=2.0, nae=0.2, bias=0.0, mae_ci95=(2.0, 2.0)).to_dict()["mae"]
    2.0
    """

    n: Annotated[int, Ge(1)]
    mae: Amount
    rmse: Amount
    nae: Amount | None
    bias: float
    mae_ci95: tuple[float, float]

    def to_dict(self) -> dict[str, object]:
        """Return plain values for JSON."""
        return asdict(self) | {"mae_ci95": list(self.mae_ci95)}


@dataclass(frozen=True)
class Checkpoint(Strict):
    """The epoch whose weights a model has, and its errors in training: before calibration, chosen by these images.

    Examples
    --------
    >>> Checkpoint(epoch=12, mae=3.4).epoch
    12
    """

    epoch: Number
    step: Number = 0
    mae: Amount = 0.0
    rmse: Amount = 0.0
    bias: float = 0.0


@dataclass(frozen=True)
class AugmentationTrial(Strict):
    """The validation images counted with one test-time augmentation.

    Attributes
    ----------
    magnify
        Size of the images as a multiple of that in training.
    mirror
        Whether their mirror images were counted as well.
    mae, rmse, bias
        Errors, each image scaled by the factor that the others give.
    count_scale
        Factor on the counts.

    Examples
    --------
    >>> trial = AugmentationTrial(magnify=1.5, mirror=True, mae=2.9, rmse=4.0, bias=0.1, count_scale=1.02)
    >>> trial.magnify, trial.mirror
    (1.5, True)
    """

    magnify: Annotated[float, Gt(0)]
    mirror: bool
    mae: Amount
    rmse: Amount
    bias: float
    count_scale: Annotated[float, Gt(0)]


@dataclass(frozen=True)
class CalibrationFacts(Strict):
    """On what a trained model was calibrated again, see :func:`dotcount.calibration.recalibrate`.

    Attributes
    ----------
    data
        Name of the data set.
    images, dots
        Number of annotated images, and of their dots.
    former_scale
        Count scale before.
    counting
        Errors on these images, each counted by the scale that the others give.
    scale_error
        Standard error of the new count scale, as a share of it; None if no scale was found, or of older versions.

    Examples
    --------
    >>> errors = CountingMetrics(n=20, mae=2.9, rmse=4.0, nae=0.1, bias=0.1, mae_ci95=(2.0, 3.8))
    >>> CalibrationFacts("harbour", images=20, dots=1830, former_scale=1.0, counting=errors).images
    20
    """

    data: str
    images: Annotated[int, Ge(1)]
    dots: Number
    former_scale: Annotated[float, Gt(0)]
    counting: CountingMetrics
    scale_error: Annotated[float, Ge(0)] | None = None


@dataclass(frozen=True)
class ValidationFacts(Strict):
    """What the validation images say of a model.

    Attributes
    ----------
    counting
        Errors; each image is judged by the choices that the others would make.
    baseline_mae
        Mean absolute error of always answering the mean count of the training images; None if unknown.
    selected_by
        How the checkpoint was chosen.
    checkpoint
        Which one it is.
    trials
        The test-time augmentations among which one was chosen.
    verdict, sentence
        What comes of the comparison with always answering the mean count, see
        :class:`dotcount.metrics.BaselineComparison`; None and "" if unknown.

    Examples
    --------
    >>> errors = CountingMetrics(n=20, mae=2.9, rmse=4.0, nae=0.1, bias=0.1, mae_ci95=(2.0, 3.8))
    >>> ValidationFacts(errors, baseline_mae=11.0).no_better_than_constant
    False
    """

    counting: CountingMetrics
    baseline_mae: Amount | None = None
    selected_by: str = ""
    checkpoint: Checkpoint | None = None
    trials: tuple[AugmentationTrial, ...] = ()
    verdict: Literal["better", "unclear", "no better"] | None = None
    sentence: str = ""

    @property
    def no_better_than_constant(self) -> bool:
        """Whether always answering the mean count of the training images would do as well."""
        if self.verdict is not None:
            return self.verdict == "no better"
        return self.baseline_mae is not None and self.counting.mae >= self.baseline_mae > 0

    @property
    def caution(self) -> str:
        """What to know before any count is relied on, a sentence; empty where the model beats a constant answer."""
        if not self.no_better_than_constant:
            return ""
        return self.sentence or (
            "No better than always answering the mean count of the training images: off by "
            f"{self.counting.mae:,.1f} on average, against {self.baseline_mae:,.1f}."
        )

    def described(self) -> str:
        """Return the errors in a sentence, the same wherever they are reported."""
        found, kept = self.counting, self.checkpoint
        images = "1 validation image" if found.n == 1 else f"{found.n:,} validation images"
        text = f"MAE {found.mae:.3g}, RMSE {found.rmse:.3g}, mean error {found.bias:+.3g} on {images}"
        if kept is None:
            return text
        return f"{text} (weights of epoch {kept.epoch}, which had an MAE of {kept.mae:.3g} in training, uncalibrated)"
