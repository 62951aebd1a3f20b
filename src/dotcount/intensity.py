"""The rule that maps stored pixel values to brightness in [0, 1]; no torch here.

Values of 8 bit are divided by 255. Deeper ones rarely use the range of their type: cameras deliver 10 to 14 bits in
files of 16, aerial sensors 11. They are mapped from a range that is fitted once, on a whole set of images, so that
equal numbers mean equal brightness in all of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from dotcount.errors import InputError

TAIL = 0.05
"""Percentage of the values that may lie below, and above, a fitted range."""

_METHODS = ("type", "bit_depth", "offset", "percentiles")
_DEPTHS = (8, 10, 11, 12, 14, 16)  # bits that sensors deliver
_STEPS = (257, 256, 128, 64, 32, 16, 8, 4, 2)  # by which software multiplies 8-bit values into deeper types
_BLACK, _NEAR = 0.02, 0.7  # values from below 2 % to above 70 % of a bit depth use it in full
_DARK = 1 / 8  # floats below this use little of [0, 1]
_NOISE = 0.8  # von Neumann's ratio from which an image is taken for noise alone; it is 1 for white noise
_SAMPLE = 2**17  # values looked at in an image
_MARKS = (2.0**15 - 1, 2.0**16 - 1, 2.0**31 - 1, 2.0**32 - 1)  # ends of types: scale bars, and saturated pixels
_APART, _FEW = 4, 0.05  # a mark is so many times as large as all others, and at most this share of the values
_CUT, _LITTLE = 0.05, 1 / 16  # shares beyond a range, and of a range, from which it is reported

Values = npt.NDArray[Any]


@dataclass(frozen=True)
class IntensityRule:
    """How stored values become brightness in [0, 1].

    ``b = clip((v - low) / (high - low), 0, 1)`` for values of more than 8 bits and for floats; ``b = v / 255`` for
    8-bit ones, whatever the range.

    Attributes
    ----------
    low, high
        Stored values that become 0 and 1; ``None`` where only 8-bit values have been met.
    method
        Where the range comes from: ``type`` (8 bit), ``bit_depth`` (that of a bit depth, of 8-bit values in a deeper
        type, or of floats in [0, 1]), ``offset`` (from percentile :data:`TAIL` to the end of the bit depth) or
        ``percentiles`` (:data:`TAIL` and 100 - :data:`TAIL`).
    images
        Number of images it was fitted on.
    kind
        What the range holds for: ``integer`` or ``float``; ``type`` has none.
    dark, bright
        Brightness at the low percentile of all images, and at the high one of the brightest. A model's rule states that
        of its training images, so that images of other depths can be made like them; 0 and 1 where it is not known.
    mark
        The end of the type, where some pixels have it and all others lie far below: a scale bar drawn into 12-bit data,
        or how the camera marks saturation. It was left out of the fit and becomes 1.

    Examples
    --------
    >>> import numpy as np
    >>> ramp = np.linspace(120, 4000, 10_000).astype(np.uint16).reshape(100, 100)
    >>> rule = IntensityRule.fit([ramp])
    >>> rule.method, round(rule.low), round(rule.high)
    ('offset', 122, 4095)
    >>> rule.apply(np.array([0, 2060, 5000], dtype=np.uint16)).round(2)
    array([0.  , 0.49, 1.  ], dtype=float32)
    >>> IntensityRule().apply(np.array([0, 255], dtype=np.uint8)).tolist()
    [0.0, 1.0]
    """

    low: float | None = None
    high: float | None = None
    method: str = "type"
    images: int = 0
    kind: str = ""
    dark: float = 0.0
    bright: float = 1.0
    mark: float | None = None

    def __post_init__(self) -> None:
        if self.method not in _METHODS:
            raise InputError(f"intensity method must be one of {', '.join(_METHODS)}; got {self.method!r}")
        if (self.low is None) != (self.high is None) or (self.low is None) != (self.method == "type"):
            raise InputError("intensity needs low and high, and neither for the method type")
        if self.kind not in (("",) if self.low is None else ("integer", "float")):
            raise InputError(f"intensity kind must be integer or float where there is a range; got {self.kind!r}")
        low, high = self.low or 0.0, self.high if self.high is not None else 1.0
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise InputError(f"intensity range must be finite and rising; got {low} to {high}")
        if not 0 <= self.dark < self.bright <= 1:
            raise InputError(f"intensity dark and bright must rise within 0 to 1; got {self.dark} and {self.bright}")
        if self.mark is not None and not high < self.mark < math.inf:
            raise InputError(f"intensity mark must lie above the range; got {self.mark}")
        if self.images < 0:
            raise InputError(f"intensity must state how many images it was fitted on; got {self.images}")

    @classmethod
    def fit(cls, images: Iterable[Values]) -> IntensityRule:
        """Return the rule for images (H, W) or (H, W, C); the plain 8-bit rule where none is deeper.

        Every image has about the same weight, whatever its size. Values that are not finite are left out.

        Values of 8 bits in a deeper type (at most 255, or multiples such as 257 as converters make them) have the range
        of 8 bits, floats in [0, 1] stay as they are. Else the range goes from a low percentile, or 0 where that is
        near, to the end of the bit depth that the values come near, or a high percentile. Single hot or dead pixels
        don't count. Images of noise alone are not stretched: it would make objects of the noise.

        Raises
        ------
        InputError
            If integers of more than 8 bits and floats are mixed, which have no range in common, or no value is finite.
        """
        samples, kinds = [], set()
        for pixels in images:
            if pixels.dtype != np.uint8 and pixels.size:
                samples.append(_rows(pixels))
                kinds.add(_kind(pixels.dtype))
        if not samples:
            return cls()
        if len(kinds) > 1:
            raise InputError("images of deep integers and of floats have no range in common; convert them to one type")
        values = np.concatenate([sample.ravel() for sample in samples])
        values = values[np.isfinite(values)]
        if not values.size:
            raise InputError("no image holds a finite value; replace the files")
        mark = _mark(values, samples)
        if mark is not None:
            values, samples = values[values != mark], _without(samples, mark)
        low, high, method = _range(values, samples)
        return cls(low, high, method, len(samples), kinds.pop(), mark=mark)

    @property
    def span(self) -> tuple[float, float]:
        """(low, high); an :class:`InputError` where only 8-bit values have been met."""
        if self.low is None or self.high is None:
            raise InputError("no range is known beyond 8 bit; fit an intensity rule on the images first")
        return self.low, self.high

    def covers(self, dtype: np.dtype[Any]) -> bool:
        """Return whether the rule says what values of this type mean."""
        return dtype == np.uint8 or (self.low is not None and self.kind == _kind(dtype))

    def apply(self, pixels: Values) -> npt.NDArray[np.float32]:
        """Return float32 brightness in [0, 1], of the shape of ``pixels``.

        Raises
        ------
        InputError
            If the pixels are deeper than 8 bit and the rule has no range for them.
        """
        if pixels.dtype == np.uint8:
            return pixels.astype(np.float32) / np.float32(255)
        if self.low is None or self.high is None or not self.covers(pixels.dtype):
            raise InputError(f"no range is known for {pixels.dtype} pixels; fit an intensity rule on the images first")
        exact: Any = np.float32 if pixels.dtype.itemsize <= 2 or pixels.dtype == np.float32 else np.float64
        values = (pixels.astype(exact) - exact(self.low)) / exact(self.high - self.low)
        if pixels.dtype.kind == "f":
            values = np.nan_to_num(values, nan=0.0)
        return np.asarray(values.clip(0, 1), dtype=np.float32)

    def measured(self, images: Iterable[Values]) -> IntensityRule:
        """Return this rule with how dark the images are under it, and how bright the brightest of them is.

        The brightest, because too dark an image costs more objects than too bright a one brings.
        """
        samples = [_rows(self.apply(pixels)) for pixels in images if pixels.size]
        if not samples:
            return self
        dark = float(np.clip(_ends(samples)[0], 0, 1))
        bright = float(np.clip(max(_ends([sample])[1] for sample in samples), 0, 1))
        return replace(self, dark=round(dark, 4), bright=round(bright, 4)) if bright - dark >= _DARK else self

    def like(self, other: IntensityRule) -> IntensityRule:
        """Return the rule that makes images as dark and bright as another makes its own.

        Ends that are percentiles are moved so that these percentiles become ``other.dark`` and ``other.bright``; those
        of a bit depth have a meaning of their own and stay.
        """
        if self.method not in ("offset", "percentiles"):
            return self
        bright = other.bright if self.method == "percentiles" else 1.0
        if (other.dark, bright) == (self.dark, self.bright):
            return self
        low, high = self.span
        scale = (high - low) / (bright - other.dark)
        start = low - other.dark * scale
        if self.kind == "integer" and low >= 0:
            start = max(0.0, start)  # no sensor counts less than nothing
        return replace(self, low=start, high=start + scale, dark=other.dark, bright=bright)

    def described(self) -> str:
        """Return the rule in words that follow "brightness is"."""
        if self.low is None or self.high is None:
            return "taken from 8-bit values, 0 to 255"
        span = f"mapped from {_number(self.low)} to {_number(self.high)}"
        how = {
            "bit_depth": "the range of their bit depth",
            "offset": f"percentile {TAIL:g} and the end of their bit depth",
            "percentiles": f"percentiles {TAIL:g} and {100 - TAIL:g}",
        }[self.method]
        of = "one image" if self.images == 1 else f"{self.images:,} images"
        apart = "" if self.mark is None else f"; {_number(self.mark)}, far above all others, left out"
        return f"{span} ({how}; {of} of more than 8 bits{apart})"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> IntensityRule:
        """Rebuild from :meth:`to_dict`; an incomplete or altered mapping is an :class:`InputError`."""
        try:
            low, high, method, images, kind = (values[n] for n in ("low", "high", "method", "images", "kind"))
            dark, bright, mark = values.get("dark", 0.0), values.get("bright", 1.0), values.get("mark")
            for number in (low, high, dark, bright, mark):
                if number is not None and (isinstance(number, bool) or not isinstance(number, (int, float))):
                    raise TypeError
            if isinstance(images, bool) or not isinstance(images, int):
                raise TypeError
            if not isinstance(method, str) or not isinstance(kind, str):
                raise TypeError
        except (KeyError, TypeError) as error:
            message = "intensity needs low, high, method, images and kind as to_dict writes them"
            raise InputError(f"{message}; got {values}") from error
        low, high, mark = (None if end is None else float(end) for end in (low, high, mark))
        return cls(low, high, method, images, kind, float(dark), float(bright), mark)


def rule_for(pixels: Values, trained: IntensityRule, of_set: IntensityRule | None) -> tuple[IntensityRule, str | None]:
    """Return the rule for one image, and what a person should know about it.

    Parameters
    ----------
    pixels
        (H, W) or (H, W, C) stored values.
    trained
        The rule that the model was trained with. It holds wherever it covers the type of the pixels.
    of_set
        A rule fitted on the images that this one belongs to; without it, one is fitted on this image alone.

    Examples
    --------
    >>> import numpy as np
    >>> rule, note = rule_for(np.zeros((8, 8), np.uint8), IntensityRule(), None)
    >>> rule == IntensityRule(), note
    (True, None)
    """
    if trained.covers(pixels.dtype):
        if pixels.dtype != np.uint8:
            return trained, _misfit(pixels, trained, "of the training images")
        deeper = "the model was trained on images of more than 8 bits; in this one of 8 bits objects may look different"
        return trained, None if trained.low is None else deeper
    rule, whose = of_set, "of the images counted together"
    if rule is None or not rule.covers(pixels.dtype):
        rule, whose = IntensityRule.fit([pixels]), "of this image"
    rule = rule.like(trained)
    low, high = rule.span
    name = f"{pixels.dtype.itemsize * 8}-bit {'float ' if rule.kind == 'float' else ''}values"
    note = f"its {name} were mapped from {_number(low)} to {_number(high)}, the range {whose}"
    if rule.mark is not None and (pixels == rule.mark).any():
        note += f", in which {_number(rule.mark)} was left out, far above all others"
    more = _misfit(pixels, rule, "")
    return rule, note if more is None else f"{note}; {more}"


def _misfit(pixels: Values, rule: IntensityRule, whose: str) -> str | None:
    """Return how an image lies in a range that it does not fit."""
    bottom, top = rule.span
    sample = _rows(pixels)
    low, high = _ends([sample])
    cut = float(((sample < bottom) | (sample > top)).mean())
    span = f"the range {_number(bottom)} to {_number(top)} {whose}".rstrip()
    if cut > _CUT:
        return f"{cut:.0%} of its values lie outside {span}"
    if high - low < _LITTLE * (top - bottom):
        return f"its values {_number(low)} to {_number(high)} are nearly uniform in {span}"
    return None


def _kind(dtype: np.dtype[Any]) -> str:
    return "float" if dtype.kind == "f" else "integer"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.4g}"


def _rows(pixels: Values) -> npt.NDArray[np.float64]:
    """Return evenly spaced rows (rows, W, C), whole ones, so that neighbours can be compared."""
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    height, width, channels = pixels.shape
    number = min(height, max(16, _SAMPLE // (width * min(channels, 3))))
    rows = pixels[np.linspace(0, height - 1, number).round().astype(int)]
    if channels == 3 and np.array_equal(rows[..., 0], rows[..., 1]) and np.array_equal(rows[..., 0], rows[..., 2]):
        rows = rows[..., :1]
    rows = rows.astype(np.float64)
    if pixels.dtype.kind == "f":
        rows[~np.isfinite(rows)] = np.nan
    return rows


def _without(samples: list[npt.NDArray[np.float64]], mark: float) -> list[npt.NDArray[np.float64]]:
    return [np.where(rows == mark, np.nan, rows) for rows in samples]


def _mark(values: npt.NDArray[np.float64], samples: list[npt.NDArray[np.float64]]) -> float | None:
    """Return the end of the type where it marks pixels instead of measuring them, else ``None``.

    Not where the rest is noise: then the marked pixels are what there is to see.
    """
    most = float(values.max())
    if most not in _MARKS:
        return None
    others = values[values != most]
    few = len(values) - len(others) <= _FEW * len(values)
    if not few or float(others.max()) * _APART > most or len(np.unique(others)) <= 8:
        return None
    rest = _without(samples, most)
    return None if _is_noise(rest, *_ends(rest)) else most


def _range(values: npt.NDArray[np.float64], samples: list[npt.NDArray[np.float64]]) -> tuple[float, float, str]:
    least, most = float(values.min()), float(values.max())
    low, high = _ends(samples)
    if least >= 0:
        if most <= 1 and not (values == np.rint(values)).all():
            if high >= _DARK:
                return 0.0, 1.0, "bit_depth"
        elif (top := _eight_bits(values, high)) is not None:
            return 0.0, top, "bit_depth"
        elif (values == np.rint(values)).all():
            top = _full(high)
            if top is not None and _is_noise(samples, low, high):
                return 0.0, top, "bit_depth"
            if top is not None and high >= _NEAR * top and low < top:
                return (0.0, top, "bit_depth") if low <= _BLACK * top else (low, top, "offset")
    if low == high:
        low, high = (0.0, high) if high > 0 else (low, low + 1.0)
    return low, high, "percentiles"


def _ends(samples: list[npt.NDArray[np.float64]]) -> tuple[float, float]:
    """Return low and high percentiles of what two neighbours reach, so that single hot pixels don't count."""
    below, above = [], []
    for rows in samples:
        left, right = (rows[:, :-1], rows[:, 1:]) if rows.shape[1] > 1 else (rows, rows)
        known = np.isfinite(left) & np.isfinite(right)
        below.append(np.maximum(left, right)[known])
        above.append(np.minimum(left, right)[known])
    dark, bright = np.concatenate(below), np.concatenate(above)
    low, high = (float(np.percentile(v, q)) if v.size else 0.0 for v, q in ((dark, TAIL), (bright, 100 - TAIL)))
    if low < high:
        return low, high
    known = np.concatenate([rows[np.isfinite(rows)] for rows in samples])  # no neighbours are alike, or all are
    return float(known.min()), float(known.max())


