"""What travels with the weights of a model and is needed to use it; no torch here."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from dotcount.errors import InputError


@dataclass(frozen=True)
class CountInterval:
    """A calibrated interval for a predicted count: ``c_hat -+ scale * sqrt(c_hat + 1)``, cut at zero.

    Split conformal prediction (Lei et al. 2018): if calibration and new images are exchangeable, the interval holds the
    true count with probability at least ``level``, on average over images, whatever the model. It makes no promise for
    images of another kind than the ones it was calibrated on.

    Attributes
    ----------
    level
        The promised coverage.
    scale
        Finite-sample quantile of ``|c - c_hat| / sqrt(c_hat + 1)``; infinite when there are too few images.
    n
        Number of calibration images.
    reason
        Why there is no finite interval; empty when there is one.
    """

    level: float
    scale: float
    n: int
    reason: str = ""

    def interval(self, count: float) -> tuple[float, float]:
        """Return (low, high) for one predicted count; high is infinite when ``scale`` is."""
        if not (math.isfinite(count) and count >= 0):
            raise InputError(f"count must be a finite number >= 0; got {count}")
        reach = self.scale * math.sqrt(count + 1)
        return max(0.0, count - reach), count + reach

    def to_dict(self) -> dict[str, object]:
        """Return plain values for JSON; an infinite scale becomes ``None``."""
        return asdict(self) | {"scale": self.scale if math.isfinite(self.scale) else None}

    @classmethod
    def from_dict(cls, values: dict[str, object]) -> CountInterval:
        """Rebuild from :meth:`to_dict`; an incomplete or altered mapping is an :class:`InputError`."""
        try:
            scale = values["scale"]
            return cls(
                level=float(values["level"]),  # type: ignore[arg-type]
                scale=math.inf if scale is None else float(scale),  # type: ignore[arg-type]
                n=int(values["n"]),  # type: ignore[call-overload]
                reason=str(values.get("reason", "")),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"count interval needs level, scale and n as written by to_dict; got {values}") from error
