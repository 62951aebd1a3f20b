"""The typed configuration of a run: what ``dotcount train`` resolves and records in ``config.yaml``.

Defaults are the package's own recipe for training from scratch on a laptop. ``None`` means "fit it to the data"; what
was chosen is written into the recorded configuration. This module imports no torch.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from dotcount.errors import ConfigError
from dotcount.files import write_text
from dotcount.registry import did_you_mean


@dataclass(frozen=True)
class DataConfig:
    """Where the images and dots are and how they are read.

    Parameters
    ----------
    path
        Folder, file or ``recipe:PATH``.
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
    """

    path: str = ""
    format: str = "auto"
    classes: list[str] | None = None
    train_split: str = "train"
    validation_split: str = "val"
    validation: float = 0.1
    split_seed: int = 0
    train_images: int | None = None
    min_side: int | None = None
    max_side: int | None = None
    max_short_side: int | None = None
    magnify: float | None = None


@dataclass(frozen=True)
class LossConfig:
    """Name of the loss and its options (see ``dotcount.losses``)."""

    name: str = "uot"
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelConfig:
    """Name of the model, where its weights start from, and its options (see ``dotcount.models``).

    ``pretrained`` is false, true (the weights the model's authors publish) or the path of a weights file or folder.
    """

    name: str = "compact"
    pretrained: bool | str = False
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW, or Adam (whose weight decay is added to the gradient), and the clip of the gradient's norm."""

    name: Literal["adam", "adamw"] = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.999)
    clip_norm: float | None = 1.0