def _eight_bits(values: npt.NDArray[np.float64], high: float) -> float | None:
    """Return what 255 has become where the values are 8-bit ones, as they are or multiplied."""
    if high <= 255 and (values == np.rint(values)).all():
        return 255.0
    levels = np.unique(values)
    if len(levels) > 256 or levels[-1] > 65535 or (levels != np.rint(levels)).any():
        return None
    step = int(np.gcd.reduce(levels.astype(np.int64)))
    for factor in _STEPS:
        if step % factor == 0 and levels[-1] <= 255 * factor and len(levels) > 8:
            return 255.0 * factor
    return None


def _full(high: float) -> float | None:
    """Return the largest value of the least bit depth that holds ``high``."""
    return next((2.0**bits - 1 for bits in _DEPTHS if high <= 2**bits - 1), None)


def _is_noise(samples: list[npt.NDArray[np.float64]], low: float, high: float) -> bool:
    """Return whether neighbours differ as much as pixels far apart (von Neumann 1941), in every image."""
    return all(_von_neumann(rows.clip(low, high)) > _NOISE for rows in samples)


def _von_neumann(rows: npt.NDArray[np.float64]) -> float:
    spread = float(np.nanvar(rows))
    if rows.shape[1] < 2 or not spread > 0:
        return 0.0
    return float(np.nanmean(np.square(np.diff(rows, axis=1)))) / (2 * spread)
