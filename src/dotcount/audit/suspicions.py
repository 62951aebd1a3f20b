"""What an audit comes to: suspicions, each about a dot, a place or a whole image."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from dotcount.points import FloatArray

Kind = Literal["missing", "spurious", "misplaced", "doubled", "exchanged"]
Place = tuple[float, float]

KINDS: dict[str, str] = {
    "missing": "predicted mass that no dot takes",
    "spurious": "nothing is predicted near the dot",
    "misplaced": "nothing is predicted near the dot, and an object without one is close by",
    "doubled": "two dots share the mass of one object",
    "exchanged": "the dots of another image fit this one, and its own hardly do",
}
"""Kind of suspicion -> what speaks for it."""


@dataclass(frozen=True)
class Suspicion:
    """Something that may be wrong with the annotation of an image.

    Attributes
    ----------
    image
        Name of the record.
    kind
        See :data:`KINDS`.
    score
        How much speaks for it, in [0, 1]: for ``missing`` the predicted mass that no dot takes, in objects; for
        ``spurious`` one minus the mass that the dot takes; for ``misplaced`` the mean of both; for ``doubled``
        one minus the mass that the weaker of the two takes; for ``exchanged`` how much better the dots of the other
        image fit, see :func:`dotcount.audit.fit`.
    dot
        Number of the dot in the record, from 0; None for ``missing`` and ``exchanged``.
    place
        (x, y) px to look at: of the dot or, for ``missing``, where one should be; None for ``exchanged``.
    target
        (x, y) px where a misplaced dot should be, or of the dot that a doubled one repeats.
    other
        For ``exchanged``: the image whose dots fit this one.

    Examples
    --------
    >>> Suspicion("a.png", "missing", 0.9, place=(12.0, 40.5)).correction
    'add a dot at (12.0, 40.5)'
    """

    image: str
    kind: Kind
    score: float
    dot: int | None = None
    place: Place | None = None
    target: Place | None = None
    other: str | None = None

    @property
    def correction(self) -> str:
        """What is done to the dots if the suspicion is accepted."""
        if self.kind == "exchanged":
            return f"take the dots of {self.other}"
        assert self.place is not None
        place = _shown(self.place)
        if self.kind == "missing":
            return f"add a dot at {place}"
        if self.kind == "misplaced":
            assert self.target is not None
            return f"move the dot at {place} to {_shown(self.target)}"
        return f"remove the dot at {place}"


def _shown(place: Place) -> str:
    return f"({place[0]:.1f}, {place[1]:.1f})"


@dataclass(frozen=True, eq=False)
class ImageAudit:
    """One image with its dots, as the audit sees it.

    Attributes
    ----------
    image
        Name of the record.
    dots
        (m, 2) px.
    count
        Predicted count.
    fit
        How well dots and density fit each other, in [0, 1]; see :func:`dotcount.audit.fit`.
    reach
        Distance, px, from which on a dot takes no mass.
    suspicions
        Most suspicious first.

    Examples
    --------
    >>> import numpy as np
    >>> ImageAudit("a.png", np.zeros((0, 2)), count=0.0, fit=1.0, reach=8.0, suspicions=()).fit
    1.0
    """

    image: str
    dots: FloatArray
    count: float
    fit: float
    reach: float
    suspicions: tuple[Suspicion, ...]


def ranked(found: Iterable[Suspicion]) -> list[Suspicion]:
    """Return whole images first, then suspicions from the strongest to the weakest; equal ones by image and place.

    Examples
    --------
    >>> weak, strong = (Suspicion("a.png", "missing", s, place=(1.0, 2.0)) for s in (0.3, 0.9))
    >>> ranked([weak, strong])[0].score
    0.9
    """
    return sorted(found, key=lambda s: (s.place is not None, -s.score, s.image, s.place or (0.0, 0.0), s.kind))
