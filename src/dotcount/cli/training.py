"""What a person sees while a run trains: a bar on a terminal, one line per epoch elsewhere."""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any

from dotcount.training.listener import Listener

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from dotcount.config import RunConfig
    from dotcount.training import Plan, TrainResult
    from dotcount.training.state import RunState


def say(message: str) -> None:
    """Print a line on stderr."""
    print(message, file=sys.stderr, flush=True)


def epoch_line(state: RunState) -> str:
    """Return the epoch that just ended in one line."""
    row = state.history[-1]
    total = "?" if state.epochs is None else str(state.epochs)
    line = f"epoch {row['epoch']}/{total}  loss {row['train_loss']:.4g}"
    if row["val_mae"] is not None:
        line += f"  val MAE {row['val_mae']:.2f}  RMSE {row['val_rmse']:.2f}  bias {row['val_bias']:+.2f}"
    if state.best:
        line += f"  (kept: {state.best['val_mae']:.2f} at epoch {state.best['epoch']})"
    return line + f"  {row['elapsed']:.0f} s"


class Lines(Listener):
    """Prints the plan on stdout, and one line per epoch on stderr."""

    def planned(self, plan: Plan) -> None:
        """Print what was recognised and resolved."""
        print(described(plan), flush=True)

    def noted(self, message: str) -> None:
        """Print the sentence."""
        say(message)

    def warned(self, message: str) -> None:
        """Print the warning."""
        say(f"warning: {message}")

    def epoch_ended(self, state: RunState) -> None:
        """Print the line of the epoch."""
        say(epoch_line(state))


class Bar(Lines):
    """Shows a bar over the steps of the epoch, and leaves one line per epoch behind."""

    def __init__(self) -> None:
        self.bar: Progress | None = None
        self.task: TaskID | None = None
        self.name = ""

    def _show(self, name: str, total: int) -> Progress:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeElapsedColumn as Elapsed
        from rich.progress import TimeRemainingColumn as Remaining

        if self.bar is None:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Elapsed(), Remaining())
            self.bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self.bar.start()
        if self.task is not None:
            self.bar.remove_task(self.task)
        self.task, self.name = self.bar.add_task(name, total=total), name
        return self.bar

    def warned(self, message: str) -> None:
        """Print the warning above the bar."""
        if self.bar is None:
            super().warned(message)
        else:
            self.bar.console.print(f"warning: {message}", highlight=False, markup=False)

    def epoch_began(self, state: RunState, steps: int) -> None:
        """Begin a new bar."""
        total = "" if state.epochs is None else f"/{state.epochs}"
        self._show(f"epoch {state.done + 1}{total}", steps)

    def step_ended(self) -> None:
        """Advance the bar."""
        if self.bar is not None and self.task is not None:
            self.bar.advance(self.task)

    def epoch_ended(self, state: RunState) -> None:
        """Replace the bar by the epoch's line."""
        if self.bar is not None:
            self.bar.console.print(epoch_line(state), highlight=False)

    def training_ended(self) -> None:
        """Close the bar, also after an error."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = self.task = None

    def advanced(self, task: str, done: int, total: int) -> None:
        """Show how far the work after training is."""
        bar = self._show(task, total) if self.bar is None or self.name != task else self.bar
        assert self.task is not None, "the bar has been opened"
        bar.update(self.task, completed=done, total=total)
        if done >= total:
            self.training_ended()


def console_listener() -> Listener:
    """Return a listener with a bar on a terminal, with lines elsewhere."""
    return Bar() if sys.stderr.isatty() else Lines()


def described(plan: Plan) -> str:
    """Return what was recognised and resolved, for the terminal."""
    config, training = plan.config, plan.config.training
    length = f"{training.epochs} epochs" if training.epochs else f"{training.max_minutes:g} min"
    lines = [
        f"data: {plan.note}",
        f"images: {len(plan.train):,} to train on, {len(plan.validation):,} to validate on",
        f"model: {config.model.name}{_options(config.model.options)}, on {training.device}",
        f"loss: {config.loss.name}{_options(config.loss.options)}{_epsilon(config)}",
        f"training: {length}, crops of {training.crop} px, {training.batch_size} at a time, seed {training.seed}",
    ]
    if plan.orientation:
        lines.append(f"augmentation: {plan.orientation}")
    return "\n".join(lines)


def _options(options: dict[str, Any]) -> str:
    shown = [f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}" for key, value in options.items()]
    return f" ({', '.join(text for text in shown if not text.endswith(' None'))})" if shown else ""


def _epsilon(config: RunConfig) -> str:
    """Return the entropic blur in pixels, for losses that have one in units of a length scale."""
    from dotcount.losses import LOSSES

    parameters = inspect.signature(LOSSES.get(config.loss.name)).parameters
    scale = config.loss.options.get("length_scale")
    if "epsilon" not in parameters or not scale or config.loss.options.get("neighbour_scale"):
        return ""
    epsilon = float(config.loss.options.get("epsilon", parameters["epsilon"].default))
    return f", epsilon {epsilon:g} = {epsilon * float(scale):.3g} px"


def summary(result: TrainResult) -> str:
    """Return what came of a run and where it lies, as lines for the terminal."""
    best, run = result.best, result.run
    lines = [
        f"trained {result.epochs} epochs in {result.seconds / 60:.1f} min, kept the weights of epoch {best['epoch']}"
    ]
    if result.validation is not None:
        lines += [f"{result.validation.described()}; each judged by choices of the others", result.validation.sentence]
    files = ", ".join(f"{run / name}" for name in ("config.yaml", "metrics.csv", "last.ckpt"))
    lines.append(f"wrote {run / 'model'} (the model and its card), {run / 'report.html'} (for a browser), {files}")
    return "\n".join(lines)
