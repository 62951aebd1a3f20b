"""From a request and the data to a plan: which images train, which validate, and every setting made definite."""

from __future__ import annotations

import dataclasses
import inspect
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch

from dotcount.config import AugmentConfig, RunConfig
from dotcount.data import Collection, ResizeRule, fitting_crop, hold_out, open_collection
from dotcount.data.orientation import find_orientation
from dotcount.data.samples import padded_images, require_crop, scaled_size
from dotcount.data.survey import survey
from dotcount.devices import choose_device
from dotcount.errors import DataError, UsageError
from dotcount.intensity import IntensityRule
from dotcount.losses import LOSSES
from dotcount.models.names import TIMM_PREFIX
from dotcount.models.names import check as check_model_options
from dotcount.selection import ImageSelection
from dotcount.training.fingerprint import dots_digest
from dotcount.training.scale import typical_spacing
from dotcount.training.schedule import cooldown_epochs

DEFAULT_EPOCHS, LEAST_STEPS = 100, 50
Precision = Literal["auto", "32", "16", "bf16"]
PLAIN = (bool, int, float, str, type(None))
AUTO_CROP = 256


@dataclass(frozen=True)
class Plan:
    """What a run works on.

    Attributes
    ----------
    config
        Resolved: nothing is ``auto`` or left to the data any more, except ``epochs`` under a time budget.
    train, validation
        Annotated images, disjoint.
    note
        What was found, for people.
    intensity
        From stored values to brightness, fitted on the training images.
    orientation
        Which way round the images were taken to be, and why, for people.

    Examples
    --------
    >>> from dotcount import config
    >>> from dotcount.data.synthetic import write_dataset
    >>> from dotcount.training.resolve import make_plan
    >>> _ = write_dataset("data", train=4, val=2, test=0, size=64)
    >>> settings = ["model.name=compact", "model.options.width=4", "training.epochs=1", "training.steps_per_epoch=1"]
    >>> request = config.load(overrides=settings, data__path="data", training__batch_size=2)
    >>> plan = make_plan(request)
    >>> len(plan.train), len(plan.validation), plan.config.training.crop
    (4, 2, 64)
    """

    config: RunConfig
    train: Collection
    validation: Collection
    note: str
    intensity: IntensityRule = field(default_factory=IntensityRule)
    orientation: str = ""

    def dots_per_pixel(self) -> float:
        """Return the mean density of dots in the training images after resizing, per px^2."""
        rule = ResizeRule.of(self.config.data)
        areas = (math.prod(scaled_size(record, rule)) for record in self.train.records)
        return self.n_dots / sum(areas)

    @property
    def n_dots(self) -> int:
        """Number of dots in the training images."""
        return self.train.n_dots

    def fingerprint(self) -> str:
        """Return a digest of the names and dots of all images used."""
        return dots_digest([*self.train.records, *self.validation.records])


def make_plan(config: RunConfig) -> Plan:
    """Read the data that ``config`` names and settle every open setting.

    Raises
    ------
    DataError
        If no image can be used for training, or the crop is larger than every image; with ``data.strict`` if anything
        is left out or can't be read.
    UsageError
        If the device or precision is not available.
    """
    if not config.data.path:
        raise UsageError("data.path is empty; name the folder with images and dots to train on")
    LOSSES.check(config.loss.name, config.loss.options)
    check_model_options(config.model.name, config.model.options)
    data = config.data
    selection = ImageSelection.of(data)
    collection = open_collection(
        data.path, format=data.format, classes=data.classes, complete=data.strict, selection=selection
    )
    train, validation = choose_images(collection, config)
    rule = ResizeRule.of(config.data).or_else(collection.resize)
    data = dataclasses.replace(config.data, **rule.to_dict())
    config = dataclasses.replace(config, data=data)
    training = config.training
    crop = training.crop or fitting_crop(train.records, AUTO_CROP, rule)
    require_crop(train.records, crop, rule)
    epochs = training.epochs
    if epochs is None and training.max_minutes is None:
        epochs = DEFAULT_EPOCHS
    passes = math.ceil(len(train) / (training.batch_size * training.devices))
    device = str(choose_device(training.device))
    training = dataclasses.replace(
        training,
        crop=crop,
        epochs=epochs,
        steps_per_epoch=training.steps_per_epoch or max(passes, LEAST_STEPS),
        validate_every=training.validate_every or 1,
        device=device,
        precision=choose_precision(training.precision, device),
        workers=choose_workers(device, training.devices) if training.workers is None else training.workers,
    )
    augment, orientation = resolve_symmetry(config.augment, train)
    schedule = config.schedule
    if epochs is not None and schedule.name == "trapezoid":
        schedule = dataclasses.replace(schedule, cooldown_epochs=cooldown_epochs(schedule, epochs))
    loss = dataclasses.replace(config.loss, options=loss_options(config, crop, train))
    model = dataclasses.replace(config.model, options=model_options(config))
    config = dataclasses.replace(config, training=training, schedule=schedule, loss=loss, model=model, augment=augment)
    images = survey([record.image for record in train.records], ImageSelection.of(config.data))
    intensity = images.measured(images.intensity(strict=True))
    notes = [collection.note, padded_images(train.records, crop, rule), *images.messages()]
    if intensity.low is not None:
        notes.append(f"brightness is {intensity.described()}")
    return Plan(config, train, validation, "; ".join(filter(None, notes)), intensity, orientation)


