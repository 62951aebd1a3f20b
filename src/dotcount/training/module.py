"""What is learned: a density model, the running average of its weights, and the loss, as one Lightning module."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from dotcount.clipping import QuantileClip
from dotcount.config import OptimizerConfig, RunConfig
from dotcount.data import Batch
from dotcount.errors import DataError
from dotcount.inference import counts, density_maps
from dotcount.losses import DensityLoss
from dotcount.metrics import count_errors
from dotcount.training.errors import TrainingError
from dotcount.training.loader import CountingData, to_device
from dotcount.training.process import seed_all
from dotcount.training.schedule import rate_factor
from dotcount.training.state import RunState

STILL = 1e-12
"""Norm below which a gradient moves no weight: far below the 1e-8 that Adam adds to its denominator."""


class Validation(NamedTuple):
    """Count errors over the held-out images, objects, the predicted count of each, and its dots."""

    mae: float
    rmse: float
    bias: float
    counts: list[float]
    true: list[int]


class MovingAverage(AveragedModel):
    """Exponential moving average of a model's weights; buffers follow the model.

    After step n (from 0) the decay is ``min(decay, (1 + n) / (10 + n))``, so that the random start is soon forgotten.

    Parameters
    ----------
    model
        What is averaged; copied.
    decay
        In [0, 1); 0 keeps the average equal to the model.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__(model, multi_avg_fn=partial(_blend, decay=decay))
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> MovingAverage:  # noqa: ARG002
        """Stay in eval mode: the average is only ever evaluated."""
        return super().train(False)


def _blend(averages: Sequence[Tensor], currents: Sequence[Tensor], n: int | Tensor, *, decay: float) -> None:
    steps = int(n)
    share = 1 - min(decay, (1 + steps) / (10 + steps))
    torch._foreach_lerp_(list(averages), list(currents), share)  # what torch.optim.swa_utils uses for this


