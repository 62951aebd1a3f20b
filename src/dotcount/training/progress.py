"""What a person sees while a run trains: a bar on a terminal, one line per epoch elsewhere."""

from __future__ import annotations

import sys
from typing import Any

import lightning.pytorch as pl
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from dotcount.training.state import RunState


def say(message: str, progress: bool | None) -> None:
    """Print a line on stderr unless ``progress`` is False."""
    if progress is not False:
        print(message, file=sys.stderr, flush=True)


def epoch_line(state: RunState) -> str:
    """Return the epoch that just ended in one line."""
    row = state.history[-1]
    total = "?" if state.epochs is None else str(state.epochs)
    line = f"epoch {row['epoch']}/{total}  loss {row['train_loss']:.4g}"
    if row["val_mae"] is not None:
        line += f"  val MAE {row['val_mae']:.2f}  RMSE {row['val_rmse']:.2f}  bias {row['val_bias']:+.2f}"
    if state.best:
        line += f"  (best {state.best['val_mae']:.2f} at epoch {state.best['epoch']})"
    return line + f"  {row['elapsed']:.0f} s"


class EpochLines(pl.Callback):
    """Prints one plain line per epoch on stderr."""

    def __init__(self, state: RunState) -> None:
        self.state = state

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Print the line; the recorder, which comes first, has closed the epoch."""
        if trainer.is_global_zero:
            say(epoch_line(self.state), True)


class EpochBar(pl.Callback):
    """Shows a bar over the steps of the epoch, and leaves one line per epoch behind."""

    def __init__(self, state: RunState) -> None:
        self.state = state
        self.bar: Progress | None = None
        self.task: TaskID | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Open the bar."""
        if trainer.is_global_zero:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
            )
            self.bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self.bar.start()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Begin a new bar."""
        if self.bar is not None:
            total = "" if self.state.epochs is None else f"/{self.state.epochs}"
            self.task = self.bar.add_task(f"epoch {self.state.done + 1}{total}", total=trainer.num_training_batches)

    def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Advance the bar."""
        if self.bar is not None and self.task is not None:
            self.bar.advance(self.task)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Replace the bar by the epoch's line."""
        if self.bar is not None and self.task is not None:
            self.bar.remove_task(self.task)
            self.bar.console.print(epoch_line(self.state), highlight=False)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:  # noqa: ARG002
        """Close the bar, also after an error."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:  # noqa: ARG002
        """Close the bar so that the error stands on a line of its own."""
        self.teardown(trainer, pl_module, "fit")
