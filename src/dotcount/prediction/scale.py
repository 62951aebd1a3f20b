"""Pictures of another scale than the training images are resampled to it, where their scale is known."""

from __future__ import annotations

from dataclasses import dataclass

from dotcount.errors import DataError, UsageError
from dotcount.inference.result import Prediction
from dotcount.metadata import ModelMetadata
from dotcount.points import spacing
from dotcount.prediction.frame import Frame

NEAR = 0.02
"""Scales that differ by less than this share are the same."""

LARGEST = 16.0
"""Largest magnification, and the inverse of the least, that is done."""

_POINTS = 10
_MARGIN = 1.25
"""Distances of so many neighbours are foreign beyond those of the training images, widened by this factor."""


@dataclass(frozen=True)
class ImageScale:
    """The scale of pictures, where a person knows it.

    Parameters
    ----------
    pixel_size
        Side of a pixel on the ground, m; absent: what the file states, a georeferenced picture or a microscope's.
    object_size
        Median distance of an object's centre to its nearest neighbour's, px.

    Raises
    ------
    UsageError
        If both are given, or one is not positive.

    Examples
    --------
    >>> ImageScale(pixel_size=0.3).pixel_size
    0.3
    """

    pixel_size: float | None = None
    object_size: float | None = None

    def __post_init__(self) -> None:
        if self.pixel_size is not None and self.object_size is not None:
            raise UsageError("`pixel_size` and `object_size` are two ways to state the scale; give one of them")
        for name, size in (("pixel_size", self.pixel_size), ("object_size", self.object_size)):
            if size is not None and not 0 < size < float("inf"):
                raise UsageError(f"`{name}` is {size}; it must be a positive number")


@dataclass(frozen=True)
class Scaling:
    """Chooses how much each picture is magnified before it is counted.

    Parameters
    ----------
    metadata
        Of the model: what it was trained at.
    scale
        Of the pictures.

    Raises
    ------
    UsageError
        If a size is given that the model does not know of its training images.
    """

    metadata: ModelMetadata
    scale: ImageScale = ImageScale()

    def __post_init__(self) -> None:
        for name in ("pixel_size", "object_size"):
            size, known = getattr(self.scale, name), getattr(self.metadata.scale, name)
            if size is None:
                continue
            if known is None:
                raise UsageError(f"the model does not know which `{name}` it was trained at; leave it out")
            if self.metadata.input.resize.bounded:
                raise UsageError(
                    f"the model resizes images to sides that are set, so that `{name}` has no use; leave it out"
                )

    @property
    def given(self) -> float | None:
        """The magnification that the sizes given ask for; None without any."""
        trained, scale = self.metadata.scale, self.scale
        if scale.pixel_size is not None and trained.pixel_size is not None:
            return scale.pixel_size / trained.pixel_size
        if scale.object_size is not None and trained.object_size is not None:
            return trained.object_size / scale.object_size
        return None

    def __call__(self, frame: Frame) -> None:
        """Set the magnification of a frame, and say what is done.

        Raises
        ------
        DataError
            If the scale of the picture is too far from that of the training images.
        """
        trained, scale, place = self.metadata.scale, self.scale, frame.meta.place
        factor, why = self.given, ""
        if scale.object_size is not None:
            why = f"from neighbours {scale.object_size:.3g} px apart to {trained.object_size:.3g} px"
        elif trained.pixel_size is not None and not self.metadata.input.resize.bounded:
            size = scale.pixel_size or (frame.meta.pixel_size if place is None else place.resolution)
            if size is None:
                frame.warn(
                    f"it states no pixel size, and the model was trained at {length(trained.pixel_size)} a pixel; "
                    "if that is not its own, give `pixel_size`"
                )
                return
            factor = size / trained.pixel_size
            why = f"from {length(size)} a pixel to the {length(trained.pixel_size)} of the training images"
        if factor is None or abs(factor - 1) <= NEAR:
            return
        if not 1 / LARGEST <= factor <= LARGEST:
            raise DataError(
                f"its scale is too far from that of the training images ({factor:.3g} times as large pixels); "
                "bring images of a nearer scale"
            )
        frame.magnify = factor
        frame.warn(f"it was resampled {why}")


def length(metres: float) -> str:
    """Return a length in words, in a unit that suits it.

    Examples
    --------
    >>> length(0.3), length(6.5e-7)
    ('0.3 m', '0.65 µm')
    """
    return f"{metres:.3g} m" if metres >= 1e-3 else f"{metres * 1e6:.3g} µm"


def foreign_size(metadata: ModelMetadata, prediction: Prediction, magnify: float) -> str | None:
    """Return in words that located points lie unlike far from each other; ``None`` where they lie as in training."""
    known = metadata.scale.object_sizes
    if known is None or len(prediction.points) < _POINTS:
        return None
    found = spacing(prediction.points) * magnify
    if known[0] / _MARGIN <= found <= known[1] * _MARGIN:
        return None
    return (
        f"neighbours lie {found:.3g} px apart, {known[0]:.3g} to {known[1]:.3g} px in the training images; if the "
        "objects are larger or smaller than there, give `object_size`"
    )
