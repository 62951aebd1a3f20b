"""The one interface of all losses: a density map against dots, padding cells left out, inputs checked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dotcount.errors import InputError
from dotcount.registry import Registry

ImageSizes = Sequence[Sequence[int]]


@dataclass(frozen=True)
class LossOutput:
    """The result of a loss.

    Attributes
    ----------
    total
        Scalar with gradient: the mean over the images.
    per_image
        (B,) detached values.
    terms
        Readable parts as floats, means over the images; names depend on the loss.

    Examples
    --------
    >>> import torch
    >>> from dotcount import losses
    >>> density = torch.full((2, 1, 8, 8), 0.05, requires_grad=True)
    >>> out = losses.create("uot")(density, [torch.tensor([[20.0, 30.0]]), torch.zeros(0, 2)], stride=8)
    >>> out.per_image.shape, out.total.requires_grad, "transport" in out.terms
    (torch.Size([2]), True, True)
    """

    total: Tensor
    per_image: Tensor
    terms: dict[str, float]


@dataclass(frozen=True)
class LossInput:
    """Checked input of a loss.

    Attributes
    ----------
    density
        (B, h, w) float32 or float64, with gradient; expected objects per cell.
    points
        B tensors (m_b, 2) xy px, on the density's device and of its dtype.
    stride
        Side of a cell, px.
    valid
        (B, h, w) bool: cells whose centre lies inside the image; the rest is padding and does not count.
    size
        (height, width) px of the largest image of the batch.
    keys
        B tensors (m_b,) int64 of global dot ids, or None.

    Examples
    --------
    >>> import torch
    >>> from dotcount.losses.base import check_batch
    >>> batch = check_batch(torch.rand(1, 1, 2, 3), [torch.zeros(0, 2)], 8, [(10, 24)], None)
    >>> batch.density.shape, batch.valid.tolist()
    (torch.Size([1, 2, 3]), [[[True, True, True], [False, False, False]]])
    """

    density: Tensor
    points: list[Tensor]
    stride: float
    valid: Tensor
    size: tuple[float, float]
    keys: list[Tensor] | None


class DensityLoss(nn.Module, ABC):
    """Base of all losses; a subclass implements :meth:`compute` on checked input.

    Examples
    --------
    >>> import torch
    >>> class CountLoss(DensityLoss):
    ...     def compute(self, batch):
    ...         mass = (batch.density * batch.valid).sum(dim=(1, 2))
    ...         error = (mass - mass.new_tensor([len(xy) for xy in batch.points])).abs()
    ...         return LossOutput(error.mean(), error.detach(), {})
    >>> CountLoss()(torch.full((1, 1, 4, 4), 0.25), [torch.rand(3, 2)], stride=8).total
    tensor(1.)
    """

    @torch.compiler.disable
    def forward(
        self,
        density: Tensor,
        points: Sequence[Tensor],
        *,
        stride: float,
        image_size: ImageSizes | None = None,
        keys: Sequence[Tensor] | None = None,
    ) -> LossOutput:
        """Compare predicted densities with dots.

        Parameters
        ----------
        density
            (B, 1, h, w) predicted objects per cell, >= 0.
        points
            B float tensors (m_b, 2), xy px; m_b may be 0.
        stride
            Side of a cell, px.
        image_size
            (height, width) px of the valid part of each image; cells whose centre is outside are padding. None: all.
        keys
            B int64 tensors (m_b,): the identity of each dot in the training set, for losses that remember dots.

        Raises
        ------
        InputError
            For wrong shapes, dtypes, devices, NaN, infinite or negative density, dots that are not finite, or a density
            or dots so large that the loss is no finite number.

        Notes
        -----
        ``torch.compile`` does not trace a loss: in a compiled function it runs as it is, between the compiled parts.
        """
        batch = check_batch(density, points, stride, image_size, keys)
        with torch.autocast(device_type=density.device.type, enabled=False):
            out = self.compute(batch)
        finite = torch.isfinite(out.per_image)
        if not bool(finite.all()):
            k = int(finite.logical_not().nonzero()[0])
            raise InputError(
                f"the loss of image {k} is not a finite {out.total.dtype} number: its density holds up to "
                f"{float(batch.density[k].detach().max()):g} objects a cell (image of {len(batch.points[k])} dots); "
                "check the scale of density and the coordinates of points"
            )
        return out

    @property
    def emptied_remedy(self) -> str:
        """Return what to change in the loss where training empties the density for good; "" if nothing."""
        return ""

    @abstractmethod
    def compute(self, batch: LossInput) -> LossOutput:
        """Return the loss of a checked batch; runs with autocast off."""


LOSSES: Registry[DensityLoss] = Registry("loss", "dotcount.losses", DensityLoss)
"""Every loss by its name; a class enters with ``@LOSSES.register("name")``."""


def valid_cells(density: Tensor, stride: float, image_size: ImageSizes | None) -> Tensor:
    """Return (B, h, w) bool: whether the centre of each cell of ``density`` (B, 1, h, w) lies inside its image.

    Examples
    --------
    >>> import torch
    >>> valid_cells(torch.zeros(1, 1, 2, 3), 8, [(10, 24)]).tolist()
    [[[True, True, True], [False, False, False]]]
    """
    b, _, h, w = density.shape
    if image_size is None:
        return torch.ones(b, h, w, dtype=torch.bool, device=density.device)
    size = torch.tensor([[float(side) for side in pair] for pair in image_size], device=density.device)
    y = (torch.arange(h, device=density.device) + 0.5) * stride
    x = (torch.arange(w, device=density.device) + 0.5) * stride
    return (y < size[:, 0, None])[:, :, None] & (x < size[:, 1, None])[:, None, :]


def check_batch(
    density: Tensor,
    points: Sequence[Tensor],
    stride: float,
    image_size: ImageSizes | None,
    keys: Sequence[Tensor] | None,
) -> LossInput:
    """Check the arguments of a loss and bring them to one dtype; see :meth:`DensityLoss.forward`."""
    if not isinstance(density, Tensor) or density.ndim != 4 or density.shape[1] != 1:
        got = tuple(density.shape) if isinstance(density, Tensor) else type(density).__name__
        raise InputError(f"density must be a tensor of shape (B, 1, h, w); got {got}")
    if not density.is_floating_point():
        raise InputError(f"density must be of a floating dtype; got {density.dtype}; convert it with .float()")
    if 0 in density.shape:
        raise InputError(f"density must have at least one image and one cell; got shape {tuple(density.shape)}")
    if not stride > 0:
        raise InputError(f"stride must be a positive number of pixels; got {stride}")
    b, _, h, w = density.shape
    if len(points) != b:
        raise InputError(f"points must be a list of {b} tensors, one an image of density; got {len(points)}")
    if image_size is not None and (len(image_size) != b or any(len(pair) != 2 for pair in image_size)):
        raise InputError(f"image_size must hold one (height, width) for each of the {b} images; got {image_size}")
    work = density if density.dtype == torch.float64 else density.float()
    lowest, highest = (float(bound) for bound in torch.aminmax(work.detach()))
    if not (lowest >= 0 and highest < float("inf")):  # also catches NaN
        raise InputError(f"density must be finite and not negative; got values from {lowest} to {highest}")
    dots = [check_points(one, k, work) for k, one in enumerate(points)]
    if not bool(torch.isfinite(torch.cat(dots)).all()):
        k = next(k for k, one in enumerate(dots) if not bool(torch.isfinite(one).all()))
        raise InputError(f"points[{k}] holds coordinates that are not finite; remove these dots")
    if image_size is None:
        size = (h * float(stride), w * float(stride))
    else:
        size = (float(max(pair[0] for pair in image_size)), float(max(pair[1] for pair in image_size)))
    valid = valid_cells(density, stride, image_size)
    return LossInput(work[:, 0], dots, float(stride), valid, size, check_keys(keys, dots))


def check_length_scale(value: float | None) -> None:
    """Raise an InputError unless this is a length in pixels, or None."""
    if value is None or (isinstance(value, int | float) and 0 < value < float("inf")):
        return
    if value == "spacing":
        raise InputError("length_scale 'spacing' becomes a number of pixels when a training is planned; give a number")
    raise InputError(f"length_scale must be a positive number of pixels or None; got {value!r}")


def check_points(points: Tensor, k: int, like: Tensor) -> Tensor:
    """Return the dots of image ``k`` in the dtype of ``like``."""
    if not isinstance(points, Tensor) or points.ndim != 2 or points.shape[1] != 2:
        got = tuple(points.shape) if isinstance(points, Tensor) else type(points).__name__
        raise InputError(f"points[{k}] must be a tensor of shape (m, 2), also with m = 0; got {got}")
    if not points.is_floating_point():
        raise InputError(f"points[{k}] must be of a floating dtype; got {points.dtype}; convert it with .float()")
    if points.device != like.device:
        raise InputError(f"points[{k}] is on {points.device}, density on {like.device}; move one with .to(...)")
    return points.detach().to(like.dtype)


def check_keys(keys: Sequence[Tensor] | None, dots: list[Tensor]) -> list[Tensor] | None:
    """Return ``keys`` as a list, one int64 id for each dot."""
    if keys is None:
        return None
    if len(keys) != len(dots):
        raise InputError(f"keys must be a list of {len(dots)} tensors, one an image; got {len(keys)}")
    for k, (ids, one) in enumerate(zip(keys, dots)):
        if ids.dtype != torch.int64 or ids.shape != (len(one),):
            raise InputError(f"keys[{k}] must be int64 of shape ({len(one)},); got {ids.dtype} {tuple(ids.shape)}")
    every = torch.cat(list(keys))
    if len(every) and int(every.min()) < 0:
        raise InputError(f"keys must not be negative; got {int(every.min())}")
    return list(keys)
