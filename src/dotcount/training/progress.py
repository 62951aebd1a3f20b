"""Passing on to a listener what Lightning reports."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl

from dotcount.training.listener import Listener
from dotcount.training.state import RunState


class Reporter(pl.Callback):
    """Tells a listener of steps and epochs, from the first process only.

    It comes after the recorder, which closes the epoch.
    """

    def __init__(self, listener: Listener, state: RunState) -> None:
        self.listener, self.state = listener, state

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Tell that an epoch begins."""
        if trainer.is_global_zero:
            self.listener.epoch_began(self.state, int(trainer.num_training_batches))

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Tell that a step is done."""
        if trainer.is_global_zero:
            self.listener.step_ended()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Tell that an epoch has ended."""
        if trainer.is_global_zero:
            self.listener.epoch_ended(self.state)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:  # noqa: ARG002
        """Tell that training has ended."""
        if trainer.is_global_zero:
            self.listener.training_ended()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:  # noqa: ARG002
        """Tell that training has ended, before the error is shown."""
        self.teardown(trainer, pl_module, "fit")
