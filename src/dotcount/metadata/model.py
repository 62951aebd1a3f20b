"""Everything about a model besides its weights, as one value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

from annotated_types import Ge, Interval, Le

from dotcount.errors import ModelError
from dotcount.metadata.facts import CalibrationFacts, Name, Option, TrainingFacts, ValidationFacts
from dotcount.metadata.familiarity import Familiarity
from dotcount.metadata.history import upgraded
from dotcount.metadata.interval import CountInterval, with_infinity
from dotcount.metadata.settings import InputRule, PeakRule, ScaleRule
from dotcount.typed import Strict, parse

SCHEMA = 2
"""Version of the form below; raised with every change that an older dotcount would misread."""


@dataclass(frozen=True)
class ModelMetadata(Strict):
    """Everything about a model besides its weights.

    Attributes
    ----------
    model, options
        What :func:`dotcount.models.create` builds the network from.
    stride
        Side of a density cell, px.
    input
        From pixels to what the network sees.
    scale
        Of the training images: what a pixel and an object measure.
    mirror
        Test-time augmentation: whether the mirror image is counted as well, and the mean taken.
    peaks
        From the density to points.
    count_scale
        Factor on the density, fitted on held-out images.
    interval
        Interval of a count; None if not calibrated.
    familiarity
        What tells images like those of training from others; None if unknown, as in models of older versions.
    training, validation
        Where the model comes from and how well it counts; None if unknown.
    calibration
        On what count scale, peaks and interval were fitted again after training; None if on the validation images.
    license, citation
        Terms of the training data, and what its authors ask to be cited.
    dotcount_version
        Which dotcount wrote it.
    schema
        Version of this form.

    >>> metadata = ModelMetadata(model="compact", stride=4, peaks=PeakRule(threshold=0.4))
    >>> ModelMetadata.from_dict(metadata.to_dict()) == metadata
    True
    """

    model: Name
    stride: Annotated[int, Interval(ge=1, le=1024)]
    options: Mapping[str, Option] = field(default_factory=dict)
    input: InputRule = field(default_factory=InputRule)
    scale: ScaleRule = field(default_factory=ScaleRule)
    mirror: bool = False
    peaks: PeakRule = field(default_factory=PeakRule)
    count_scale: Annotated[float, Interval(ge=0.01, le=100)] = 1.0
    interval: CountInterval | None = None
    familiarity: Familiarity | None = None
    training: TrainingFacts | None = None
    validation: ValidationFacts | None = None
    calibration: CalibrationFacts | None = None
    license: str | None = None
    citation: str | None = None
    dotcount_version: str = ""
    schema: Annotated[int, Ge(SCHEMA), Le(SCHEMA)] = SCHEMA

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, the version first."""
        values = asdict(self)
        if self.interval is not None:
            values["interval"] = self.interval.to_dict()
        return {"schema": values.pop("schema"), **values}

    def to_json(self) -> str:
        """Return the text of ``config.json``."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], origin: str = "model metadata") -> ModelMetadata:
        """Rebuild from what :meth:`to_dict` of this or an older version returned.

        Parameters
        ----------
        values
            As :func:`json.loads` returns them.
        origin
            File that holds them, for messages.

        Raises
        ------
        ModelError
            If a field is unknown, missing, of another type or out of range, or the form is newer than this version's.
        """
        if not isinstance(values, Mapping):
            raise ModelError(f"{origin}: must hold names and values; got {type(values).__name__}")
        schema = values.get("schema", 0)
        if isinstance(schema, int) and schema > SCHEMA:
            raise ModelError(f"{origin}: has schema {schema}, this dotcount knows up to {SCHEMA}; upgrade dotcount")
        plain = upgraded(values, origin)
        if isinstance(plain.get("interval"), Mapping):
            plain["interval"] = with_infinity(plain["interval"])
        return parse(cls, plain, origin)

    @classmethod
    def from_json(cls, text: str, origin: str = "model metadata") -> ModelMetadata:
        """Rebuild from the text of ``config.json``; see :meth:`from_dict`."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ModelError(f"{origin}: not readable as JSON ({error}); restore the file or train again") from error
        return cls.from_dict(values, origin)

    def checked(self, origin: str = "model metadata") -> ModelMetadata:
        """Return what is read back of this, so that values set in code are checked like those of a file."""
        return self.from_dict(self.to_dict(), origin)
