"""Where a run stands, besides tensors: plain values that are saved in every checkpoint."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

from dotcount.calibration import checkpoint_to_keep

if TYPE_CHECKING:
    from dotcount.training.module import Validation


@dataclass
class RunState:
    """The progress of a run at the end of an epoch.

    Attributes
    ----------
    epochs
        Epochs of the whole run; ``None`` until a time budget has fixed them.
    cooldown_epochs
        Epochs of the cool-down.
    done
        Epochs finished.
    stopped
        Whether the run ended before ``epochs``, because its budget was overrun.
    elapsed
        Seconds of training with validation, over all sessions.
    budget_minutes
        The budget the run was started with.
    history
        One row per epoch, as in metrics.csv.
    best
        The row of the best epoch so far, empty before the first validation.
    counts
        Epoch -> predicted counts of the validation images, in order, for every epoch that was validated.
    true
        Number of dots of each of these images.
    fingerprint
        Digest of the names and dots of the training and validation images.
    images
        Name -> digest of the file of every image; empty in checkpoints of older versions.
    validated
        Positions of the validation images that could be read; empty before the first validation.
    settings
        Key -> value of the configuration that is carried out; empty in checkpoints of older versions.
    """

    epochs: int | None = None
    cooldown_epochs: int = 0
    done: int = 0
    stopped: bool = False
    elapsed: float = 0.0
    budget_minutes: float | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Any] = field(default_factory=dict)
    counts: dict[int, list[float]] = field(default_factory=dict)
    true: list[int] = field(default_factory=list)
    fingerprint: str = ""
    images: dict[str, str] = field(default_factory=dict)
    validated: list[int] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether no epoch is left to train."""
        return self.stopped or (self.epochs is not None and self.done >= self.epochs)

    def record_counts(self, found: Validation, select: Literal["mae", "rmse"]) -> bool:
        """Record the validation of the epoch that has just ended; return whether its weights are to be kept."""
        self.counts[self.done], self.true = found.counts, found.true
        comparable = list(self.comparable_counts().values())
        return checkpoint_to_keep(comparable, self.true, select) == len(comparable) - 1

    def comparable_counts(self) -> dict[int, list[float]]:
        """Return the counts of the epochs in which as many images could be decoded as in the last."""
        return {epoch: row for epoch, row in self.counts.items() if len(row) == len(self.true)}

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a checkpoint."""
        return asdict(self)

    def load(self, values: dict[str, Any]) -> None:
        """Take over what :meth:`to_dict` returned, also in another version; what is not known is left out."""
        for one in fields(self):
            if one.name in values:
                setattr(self, one.name, values[one.name])