@dataclass(frozen=True)
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
    """

    name: Literal["trapezoid", "cosine", "polynomial", "constant"] = "trapezoid"
    warmup_steps: int = 50
    cooldown: float = 0.4
    cooldown_epochs: int | None = None
    power: float = 0.9


@dataclass(frozen=True)
class AugmentConfig:
    """Random changes of the training images; dots follow exactly. All but the horizontal flip are off by default.

    Parameters
    ----------
    flip_horizontal, flip_vertical, rotate90
        Whether to flip and to turn, each with equal chances.
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
    """

    flip_horizontal: bool = True
    flip_vertical: bool = False
    rotate90: bool = False
    scale: tuple[float, float] | None = None
    scale_chance: float = 0.5
    brightness: float = 0.0
    contrast: float = 0.0
    grey: float = 0.0
    crowded: float = 0.0


@dataclass(frozen=True)
class PeaksConfig:
    """How the density map becomes points; what is left open is chosen on the validation images.

    Parameters
    ----------
    method
        ``mass``: objects taken out one at a time, so that points and count agree; ``nms``: the paper's non-maximum
        suppression. See ``dotcount.inference.find_peaks``.
    radius
        Windows are ``(2 radius + 1)^2`` cells; absent: 1 to 4, chosen with the threshold.
    """

    method: Literal["mass", "nms"] = "mass"
    radius: int | None = None


@dataclass(frozen=True)
class TrainingConfig:
    """Budget, batches and everything that makes a run repeatable.

    Parameters
    ----------
    epochs
        Number of epochs; exclusive with ``max_minutes``. Absent with no budget: 100.
    max_minutes
        Wall-clock budget for training with validation; the number of epochs and the cool-down are fitted to it.
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
        Validation figure that picks the best checkpoint, lower is better.
    precision
        ``auto`` is bfloat16 or float16 autocast on a GPU and float32 on a CPU; the transport is always solved in
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
    """

    epochs: int | None = None
    max_minutes: float | None = None
    steps_per_epoch: int | None = None
    batch_size: int = 4
    crop: int | None = None
    ema_decay: float = 0.998
    validate_every: int | None = None
    select: Literal["mae", "rmse"] = "mae"
    precision: Literal["auto", "32", "16", "bf16"] = "auto"
    device: str = "auto"
    devices: int = 1
    workers: int | None = None
    cache_mb: int = 2048
    calibrate: bool | str = True
    try_magnify: list[float] = field(default_factory=list)
    try_mirror: bool = False
    seed: int = 0


@dataclass(frozen=True)
class RunConfig:
    """Everything that determines a run."""

    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    peaks: PeaksConfig = field(default_factory=PeaksConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        _check_ranges(self)


def _require(holds: bool, key: str, value: object, need: str) -> None:
    if not holds:
        raise ConfigError(f"config key {key!r} is {value!r}; it must be {need}")


_RANGES: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("data.validation", lambda v: 0 < v < 1, "a share between 0 and 1"),
    ("data.split_seed training.seed", lambda v: v >= 0, "0 or more"),
    (
        "data.train_images data.min_side data.max_side data.max_short_side",
        lambda v: v is None or v > 0,
        "positive or absent",
    ),
    ("data.magnify", lambda v: v is None or 0 < v < math.inf, "positive or absent"),
    ("training.try_magnify", lambda v: all(0 < factor < math.inf for factor in v), "a list of positive numbers"),
    ("optimizer.learning_rate schedule.power", lambda v: 0 < v < math.inf, "positive"),
    ("optimizer.weight_decay", lambda v: 0 <= v < math.inf, "0 or more"),
    ("optimizer.betas", lambda v: all(0 <= beta < 1 for beta in v), "two numbers in [0, 1)"),
    ("optimizer.clip_norm", lambda v: v is None or v > 0, "positive or absent"),
    ("schedule.cooldown", lambda v: 0 <= v <= 1, "a share between 0 and 1"),
    ("schedule.cooldown_epochs training.workers", lambda v: v is None or v >= 0, "0 or more, or absent"),
    ("schedule.warmup_steps training.cache_mb", lambda v: v >= 0, "0 or more"),
    ("training.max_minutes", lambda v: v is None or 0 < v < math.inf, "positive or absent"),
    (
        "training.epochs training.steps_per_epoch training.crop training.validate_every",
        lambda v: v is None or v > 0,
        "positive or absent",
    ),
    ("peaks.radius", lambda v: v is None or v > 0, "at least 1 or absent"),
    ("training.batch_size training.devices", lambda v: v > 0, "at least 1"),
    ("training.calibrate", lambda v: isinstance(v, bool) or v == "always", "true, false or always"),
    ("training.ema_decay", lambda v: 0 <= v < 1, "in [0, 1)"),
    ("augment.scale", lambda v: v is None or 0 < v[0] <= v[1] < math.inf, "two positive numbers, the lower first"),
    (
        "augment.scale_chance augment.brightness augment.contrast augment.grey augment.crowded",
        lambda v: 0 <= v <= 1,
        "a share between 0 and 1",
    ),
)


def _check_ranges(config: RunConfig) -> None:
    for keys, holds, need in _RANGES:
        for key in keys.split():
            part, name = key.split(".")
            value = getattr(getattr(config, part), name)
            _require(holds(value), key, value, need)
    training, schedule = config.training, config.schedule
    both = training.epochs is not None and training.max_minutes is not None
    _require(not both, "training.max_minutes", training.max_minutes, "absent when training.epochs is given")
    # A course that depends on the whole number of steps can't begin before a budget has fixed it.
    open_ended = training.max_minutes is None or schedule.name in ("trapezoid", "constant")
    _require(open_ended, "schedule.name", schedule.name, "trapezoid or constant with training.max_minutes")


def to_dict(config: RunConfig) -> dict[str, Any]:
    """Return the configuration as nested plain values, ready for YAML or JSON."""
    plain: dict[str, Any] = _plain(dataclasses.asdict(config))
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def save_yaml(config: RunConfig, path: Path) -> None:
    """Write the configuration to ``path`` in one step."""
    write_text(path, yaml.safe_dump(to_dict(config), sort_keys=False))


def load(file: Path | None = None, overrides: Iterable[str] = (), **values: Any) -> RunConfig:
    """Build a configuration: defaults, then a YAML file, then dotted keyword values, then ``key=value`` strings.

    Parameters
    ----------
    file
        YAML with any part of the tree of :class:`RunConfig`. A key ``extends`` names another such file, relative to
        this one, whose settings hold where this one is silent.
    overrides
        Strings such as ``optimizer.learning_rate=0.0003`` or ``loss.options.epsilon=0.005``; the value is read as YAML.
    values
        Dotted keys with ``__`` for the dot, as ``training__seed=3``; ``None`` leaves what was there.

    Raises
    ------
    ConfigError
        If a key does not exist (the nearest is suggested), a value has the wrong type or range, or the file is not
        YAML.
    """
    tree = read_tree(file) if file is not None else {}
    for key, value in values.items():
        if value is not None:
            _assign(tree, key.replace("__", "."), value)
    for text in overrides:
        key, equals, raw = text.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--set {text!r} is not of the form key=value, for example training.seed=1")
        _assign(tree, key.strip(), _yaml_value(raw, text))
    return from_dict(tree)


def _yaml_value(raw: str, text: str) -> Any:
    try:
        return yaml.safe_load(raw)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {text!r}: the value is not valid YAML; quote it") from error


def read_tree(file: Path) -> dict[str, Any]:
    """Return the settings of a YAML file as nested plain values, with those of the files it ``extends``, unchecked."""
    return _with_base(file, ())


def _with_base(file: Path, inner: tuple[Path, ...]) -> dict[str, Any]:
    tree = _read_yaml(file)
    base = tree.pop("extends", None)
    if base is None:
        return tree
    if not isinstance(base, str):
        raise ConfigError(f"config file {file}: extends must name one file; got {base!r}")
    inner = (*inner, file.resolve())
    if (file.parent / base).resolve() in inner:
        raise ConfigError(f"config file {file} extends {base}, which extends it in turn; break the circle")
    return _merged(_with_base(file.parent / base, inner), tree)


def _merged(base: dict[str, Any], tree: dict[str, Any]) -> dict[str, Any]:
    both = dict(base)
    for key, value in tree.items():
        under = both.get(key)
        both[key] = _merged(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return both


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        tree = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise ConfigError(f"config file {file}: {error.strerror or error}; check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        place = getattr(error, "problem_mark", None)
        line = f" at line {place.line + 1}" if place else ""
        raise ConfigError(f"config file {file} is not valid YAML{line}; correct it") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"config file {file} must hold keys and values; got {type(tree).__name__}")
    return tree


def _assign(tree: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for depth, part in enumerate(parents):
        tree = tree.setdefault(part, {})
        if not isinstance(tree, dict):
            raise ConfigError(
                f"config key {'.'.join(parents[: depth + 1])!r} has no parts; remove what follows the dot"
            )
    tree[last] = value


def from_dict(tree: Mapping[str, Any]) -> RunConfig:
    """Build a typed configuration from nested plain values; see :func:`load` for errors."""
    _check_keys(tree, RunConfig, "")
    # Imported here: parsing is rare, the import is not free, and `--help` must stay fast.
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(RunConfig, "run")
    try:
        parsed = parser.parse_object({"run": dict(tree)})
        config: RunConfig = parser.instantiate(parsed).run
    except ConfigError:
        raise
    except Exception as error:  # jsonargparse raises its own and argparse's kinds for bad values
        raise ConfigError(_plain_words(str(error))) from error
    return config


def _plain_words(message: str) -> str:
    """Turn the parser's report of a wrong type into one line that names the key, the value and what is expected."""
    report = " ".join(message.split())
    found = re.search(r'"run\.([\w.]+)".*?Expected a (.+?)\. Got value: (.*)$', report)
    if not found:
        return f"configuration: {report}"
    key, kind, value = found.groups()
    kind = re.sub(r"<class '(\w+)'>", r"\1", kind).replace("typing.Literal", "one of ").replace("typing.", "")
    return f"config key {key!r} is {value!r}; it must be {kind}"


def _check_keys(tree: Mapping[str, Any], kind: type, prefix: str) -> None:
    if not isinstance(tree, Mapping):
        raise ConfigError(f"config key {prefix.rstrip('.')!r} must hold keys and values; got {tree!r}")
    default = kind()
    names = [f.name for f in dataclasses.fields(default)]
    for key, value in tree.items():
        if key not in names:
            hint = did_you_mean(str(key), names)
            raise ConfigError(f"config key {prefix + str(key)!r} does not exist.{hint} Keys here: {', '.join(names)}.")
        current = getattr(default, key)
        if dataclasses.is_dataclass(current):
            _check_keys(value, type(current), f"{prefix}{key}.")
