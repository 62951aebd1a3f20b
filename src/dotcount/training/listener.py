"""What a run tells while it goes on, to whoever shows it: the library itself writes to no terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dotcount.training.resolve import Plan
    from dotcount.training.state import RunState


class Listener:
    """Hears of a run's progress; every method of this base class does nothing.

    With several devices each process has a copy, and only the first one's hears of the epochs.

    Examples
    --------
    >>> class News(Listener):
    ...     def noted(self, message):
    ...         print(message)
    >>> News().noted("the best epoch so far")  # dotcount.train(..., listener=News()) calls it
    the best epoch so far
    """

    def planned(self, plan: Plan) -> None:
        """Hear every setting, made definite, and the images, before any work."""

    def noted(self, message: str) -> None:
        """Hear a sentence of news."""

    def warned(self, message: str) -> None:
        """Hear a sentence about something that is probably not as it should be."""

    def epoch_began(self, state: RunState, steps: int) -> None:
        """Hear that ``steps`` steps follow."""

    def step_ended(self) -> None:
        """Hear that one of them is done."""

    def epoch_ended(self, state: RunState) -> None:
        """Hear that the last row of ``state.history`` is new."""

    def training_ended(self) -> None:
        """Hear that no further epoch follows, also after an error."""

    def advanced(self, task: str, done: int, total: int) -> None:
        """Hear how far the work after training is, such as "validating"."""
