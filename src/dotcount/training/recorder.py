"""Keeping a run: time, best weights, metrics.csv and last.ckpt at the end of every epoch."""

from __future__ import annotations

import csv
import errno
import io
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor

from dotcount.errors import OutputError
from dotcount.files import replacing, write_text
from dotcount.training.budget import fit_cooldown, reserve
from dotcount.training.folder import CHECKPOINT, METRICS
from dotcount.training.module import CountingModule
from dotcount.training.state import RunState

LATEST = 3
"""Epochs that show how fast the machine is now."""


class WholeCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its place and renames it, so that a killed process leaves the former one intact.

    Unlike Lightning's own it does not hold the file in memory first, and never moves it between file systems.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:  # noqa: ARG002
        """Write ``checkpoint`` to ``path``."""
        with replacing(Path(path)) as temporary:
            try:
                torch.save(checkpoint, temporary)
            except RuntimeError as error:  # how torch reports a file that can't be written to its end
                raise OSError(errno.EIO, "writing stopped, the disk may be full") from error


class Recorder(pl.Callback):
    """Writes the run folder and decides when the run ends.

    The checkpoint is the one truth: it holds the history, and metrics.csv is written from it afterwards, so that a run
    killed between the two files loses nothing and repeats nothing. Both appear under their names whole or not at all.

    Parameters
    ----------
    folder
        The run's folder.
    state
        Where the run stands; updated here and nowhere else during training.
    best_weights
        Averaged weights of the best epoch so far, from the checkpoint that is resumed.
    started
        ``time.monotonic()`` at the start of this session.
    dots
        Number of dots in the validation images, on which depends how long the end of the run takes.
    """

    def __init__(
        self, folder: Path, state: RunState, best_weights: dict[str, Tensor], started: float, dots: int
    ) -> None:
        self.folder, self.state, self.best_weights, self.dots = folder, state, best_weights, dots
        self.origin = started - state.elapsed
        self.validation_seconds = 0.0
        self.final = False

    def elapsed(self) -> float:
        """Return the seconds of training so far, over all sessions."""
        return time.monotonic() - self.origin

    def epoch_seconds(self) -> float:
        """Return the time to expect of an epoch: the mean of all, or of the last few where the machine has got slower.

        The first, which fills caches, counts only while there are few others.
        """
        seconds = [row["seconds"] for row in self.state.history]
        seconds = seconds[1:] if len(seconds) > 2 else seconds
        latest = seconds[-LATEST:]
        return max(sum(seconds) / len(seconds), sum(latest) / len(latest)) if seconds else 0.0

    def time_for_training(self, trainer: pl.Trainer, module: CountingModule) -> float:
        """Return the seconds that a time budget leaves for training, over all sessions."""
        budget = 60 * (self.state.budget_minutes or 0.0)
        known = max((row["validation_seconds"] for row in self.state.history[-LATEST:]), default=0.0)
        validation = trainer.strategy.broadcast(max(known, self.validation_seconds))
        return budget - reserve(budget, validation, self.dots, module.config.training)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Find out whether this epoch is the last, which is always validated."""
        state = self.state
        self.final = state.epochs is not None and state.done + 1 >= state.epochs
        if state.budget_minutes is not None and state.history:
            # The last that fits. What the first process finds counts for all: they must stop at the same epoch.
            after_next = trainer.strategy.broadcast(self.elapsed()) + 2 * self.epoch_seconds()
            left = self.time_for_training(trainer, _own(pl_module)) - after_next
            # Half an epoch of grace: the cool-down that was fitted should not lose its end to a small delay.
            self.final |= state.epochs is not None and left < -self.epoch_seconds() / 2
        trainer.check_val_every_n_epoch = 1 if self.final else _own(pl_module).config.training.validate_every or 1

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Start timing the validation."""
        self.validation_seconds = -time.monotonic()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Stop timing the validation."""
        self.validation_seconds += time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the epoch: history, best weights, budget, files."""
        state, module = self.state, _own(pl_module)
        elapsed = trainer.strategy.broadcast(self.elapsed())
        row = self._row(trainer, module, elapsed)
        state.done, state.elapsed = state.done + 1, elapsed
        state.history.append(row)
        if module.validation is not None and state.record_counts(module.validation, module.config.training.select):
            state.best = row
            weights = module.average.module.state_dict()
            self.best_weights = {name: value.detach().cpu().clone() for name, value in weights.items()}
        if self.final:
            state.stopped = state.epochs is None or state.done < state.epochs
        self._fit_budget(trainer, module)
        trainer.fit_loop.max_epochs = state.done if state.stopped else state.epochs or -1
        self._write(trainer)

    def _row(self, trainer: pl.Trainer, module: CountingModule, elapsed: float) -> dict[str, Any]:
        found = module.validation
        module.check_alive()
        summary = module.summary()
        if trainer.world_size > 1:
            means = torch.tensor(list(summary.values()), dtype=torch.float64, device=module.device)
            summary = dict(zip(summary, trainer.strategy.reduce(means, reduce_op="mean").tolist()))
        return {
            "epoch": self.state.done + 1,
            "step": trainer.global_step,
            "learning_rate": trainer.optimizers[0].param_groups[0]["lr"],
            "train_loss": summary.pop("loss"),
            "val_mae": found.mae if found else None,
            "val_rmse": found.rmse if found else None,
            "val_bias": found.bias if found else None,
            "seconds": elapsed - self.state.elapsed,
            "validation_seconds": self.validation_seconds if found else 0.0,
            "elapsed": elapsed,
            **summary,
        }

    def _fit_budget(self, trainer: pl.Trainer, module: CountingModule) -> None:
        state = self.state
        if state.epochs is not None or state.budget_minutes is None:
            return
        schedule = module.config.schedule
        share = schedule.cooldown if schedule.name == "trapezoid" else 0.0
        budget = self.time_for_training(trainer, module)
        fitted = fit_cooldown(budget, state.elapsed, state.done, self.epoch_seconds(), share)
        if fitted is not None:
            state.epochs, state.cooldown_epochs = fitted
            if not state.best:  # nothing was validated yet, so that nothing could be kept: one more, which is
                state.epochs = max(fitted[0], state.done + 1)

    def on_save_checkpoint(
        self,
        trainer: pl.Trainer,  # noqa: ARG002
        pl_module: pl.LightningModule,  # noqa: ARG002
        checkpoint: dict[str, Any],
    ) -> None:
        """Add the state of the run and the best weights to the checkpoint."""
        checkpoint["run"] = self.state.to_dict()
        checkpoint["best_weights"] = self.best_weights

    def _write(self, trainer: pl.Trainer) -> None:
        try:
            trainer.save_checkpoint(self.folder / CHECKPOINT)
            if trainer.is_global_zero:
                write_metrics(self.folder, self.state.history)
        except OutputError as error:
            raise OutputError(f"{error}; then resume the run") from error


def _own(module: pl.LightningModule) -> CountingModule:
    assert isinstance(module, CountingModule), "the recorder is made for CountingModule"
    return module


def write_metrics(folder: Path, history: list[dict[str, Any]]) -> None:
    """Write metrics.csv with one row per epoch; a column that an epoch lacks is empty."""
    columns = list(dict.fromkeys(name for row in history for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: f"{v:.6g}" if isinstance(v, float) else v for name, v in row.items()} for row in history)
    path = folder / METRICS
    write_text(path, text.getvalue())