class CountingModule(pl.LightningModule):
    """Training and validation steps; everything a resumed run needs besides :class:`RunState` is in its state dict.

    Parameters
    ----------
    model
        A :class:`~dotcount.models.DensityModel`.
    loss
        A :class:`~dotcount.losses.DensityLoss`.
    config
        The resolved configuration.
    state
        Where the run stands; shared with the recorder, which keeps it up to date.
    """

    def __init__(self, model: nn.Module, loss: DensityLoss, config: RunConfig, state: RunState) -> None:
        super().__init__()
        self.model, self.loss = model, loss
        self.average = MovingAverage(model, config.training.ema_decay)
        self.config, self.state = config, state
        self.stride = int(model.stride)  # type: ignore[arg-type]
        self.terms: dict[str, list[float]] = {}
        self.losses: list[Tensor] = []
        self.norms: list[Tensor] = []
        self.clipped = 0
        quantile = config.optimizer.clip_quantile
        self.clip = None if quantile is None else QuantileClip(quantile)
        self.dots = 0
        self.counted: dict[int, tuple[float, int]] = {}
        self.validation: Validation | None = None

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam or AdamW over the model's trainable weights."""
        return make_optimizer(self.model, self.config.optimizer)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:  # noqa: ARG002
        """Move images, dots and dot ids; sizes and names stay."""
        return to_device(batch, device) if isinstance(batch, Batch) else batch

    def rate(self) -> float:
        """Return the learning rate of the coming step."""
        per_epoch = self.config.training.steps_per_epoch or 1
        epochs = self.state.epochs
        factor = rate_factor(
            self.config.schedule,
            self.global_step,
            None if epochs is None else epochs * per_epoch,
            self.state.cooldown_epochs * per_epoch,
        )
        return self.config.optimizer.learning_rate * factor

    def on_train_epoch_start(self) -> None:
        """Forget the last epoch's sums; seed dropout and the like, and order the data, by epoch: resuming is exact."""
        self.terms, self.losses, self.norms, self.dots, self.validation = {}, [], [], 0, None
        self.clipped = 0
        place = np.random.SeedSequence([self.config.training.seed, self.state.done, self.global_rank])
        seed_all(int(place.generate_state(1)[0]))
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(data, CountingData), "the data module orders the epochs"
        data.next_epoch()

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002
        """Set the learning rate, a function of the step alone."""
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = self.rate()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:  # noqa: ARG002
        """Return the mean loss of the crops of ``batch``."""
        density = self.model(batch.images).float()
        if not bool(torch.isfinite(density).all()):
            raise self.diverged("the model's density")
        with torch.autocast(self.device.type, enabled=False):
            result = self.loss(density, batch.points, stride=self.stride, image_size=batch.image_sizes, keys=batch.keys)
        if not bool(torch.isfinite(result.total)):
            raise self.diverged("the loss")
        self.losses.append(result.total.detach())
        self.dots += sum(map(len, batch.points))
        for name, value in result.terms.items():
            self.terms.setdefault(name, []).append(value)
        return result.total

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,  # noqa: ARG002
        gradient_clip_val: float | None = None,  # noqa: ARG002
        gradient_clip_algorithm: str | None = None,  # noqa: ARG002
    ) -> None:
        """Clip the gradient's norm; stop on a gradient that is not finite before it reaches the weights."""
        weights = [p for p in self.model.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm([p.grad for p in weights if p.grad is not None])
        bound = min(self.config.optimizer.clip_norm or math.inf, self.clip.bound() if self.clip else math.inf)
        torch.nn.utils.clip_grads_with_norm_(weights, bound, norm)
        # Under float16 an overflow is expected now and then: the gradient scaler skips that step and lowers its scale.
        if not bool(torch.isfinite(norm)) and self.trainer.precision != "16-mixed":
            raise self.diverged("the gradient")
        self.norms.append(norm.detach())
        self.clipped += bool(norm > bound)
        if self.clip is not None:
            self.clip.add(norm)

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002
        """Update the average."""
        self.average.update_parameters(self.model)

    def diverged(self, what: str) -> TrainingError:
        """Return the error for a value that is not finite."""
        remedy = f"lower optimizer.learning_rate (now {self.config.optimizer.learning_rate:g})"
        if self.trainer.precision != "32-true":
            remedy += ", or set training.precision=32"
        return TrainingError(
            f"{what} is not finite at epoch {self.state.done + 1}, step {self.global_step + 1}; {remedy}, "
            "and start a new run; the last good state is kept in last.ckpt"
        )

    def on_validation_epoch_start(self) -> None:
        """Forget the last pass over the validation images."""
        self.counted = {}

    def validation_step(self, batch: Batch | None, batch_idx: int) -> None:  # noqa: ARG002
        """Count in whole images with the averaged weights."""
        if batch is None:
            return
        found = counts(density_maps(self.average, batch.images), self.stride, batch.image_sizes)
        self.counted |= {
            index: (float(c), len(xy)) for index, c, xy in zip(batch.indices, found, batch.points, strict=True)
        }

    def on_validation_epoch_end(self) -> None:
        """Turn the counts of all processes into MAE, RMSE and bias; each image counts once."""
        counted = self.counted
        if self.trainer.world_size > 1:
            parts: list[Any] = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(parts, counted)
            counted = {index: pair for part in parts for index, pair in part.items()}
        if not counted:
            raise DataError("none of the validation images can be decoded; replace them or choose others")
        self.require_same_images(sorted(counted))
        predicted, true = zip(*(counted[index] for index in sorted(counted)))
        self.validation = Validation(*count_errors(predicted, true), list(predicted), list(true))

    def require_same_images(self, indices: list[int]) -> None:
        """Raise an error if the images differ from those of earlier epochs: the best is chosen on one set only."""
        if not self.state.validated:
            self.state.validated = indices
        lost = set(self.state.validated) - set(indices)
        if self.state.validated != indices:
            data = self.trainer.datamodule  # type: ignore[attr-defined]
            name = data.plan.validation.records[min(lost or set(indices) - set(self.state.validated))].image
            change = "can't be read any more" if lost else "can be read now and could not before"
            raise DataError(
                f"validation image {name} {change}; the best epoch is chosen on one set of images: put it back as it "
                "was and resume the run, which goes on from the last epoch, or start a new one"
            )

    def check_alive(self) -> None:
        """Raise an error if there were dots in the epoch but no gradient that could move a weight: the density is dead.

        Softplus of a number far below zero is zero and passes nothing back, also where dots ask for more.
        """
        if self.dots and float(torch.stack(self.norms).max()) < STILL:
            remedy = self.loss.emptied_remedy or "lower optimizer.learning_rate or set model.options.output=abs"
            raise TrainingError(
                f"the density has become zero everywhere by epoch {self.state.done + 1}, and no gradient comes back; "
                f"{remedy}, and start a new run"
            )

    def summary(self) -> dict[str, float]:
        """Return the means over the epoch: loss, its readable terms, gradient norm before clipping, share clipped."""
        values = {"loss": float(torch.stack(self.losses).cpu().double().mean())}
        values |= {f"loss_{name}": sum(parts) / len(parts) for name, parts in self.terms.items()}
        with contextlib.suppress(RuntimeError):
            values["grad_norm"] = float(torch.stack(self.norms).cpu().double().mean())
            values["grad_clipped"] = self.clipped / len(self.norms)
        return values


def make_optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """Return the optimiser that the configuration names."""
    weights = [p for p in model.parameters() if p.requires_grad]
    kind = torch.optim.AdamW if config.name == "adamw" else torch.optim.Adam
    fused = all(p.device.type == "cpu" for p in weights)  # three times as fast there; elsewhere the default is good
    return kind(
        weights, lr=config.learning_rate, betas=config.betas, weight_decay=config.weight_decay, fused=fused or None
    )
