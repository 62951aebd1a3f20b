"""The marks of one image and what an edit does to them.

A mark is a dot on an object, or a negative dot: a place that holds none, whatever a model says. Marks have numbers that
hold for as long as the data set is open. What an edit changed is a :class:`MarkChange`: how many equal marks there are
at a place afterwards. Carried out twice it comes to the same, so that a journal of changes may be repeated safely.
"""

from __future__ import annotations

import math
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dotcount.data.formats.structured import NO_CLASS
from dotcount.errors import InputError

SAME_PLACE = 0.01  # px; formats that store shares or float32 return a place that differs by less
_LONGEST_LABEL = 80
_FEW = 4
OPERATIONS = ("add", "move", "delete", "class", "empty")


@dataclass(frozen=True)
class Mark:
    """A dot at (x, y) px with its class; ``negative``: nothing is there.

    Examples
    --------
    >>> Mark(3.0, 4.5, "cell").label
    'cell'
    """

    x: float
    y: float
    label: str = ""
    negative: bool = False


@dataclass(frozen=True)
class Edit:
    """One change, as it is asked for.

    Parameters
    ----------
    op
        ``add`` (a new ``number``, x, y, label, negative), ``move`` (number, x, y), ``delete`` (number), ``class``
        (number, label), or ``empty`` (``value``: the image was looked at and holds no objects, or that is taken back).

    Examples
    --------
    >>> Edit.parse({"op": "move", "id": 3, "x": 1.5, "y": 2})
    Edit(op='move', number=3, x=1.5, y=2.0, label='', negative=False, value=False)
    """

    op: str
    number: int = 0
    x: float = 0.0
    y: float = 0.0
    label: str = ""
    negative: bool = False
    value: bool = False

    @classmethod
    def parse(cls, content: object) -> Edit:
        """Return the edit that a JSON object states; InputError if it states none."""
        if not isinstance(content, Mapping) or content.get("op") not in OPERATIONS:
            raise InputError(f"an edit needs an op, one of {', '.join(OPERATIONS)}")
        op = str(content["op"])
        number = content.get("id", 0)
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < 2**53:
            raise InputError(f"the id of an edit ({op}) must be a whole number from 0 up")
        flags = [content.get(key, False) for key in ("negative", "value")]
        if not all(isinstance(flag, bool) for flag in flags):
            raise InputError(f"negative and value of an edit ({op}) must be true or false")
        return cls(op, number, _coordinate(content, "x", op), _coordinate(content, "y", op), _label(content), *flags)


def _coordinate(content: Mapping[str, Any], key: str, op: str) -> float:
    value = content.get(key, 0.0)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InputError(f"{key} of an edit ({op}) must be a finite number")
    return float(value)


def _label(content: Mapping[str, Any]) -> str:
    label = content.get("class", "")
    if not isinstance(label, str) or len(label) > _LONGEST_LABEL or not (label == "" or label.isprintable()):
        raise InputError(f"a class must be a name of at most {_LONGEST_LABEL} printable characters")
    return label.strip()


@dataclass(frozen=True)
class MarkChange:
    """What an edit did to an image: how many marks are at each place now, and whether it is known to hold nothing.

    ``empty`` is ``None`` where that did not change.

    Examples
    --------
    >>> change = MarkChange({Mark(3.0, 4.0): 1})
    >>> MarkChange.parse(change.told()) == change
    True
    """

    places: Mapping[Mark, int] = field(default_factory=dict)
    empty: bool | None = None

    def told(self) -> dict[str, Any]:
        """Return the change for JSON."""
        rows = [[m.x, m.y, m.label, int(m.negative), n] for m, n in self.places.items()]
        return {"places": rows} if self.empty is None else {"places": rows, "empty": self.empty}

    @classmethod
    def parse(cls, content: Mapping[str, Any]) -> MarkChange:
        """Return what :meth:`told` told; ValueError, TypeError or KeyError if it is something else."""
        places = {
            Mark(float(x), float(y), str(label), bool(negative)): int(n)
            for x, y, label, negative, n in content["places"]
        }
        empty = content.get("empty")
        return cls(places, None if empty is None else bool(empty))


