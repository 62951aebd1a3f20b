"""From JSON to frozen dataclasses: every name, type and range is checked, and nothing is converted silently.

A range is stated where the field is, with ``annotated_types``: ``scale: Annotated[float, Gt(0)]``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from dotcount.errors import DotcountError, ModelError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

T = TypeVar("T")


class Strict:
    """Base of dataclasses whose fields are checked by :func:`parse`: no unknown name, no NaN, no conversion."""

    __pydantic_config__ = {"strict": True, "extra": "forbid", "allow_inf_nan": False}


_adapters: dict[type, TypeAdapter[Any]] = {}


def _adapter(kind: type) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter  # takes a tenth of a second, so only where something is read

    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]


def parse(kind: type[T], values: Mapping[str, object], origin: str, error: type[DotcountError] = ModelError) -> T:
    """Build a dataclass (see :class:`Strict`) from plain JSON values.

    Parameters
    ----------
    kind
        The dataclass; its fields may be dataclasses in turn.
    values
        Names and values as :func:`json.loads` returns them.
    origin
        File or argument that holds them, for messages.
    error
        Class of the error.

    Raises
    ------
    DotcountError
        Of the class ``error``: names the first field that is unknown, missing, of another type or out of range, what
        was found there, and how many more there are.
    """
    from pydantic import ValidationError

    try:
        # As JSON text, because only there do dataclasses and tuples have a form of their own in strict mode.
        built: T = _adapter(kind).validate_json(json.dumps(values))
        return built
    except ValidationError as problem:
        raise error(f"{origin}: {_in_words(problem.errors(include_url=False), values)}") from problem
    except (TypeError, ValueError, RecursionError) as problem:
        raise error(f"{origin}: holds what JSON can't ({problem}); use plain numbers, text and lists") from problem


def _in_words(problems: list[Any], values: object) -> str:
    first = problems[0]
    places = [_place(problem, values) for problem in problems]
    place = places[0]
    others = set(places) - {place}
    rest = f" ({len(others)} more to correct)" if others else ""
    need = first["msg"].split(" should ", 1)[-1].replace("a valid ", "")
    if not place:
        return f"{need}{rest}"
    name = ".".join(map(str, place))
    if first["type"] == "missing":
        return f"field {name!r} is missing; restore it{rest}"
    if first["type"] == "unexpected_keyword_argument":
        return f"field {name!r} is not known; remove or correct it{rest}"
    if first["type"] == "value_error":  # found by the dataclass itself
        return f"field {name!r}: {need.removeprefix('Value error, ')}{rest}"
    if places.count(place) > 1:  # none of several types
        need = "be of another type"
    found = json.dumps(first["input"], default=repr)
    return f"field {name!r} is {found if len(found) <= 60 else found[:57] + '...'}; it must {need}{rest}"


def _place(problem: Any, values: object) -> tuple[str | int, ...]:
    """Return where a problem is; of a union, pydantic adds the name of each alternative, which is no part of it."""
    place: list[str | int] = []
    for part in problem["loc"]:
        if isinstance(values, Mapping) and (part in values or problem["type"] == "missing"):
            values = values.get(part)
        elif isinstance(values, (list, tuple)) and isinstance(part, int) and part < len(values):
            values = values[part]
        else:
            break
        place.append(part)
    return tuple(place)