def resolve_symmetry(augment: AugmentConfig, train: Collection) -> tuple[AugmentConfig, str]:
    """Return the augmentation with vertical flips and turns settled, and a sentence that says why, for people."""
    asked = (augment.flip_vertical, augment.rotate90)
    if None not in asked:
        return augment, ""
    found = find_orientation(train.records)
    vertical, turns = (bool(found.free) if one is None else one for one in asked)
    chosen = {(True, True): "flipped and turned", (False, False): "flipped from left to right only"}.get(
        (vertical, turns), "flipped or turned as asked for"
    )
    if not augment.flip_horizontal and not vertical and not turns:
        chosen = "neither flipped nor turned"
    hint = "" if found.free else "; augment.flip_vertical and augment.rotate90 change that"
    augment = dataclasses.replace(augment, flip_vertical=vertical, rotate90=turns)
    return augment, f"crops are {chosen}: {found.reason}{hint}"


def choose_images(collection: Collection, config: RunConfig) -> tuple[Collection, Collection]:
    """Return (training, validation) images; the test split is in neither."""
    data = config.data
    train = collection.split(data.train_split) if collection.splits else collection
    train = train.annotated()
    if not len(train):
        bad = collection.errors()
        reason = f"; the first problem: {bad[0].error}" if bad else ""
        raise DataError(f"{data.path} has no annotated image to train on{reason}")
    if not train.n_dots:
        raise DataError(f"{data.path}: not one of its {len(train)} images to train on has a dot; annotate some")
    if data.train_images is not None and data.train_images < len(train):
        rng = np.random.default_rng(data.split_seed)
        chosen = sorted(rng.permutation(len(train))[: data.train_images].tolist())
        train = train.where([train.records[i] for i in chosen])
    if data.validation_split in collection.splits and len(collection.split(data.validation_split).annotated()):
        validation = collection.split(data.validation_split).annotated()
    else:
        train, validation = hold_out(train, data.validation, data.split_seed)
    return train, validation


def loss_options(config: RunConfig, crop: int, train: Collection) -> dict[str, Any]:
    """Return all options of the loss; its unit of length, where it has one, is the crop's side unless given.

    ``spacing`` stands for the typical distance between neighbouring dots of the training images after resizing.
    """
    options = explicit(LOSSES.get(config.loss.name), config.loss.options)
    if "length_scale" in options and options["length_scale"] is None:
        options["length_scale"] = float(crop)
    if options.get("length_scale") == "spacing":
        options["length_scale"] = typical_spacing(train.records, ResizeRule.of(config.data))
    options.pop("n_dots", None)  # follows from the data
    return options


def model_options(config: RunConfig) -> dict[str, Any]:
    """Return all options of the model; those of ``timm/<encoder>`` leave out the encoder, which the name tells."""
    factory = check_model_options(config.model.name, config.model.options)
    options = explicit(factory, config.model.options)
    if config.model.name.startswith(TIMM_PREFIX):
        options.pop("encoder", None)
    return options


def explicit(factory: Callable[..., Any], options: dict[str, Any]) -> dict[str, Any]:
    """Return ``options`` with the defaults of ``factory``, so that later defaults don't change a recorded run."""
    parameters = inspect.signature(factory).parameters.values()
    defaults = {p.name: p.default for p in parameters if isinstance(p.default, PLAIN)}
    return defaults | options


def choose_precision(precision: Precision, device: str) -> Precision:
    """Return ``32``, ``16`` or ``bf16``; ``auto`` uses half precision on CUDA only, where it is faster."""
    if precision != "auto":
        if precision == "16" and device == "cpu":
            raise UsageError("precision 16 is not available on a CPU; use training.precision=32")
        return precision
    if device != "cuda":
        return "32"
    return "bf16" if torch.cuda.is_bf16_supported() else "16"


def choose_workers(device: str, devices: int) -> int:
    """Return the number of loader processes per training process.

    On a CPU they would take cores from the model, and cutting a crop from a decoded image costs a thousandth of a step.
    """
    if device == "cpu":
        return 0
    return max(1, min(8, (os.cpu_count() or 2) // devices - 1))