class ImageMarks:
    """The marks of one image, by number.

    Parameters
    ----------
    width, height
        Size of the image, px.
    marks
        In the order of the file; they are numbered from 0.
    empty
        Whether the image was looked at and holds no objects.

    Attributes
    ----------
    version
        Differs between any two states of an image, also after it was opened again.

    Examples
    --------
    >>> marks = ImageMarks(64, 48, [Mark(3.0, 4.0)])
    >>> after, change = marks.edited([Edit("move", 0, 5.0, 6.0), Edit("add", 1, 7.0, 8.0)])
    >>> [(mark.x, mark.y) for mark in after.dots], len(change.places)
    ([(5.0, 6.0), (7.0, 8.0)], 3)
    """

    def __init__(self, width: int, height: int, marks: Iterable[Mark] = (), empty: bool = False) -> None:
        self.width, self.height = width, height
        self.by_number = dict(enumerate(marks))
        self.empty = empty and not self.dots
        self.version = secrets.token_hex(8)

    @property
    def dots(self) -> list[Mark]:
        """The marks of objects."""
        return [mark for mark in self.by_number.values() if not mark.negative]

    @property
    def negatives(self) -> list[Mark]:
        """The places that are marked as holding no object."""
        return [mark for mark in self.by_number.values() if mark.negative]

    @property
    def annotated(self) -> bool:
        """Whether there are dots, or the image is known to hold nothing."""
        return self.empty or any(not mark.negative for mark in self.by_number.values())

    def edited(self, edits: Sequence[Edit]) -> tuple[ImageMarks, MarkChange]:
        """Return the marks after some edits, all or none of them, and what they changed.

        Raises
        ------
        InputError
            If there is no mark of a number, one is there already, a place lies outside the image, or an image with
            dots is said to hold nothing.
        """
        after = self._copy()
        touched: dict[Mark, None] = {}
        for edit in edits:
            after._apply(edit, touched)
        if after.empty and after.dots:
            raise InputError("the image has dots; remove them before you say that it holds none")
        there = after.by_number.values()
        counts = (
            Counter(there)
            if len(touched) > _FEW
            else {mark: sum(mark.x == m.x and mark == m for m in there) for mark in touched}
        )
        empty = after.empty if after.empty != self.empty else None
        return after, MarkChange({mark: counts[mark] for mark in touched}, empty)

    def repeated(self, change: MarkChange) -> ImageMarks:
        """Return the marks after a change that was made to marks like these, which may have been carried out before."""
        after = self._copy()
        for place, wanted in change.places.items():
            there = [n for n, mark in after.by_number.items() if _same_place(mark, place)]
            for number in there[wanted:]:
                del after.by_number[number]
            free = max(after.by_number, default=-1) + 1
            for k in range(wanted - len(there)):
                after.by_number[free + k] = place
        empty = after.empty if change.empty is None else change.empty
        after.empty = empty and not after.dots
        return after

    def _copy(self) -> ImageMarks:
        copy = ImageMarks(self.width, self.height)
        copy.by_number, copy.empty = dict(self.by_number), self.empty
        return copy

    def _apply(self, edit: Edit, touched: dict[Mark, None]) -> None:
        if edit.op == "empty":
            self.empty = edit.value
            return
        former = self.by_number.get(edit.number)
        if (former is None) != (edit.op == "add"):
            there = "there is a mark" if former is not None else "there is no mark"
            raise InputError(f"{there} of the number {edit.number}; load the image again")
        if former is not None:
            touched[former] = None
        if edit.op == "delete":
            del self.by_number[edit.number]
            return
        if former is None:
            mark = Mark(edit.x, edit.y, "" if edit.negative else edit.label, edit.negative)
        elif edit.op == "move":
            mark = replace(former, x=edit.x, y=edit.y)
        else:
            mark = replace(former, label="" if former.negative else edit.label)
        if not (0 <= mark.x < self.width and 0 <= mark.y < self.height) and edit.op != "class":
            raise InputError(
                f"({mark.x:g}, {mark.y:g}) lies outside the image of {self.width} x {self.height} px; move it in"
            )
        self.by_number[edit.number] = mark
        touched[mark] = None
        if not mark.negative:
            self.empty = False


def _same_place(one: Mark, other: Mark) -> bool:
    plain = [mark.label or NO_CLASS for mark in (one, other)]  # a format that demands a name gave the stand-in
    alike = plain[0] == plain[1] and one.negative == other.negative
    return alike and abs(one.x - other.x) < SAME_PLACE and abs(one.y - other.y) < SAME_PLACE
