"""Pictures of another scale than the training images are resampled to it, where their scale is known."""

from __future__ import annotations

from dataclasses import dataclass

from dotcount.errors import UsageError
from dotcount.inference.result import Prediction
from dotcount.inference.scaling import by_pixel_size, checked, length
from dotcount.metadata import ModelMetadata
from dotcount.points import spacing
from dotcount.prediction.frame import Frame

LEAST_POINTS = 10
SIZE_MARGIN = 1.25
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

    def __call__(self, frame: Frame) -> None:
        """Set the magnification of a frame, and say what is done.

        Raises
        ------
        DataError
            If the scale of the picture is too far from that of the training images.
        """
        trained, scale, place = self.metadata.scale, self.scale, frame.meta.place
        factor, notes = 1.0, tuple[str, ...]()
        if scale.object_size is not None and trained.object_size is not None:
            factor = checked(trained.object_size / scale.object_size)
            if factor != 1:
                apart = f"{scale.object_size:.3g} px apart to {trained.object_size:.3g} px"
                notes = (f"it was resampled from neighbours {apart}",)
        elif trained.pixel_size is not None and not self.metadata.input.resize.bounded:
            size = scale.pixel_size or (frame.meta.pixel_size if place is None else place.resolution)
            if size is None:
                frame.warn(
                    f"it states no pixel size, and the model was trained at {length(trained.pixel_size)} a pixel; "
                    "if that is not its own, give `pixel_size`"
                )
                return
            factor, notes = by_pixel_size(self.metadata, size)
        frame.magnify = factor
        for note in notes:
            frame.warn(note)


def foreign_size(metadata: ModelMetadata, prediction: Prediction, magnify: float) -> str | None:
    """Return in words that located points lie unlike far from each other; ``None`` where they lie as in training."""
    known = metadata.scale.object_sizes
    if known is None or len(prediction.points) < LEAST_POINTS:
        return None
    found = spacing(prediction.points) * magnify
    if known[0] / SIZE_MARGIN <= found <= known[1] * SIZE_MARGIN:
        return None
    return (
        f"neighbours lie {found:.3g} px apart, {known[0]:.3g} to {known[1]:.3g} px in the training images; if the "
        "objects are larger or smaller than there, give `object_size`"
    )
