"""The settings of a run: their names, types, ranges and defaults.

Defaults are the package's own recipe for training from scratch on a laptop. ``None`` means "fit it to the data"; what
was chosen is written into the recorded configuration.
"""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, StrictInt, StrictStr, model_validator

from dotcount.config.checking import Refused, section


def _text(value: object) -> object:
    """Return whole numbers as text: YAML reads a folder or a class called 2020 as a number."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _ascending(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise Refused("two numbers, the lower first")
    return pair


Text = Annotated[StrictStr, BeforeValidator(_text)]
Real = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Positive = Annotated[Real, Field(gt=0)]
NotNegative = Annotated[Real, Field(ge=0)]
Share = Annotated[Real, Field(ge=0, le=1)]
Decay = Annotated[Real, Field(ge=0, lt=1)]
Factor = Annotated[Real, Field(ge=1 / 16, le=16)]
Pixels = Annotated[StrictInt, Field(ge=1, le=100_000)]
Seed = Annotated[StrictInt, Field(ge=0, le=2**32 - 1)]
# Bounds that no run comes near: beyond them a number is a slip, and would hang the machine without a word.
Epochs = Annotated[StrictInt, Field(ge=1, le=100_000)]
Steps = Annotated[StrictInt, Field(ge=1, le=10_000_000)]


@section
class DataConfig:
    """Where the images and dots are and how they are read.

    Parameters
    ----------
    path
        Folder, file or ``benchmark:PATH``.
    format
        Name of the layout, or ``auto`` to recognise it.
    classes
        Keep only the dots of these classes; absent: all.
    train_split, validation_split
        Names of the splits to learn from and to choose checkpoints on. Where the data has no split of the second name,
        a part of the first is held out. The test split is never used for either.
    validation
        Share of the training images that is held out, in (0, 1).
    split_seed
        Seed of that hold-out, apart from the training seed so that runs with several seeds share one validation set.
    train_images
        Use only this many training images (drawn with ``split_seed``), those held out for validation among them; all
        when absent.
    min_side, max_side, max_short_side
        Images are enlarged to a shorter side of at least ``min_side`` px, then shrunk to a longer side of at most
        ``max_side`` px and a shorter side of at most ``max_short_side`` px, before anything else; absent: the rule of
        the benchmark that DATA is, else as they are.
    magnify
        Images that the bounds above have left are magnified so many times, in training and in use: objects of a few
        pixels are told apart better, at a cost that grows with the square.
    pixel_size
        Side of a pixel of the training images on the ground, m; absent: what the files state. It is recorded in the
        model, so that images of another resolution are brought to this one.
    page, projection
        What is read of files of many pages, planes or frames: that page, counted from 1, or with ``max`` the largest
        values of all. It is recorded in the model.
    channels
        One to three channels or bands, counted from 1; absent: of colours the first three, of a microscope's channels
        the first.
    strict
        Refuse data of which a file would be left out or can't be read, rather than say so and train on the others.

    Examples
    --------
    >>> DataConfig(path="cells", max_side=2048).max_side
    2048
    """

    path: Text = ""
    format: Text = "auto"
    classes: list[Text] | None = None
    train_split: Text = "train"
    validation_split: Text = "val"
    validation: Annotated[Real, Field(gt=0, lt=1)] = 0.1
    split_seed: Seed = 0
    train_images: Annotated[StrictInt, Field(ge=1)] | None = None
    min_side: Pixels | None = None
    max_side: Pixels | None = None
    max_short_side: Pixels | None = None
    magnify: Factor | None = None
    pixel_size: Annotated[Real, Field(gt=0)] | None = None
    page: Annotated[StrictInt, Field(ge=1)] = 1
    projection: Literal["none", "max"] = "none"
    channels: Annotated[list[Annotated[StrictInt, Field(ge=1)]], Field(min_length=1, max_length=3)] | None = None
    strict: StrictBool = False


@section
class LossConfig:
    """Name of the loss and its options (see ``dotcount.losses``).

    Examples
    --------
    >>> load(overrides=["loss.name=bayesian", "loss.options.sigma=4"]).loss
    LossConfig(name='bayesian', options={'sigma': 4})
    """

    name: StrictStr = "uot"
    options: dict[str, Any] = field(default_factory=dict)


@section
class ModelConfig:
    """Name of the model, where its weights start from, and its options (see ``dotcount.models``).

    ``pretrained`` is false, true (the weights the model's authors publish) or the path of a weights file or folder.
    ``frozen_levels`` keeps that many of a pretrained encoder's levels, from the finest, as they were loaded: with
    ``lite0`` and 1, a step takes 0.7 of the time.

    Examples
    --------
    >>> ModelConfig(name="compact", options={"stride": 8}).options
    {'stride': 8}
    """

    name: StrictStr = "compact"
    pretrained: StrictBool | StrictStr = False
    options: dict[str, Any] = field(default_factory=dict)
    frozen_levels: Annotated[StrictInt, Field(ge=0, le=16)] = 0


@section
class OptimizerConfig:
    """AdamW, or Adam (whose weight decay is added to the gradient), and the clip of the gradient's norm.

    Parameters
    ----------
    clip_norm
        Upper end of the gradient's norm; ``None``: none. Losses differ in the size of their gradients by factors of a
        thousand, so one value can leave one loss alone and give another the same step for every crop.
    clip_quantile
        In (0, 1): the norm is also clipped to this quantile of the norms of the last 200 steps, before clipping, as
        soon as there are 20. It bites every loss alike. ``None``: no such clip.

    Examples
    --------
    >>> load(overrides=["optimizer.learning_rate=0.0003"]).optimizer.learning_rate
    0.0003
    """

    name: Literal["adam", "adamw"] = "adamw"
    learning_rate: Annotated[Positive, Field(le=1000)] = 1e-3
    weight_decay: Annotated[NotNegative, Field(le=1000)] = 1e-4
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    clip_norm: Positive | None = 1.0
    clip_quantile: Annotated[Real, Field(gt=0, lt=1)] | None = None


@section
class ScheduleConfig:
    """Course of the learning rate, a function of the step and the total number of steps only.

    Parameters
    ----------
    name
        ``trapezoid``: warm-up, constant, then linear to zero over the last ``cooldown`` of the epochs; ``cosine``:
        warm-up, then a half cosine to zero; ``polynomial``: warm-up, then ``(1 - t)^power``; ``constant``: warm-up
        only.
    warmup_steps
        Steps of linear warm-up from zero.
    cooldown
        Share of the epochs spent in the cool-down of ``trapezoid``.
    cooldown_epochs
        The same as a number of epochs, which takes precedence; absent: rounded from ``cooldown``, or fitted to
        ``max_minutes``, and recorded.
    power
        Exponent of ``polynomial``.

    Examples
    --------
    >>> ScheduleConfig(name="cosine").warmup_steps
    50
    """

    name: Literal["trapezoid", "cosine", "polynomial", "constant"] = "trapezoid"
    warmup_steps: Annotated[StrictInt, Field(ge=0, le=10_000_000)] = 50
    cooldown: Share = 0.4
    cooldown_epochs: Annotated[StrictInt, Field(ge=0, le=100_000)] | None = None
    power: Annotated[Positive, Field(le=100)] = 0.9


@section
class AugmentConfig:
    """Random changes of the training images; dots follow exactly. All but flips and turns are off by default.

    Parameters
    ----------
    flip_horizontal
        Whether to flip from left to right, with equal chances.
    flip_vertical, rotate90
        Whether to flip upside down and to turn by quarters, each with equal chances; absent: if the images have no up
        and no down, as from the air or in a microscope (see ``dotcount.data.orientation``). What was chosen is said.
    scale
        Range of magnifications, for objects that come in many sizes; leave it out where all images have the same.
    scale_chance
        Share of the crops that are magnified. The others keep the sharpness of the images as they will be counted:
        resampled pixels are smoother, and a network that sees no others miscounts sharp ones.
    brightness, contrast
        Largest relative change.
    grey
        Share of the crops that lose their colour.
    crowded
        Share of the crops for which two places of the image are drawn and the one with more dots is taken: dense places
        are then seen more often.

    Examples
    --------
    >>> load(overrides=["augment.rotate90=true"]).augment.rotate90
    True
    """

    flip_horizontal: StrictBool = True
    flip_vertical: StrictBool | None = None
    rotate90: StrictBool | None = None
    scale: Annotated[tuple[Factor, Factor], AfterValidator(_ascending)] | None = None
    scale_chance: Share = 0.5
    brightness: Share = 0.0
    contrast: Share = 0.0
    grey: Share = 0.0
    crowded: Share = 0.0


@section
class PeaksConfig:
    """How the density map becomes points; what is left open is chosen on the validation images.

    Parameters
    ----------
    method
        ``mass``: objects taken out one at a time, so that points and count agree; ``nms``: the paper's non-maximum
        suppression; ``count``: as many points as the rounded count. See ``dotcount.inference.find_peaks``.
    radius
        Windows are ``(2 radius + 1)^2`` cells; absent: 1 to 4, chosen with the threshold.

    Examples
    --------
    >>> load(overrides=["peaks.method=nms"]).peaks.method
    'nms'
    """

    method: Literal["mass", "nms", "count"] = "mass"
    radius: Annotated[StrictInt, Field(ge=1, le=64)] | None = None


@section
class TrainingConfig:
    """Budget, batches and everything that makes a run repeatable.

    Parameters
    ----------
    epochs
        Number of epochs; exclusive with ``max_minutes``. Absent with no budget: 100.
    max_minutes
        Wall-clock budget for the whole run, from reading the data to the report; the number of epochs and the cool-down
        are fitted to it.
    steps_per_epoch
        Optimiser steps between two validations; absent: one pass over the images, but at least 50 steps.
    batch_size
        Crops per step (per process).
    crop
        Side of the square crop, px; absent: 256 or the largest multiple of 32 that fits the smallest image.
    ema_decay
        Decay per step of the exponential moving average of the weights, which is what is validated and saved; 0 turns
        it off. Early on the decay is ``min(ema_decay, (1 + step) / (10 + step))``.
    validate_every
        Epochs between two validations on whole images; absent: 1, or more where they would eat a time budget.
    select
        Validation figure, lower is better, by which weights are kept: the last that are not worse beyond chance.
    precision
        ``auto`` is bfloat16 or float16 autocast on a GPU and float32 on a CPU, where ``bf16`` is faster if the
        processor has such products (AVX-512 BF16, AMX) and slower if not; the transport is always solved in
        float32/64.
    device
        ``auto``, ``cpu``, ``cuda``, ``mps``.
    devices
        Number of processes / devices.
    workers
        Loader processes; absent: fitted to the machine.
    cache_mb
        Bound on memory for decoded images, MB.
    calibrate
        Scale the final model's densities by the factor that removes the mean count error on the validation images,
        where that lowers their error leave-one-out; ``always``: whatever it does to the error of single images, for
        totals over many images, in which scatter cancels and a mean error adds up.
    try_magnify
        Magnifications, relative to that of training, at which the final model counts the validation images as well; the
        one with the lowest ``select``, or 1, is that of every prediction.
    try_mirror
        Count the validation images' mirror images as well, and let every prediction do so if the mean of the two has a
        lower ``select``. Prediction then takes twice as long.
    seed
        Seed of weights, data order and augmentation.

    Examples
    --------
    >>> TrainingConfig(max_minutes=20.0, seed=3).max_minutes
    20.0
    """

    epochs: Epochs | None = None
    max_minutes: Annotated[Positive, Field(le=525_600)] | None = None
    steps_per_epoch: Steps | None = None
    batch_size: Annotated[StrictInt, Field(ge=1, le=4096)] = 4
    crop: Annotated[StrictInt, Field(ge=1, le=16_384)] | None = None
    ema_decay: Decay = 0.998
    validate_every: Epochs | None = None
    select: Literal["mae", "rmse"] = "mae"
    precision: Annotated[Literal["auto", "32", "16", "bf16"], BeforeValidator(_text)] = "auto"
    device: StrictStr = "auto"
    devices: Annotated[StrictInt, Field(ge=1, le=1024)] = 1
    workers: Annotated[StrictInt, Field(ge=0, le=256)] | None = None
    cache_mb: Annotated[StrictInt, Field(ge=0, le=10_000_000)] = 2048
    calibrate: StrictBool | Literal["always"] = True
    try_magnify: Annotated[list[Factor], Field(max_length=16)] = field(default_factory=list)
    try_mirror: StrictBool = False
    seed: Seed = 0


@section
class RunConfig:
    """Everything that determines a run.

    >>> config = RunConfig(training=TrainingConfig(epochs=20, batch_size=8))
    >>> config.loss.name, config.training.batch_size
    ('uot', 8)
    """

    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    peaks: PeaksConfig = field(default_factory=PeaksConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        minutes, name = self.training.max_minutes, self.schedule.name
        if minutes is not None and self.training.epochs is not None:
            raise Refused("absent when training.epochs is given", "training.max_minutes", minutes)
        # A course that depends on the whole number of steps can't begin before a budget has fixed it.
        if minutes is not None and name not in ("trapezoid", "constant"):
            raise Refused("trapezoid or constant with training.max_minutes", "schedule.name", name)
        return self
