"""Coordinates that are px in name only: degrees, or shares and percent, that land in the image's upper left corner."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dotcount.data.records import Problem, Record

_MANY = 10  # dots from which on an arrangement is no accident
_TENS = 50  # px; in smaller images dots may well lie that near each other
_LARGE = 200  # px; of a smaller image, percent fill much
_REMEDY = "convert them, or write a csv with the columns x_px, y_px if they are px"


def suspicious_units(records: Sequence[Record]) -> list[Problem]:
    """Return what speaks against the dots of records being in px; empty if nothing does.

    Shares: all dots of the set, or three and more of one image, lie in the first pixel, at other places than its
    corners and its centre. Percent: ten dots and more lie below 100 px, and fill that square, in images of 200 px
    and more. Longitude and latitude: all dots of the set lie within one pixel, and have more decimals than clicks.

    Parameters
    ----------
    records
        Those whose source does not state that its numbers are px.
    """
    dotted = [r for r in records if r.points is not None and len(r.points) and r.error is None]
    if not dotted:
        return []
    xy = np.concatenate([r.points.xy for r in dotted if r.points is not None])
    sides = [(r.points.width, r.points.height) for r in dotted if r.points is not None]
    where = f"all {len(xy)} dots of {len(dotted)} images lie within"
    if _shares(xy) and max(map(max, sides)) > 2:
        return [Problem("units", "", f"{where} 1 px of the upper left corner; they look like shares; {_REMEDY}")]
    if _degrees(xy) and max(map(max, sides)) >= _TENS:
        x, y = xy[0]
        around = f"{where} 1 x 1 px around ({x:g}, {y:g}); they look like longitude and latitude; "
        return [Problem("units", "", f"{around}convert them to px of the image")]
    fractional = bool((xy != np.floor(xy)).any())
    if (
        fractional
        and len(xy) >= _MANY
        and bool(((xy >= 0) & (xy <= 100)).all())
        and bool((xy.max(axis=0) > 60).all())
        and min(map(min, sides)) >= _LARGE
    ):
        return [Problem("units", "", f"{where} 100 px of the upper left corner; they look like percent; {_REMEDY}")]
    found = []
    for record in dotted:
        assert record.points is not None
        if len(record.points) >= 3 and _shares(record.points.xy) and max(record.points.width, record.points.height) > 2:
            text = f"all {len(record.points)} dots of image {record.image} lie within 1 px of its upper left corner"
            found.append(Problem("units", record.name, f"{text}; they look like shares; {_REMEDY}"))
    return found


def _degrees(xy: np.ndarray) -> bool:
    narrow = len(xy) > 1 and bool((np.ptp(xy, axis=0) < 1).all()) and bool((np.abs(xy) <= (180, 90)).all())
    return narrow and len(np.unique(xy, axis=0)) > 1 and bool((xy != np.round(xy, 3)).any())


def _shares(xy: np.ndarray) -> bool:
    return bool(((xy >= 0) & (xy <= 1)).all()) and not bool(np.isin(xy, (0.0, 0.5, 1.0)).all())
