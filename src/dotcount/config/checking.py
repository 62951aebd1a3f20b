"""Turning the classes of settings into checked ones whose errors are one line in plain words."""

from __future__ import annotations

import dataclasses
import functools
import reprlib
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, dataclass_transform

from pydantic import ValidationError
from pydantic.dataclasses import dataclass
from pydantic_core import ErrorDetails, PydanticCustomError

from dotcount.errors import ConfigError
from dotcount.registry import did_you_mean

T = TypeVar("T")


class Refused(PydanticCustomError):
    """A value that a rule of our own refuses.

    Parameters
    ----------
    need
        What it must be, as in "it must be ...".
    key, value
        The setting and its value, for rules that look at several; without them those that are being checked.
    """

    def __new__(cls, need: str, key: str = "", value: object = None) -> Refused:
        """Store the parts where the report of all errors finds them."""
        return super().__new__(cls, "refused", "Input should be {need}", {"need": need, "key": key, "value": value})


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def section(kind: type[T]) -> type[T]:
    """Make ``kind`` a frozen dataclass that checks types and ranges; what it refuses is a :class:`ConfigError`."""
    checked: Any = dataclass(kind, frozen=True, config={"extra": "forbid"})
    init: Callable[..., None] = checked.__init__

    @functools.wraps(init)
    def in_words(self: Any, *args: Any, **values: Any) -> None:
        try:
            init(self, *args, **values)
        except ValidationError as error:
            raise ConfigError(describe(error, kind)) from None

    checked.__init__ = in_words
    result: type[T] = checked
    return result


def describe(error: ValidationError, kind: type) -> str:
    """Return the first complaint in one line that names the key, the value and what is expected."""
    found = error.errors(include_url=False)
    first = found[0]
    keys = _key(first["loc"], kind)
    name = ".".join(keys)
    if first["type"] == "unexpected_keyword_argument":
        names = [one.name for one in dataclasses.fields(_inner(kind, keys[:-1]))]
        hint = did_you_mean(keys[-1], names)
        return f"config key {_short(name)} does not exist.{hint} Keys here: {', '.join(names)}."
    if first["type"] == "dataclass_type":
        return f"config key {name!r} must hold keys and values; got {_short(first['input'])}"
    context = first.get("ctx", {})
    value = first["input"]
    if context.get("key"):
        name, value = context["key"], context["value"]
    needs = dict.fromkeys(_need(one) for one in found if _key(one["loc"], kind) == keys)
    return f"config key {name!r} is {_short(value)}; it must be {' or '.join(needs)}"


def _need(error: ErrorDetails) -> str:
    """Return what a value must be, from a message such as "Input should be a valid integer"."""
    need = " ".join(error["msg"].split()).removeprefix("Input should be ").replace("a valid integer", "a whole number")
    return need.replace("a valid number", "a number").replace("a valid boolean", "true or false")


def _key(place: Iterable[str | int], kind: type) -> list[str]:
    """Return the path of keys to a value; what the checker adds to it, as the branch of a union, is left out."""
    keys: list[str] = []
    inner: type | None = kind
    for part in place:
        if inner is None:
            if isinstance(part, int):
                keys.append(str(part))
            continue
        keys.append(str(part))
        inner = _type_of(inner, str(part))
    return keys


def _inner(kind: type, keys: Iterable[str]) -> type:
    for key in keys:
        kind = _type_of(kind, key) or kind
    return kind


def _type_of(kind: type, name: str) -> type | None:
    """Return the class of settings that field ``name`` of ``kind`` holds, None for a plain value."""
    default = getattr(kind(), name, None)
    return type(default) if dataclasses.is_dataclass(default) else None


def _short(value: object) -> str:
    short = reprlib.Repr()
    short.maxstring = short.maxother = 80
    try:
        return short.repr(value)
    except ValueError:  # a whole number of more digits than Python writes
        return "a number of thousands of digits"
