"""Every public name has an example in its docstring, and every example gives what it says."""

from __future__ import annotations

import doctest
import importlib
import inspect
import warnings
from pathlib import Path

import pytest

import dotcount

ROOMS = (
    "", "active", "audit", "calibration", "config", "data", "data.editing", "data.synthetic", "density",
    "evaluation", "files", "geo", "inference", "intensity", "losses", "metadata", "metrics", "models", "points",
    "prediction", "regions", "registry", "remote", "report", "tables", "training", "transport",
)  # fmt: skip
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def public(room: str) -> dict[str, object]:
    """Return the public names of a room with what they stand for: ``__all__``, else what the module defines."""
    module = importlib.import_module(f"dotcount.{room}".rstrip("."))
    own = [name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
    names = getattr(module, "__all__", None) or [name for name in own if not name.startswith("_")]
    return {name: getattr(module, name) for name in names}


def documented() -> dict[str, tuple[str, object]]:
    """Return {full name: (room, public class or function)}, each once, under the name of its own room."""
    found: dict[int, tuple[str, str, object]] = {}
    for room in sorted(ROOMS, reverse=True):
        for name, thing in public(room).items():
            if inspect.isclass(thing) or inspect.isroutine(thing):
                found.setdefault(id(thing), (f"{room}.{name}", room, thing))
    return {name: (room, thing) for name, room, thing in found.values()}


NAMES = documented() | {"dotcount": ("", dotcount), "Predictor.predict_many": ("", dotcount.Predictor.predict_many)}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_the_example_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    room, thing = NAMES[name]
    names = {**vars(importlib.import_module(thing.__module__)), **public(room)} if name != "dotcount" else {}
    (test,) = doctest.DocTestFinder(recurse=False, exclude_empty=False).find(thing, name, globs=names, module=False)
    assert test.examples, f"{name} has no example"
    assert not any(example.options.get(doctest.SKIP) for example in test.examples)
    told: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        failed, _ = doctest.DocTestRunner(optionflags=FLAGS).run(test, out=told.append)
    assert not failed, "".join(told)


@pytest.mark.parametrize("name", ["models.names", "recipes", "training.fingerprint", "training.schedule"])
def test_examples_of_other_modules_run(name):
    found = doctest.testmod(importlib.import_module(f"dotcount.{name}"), optionflags=FLAGS)
    assert found.attempted
    assert not found.failed


def test_the_rooms_of_the_reference_are_all_here():
    conf = Path(__file__).parents[1] / "docs" / "conf.py"
    rooms = conf.read_text(encoding="utf-8").split("ROOMS = {", 1)[1].split("}", 1)[0]
    listed = {line.split('"')[3] for line in rooms.splitlines() if '"' in line}
    assert listed - {"recipes", "errors"} <= set(ROOMS)


def test_a_wrong_example_is_seen():
    def wrong():
        """Add.

        >>> 1 + 1
        3
        """

    (test,) = doctest.DocTestFinder(recurse=False).find(wrong, "wrong", globs={}, module=False)
    assert doctest.DocTestRunner(optionflags=FLAGS).run(test, out=lambda _: None).failed == 1
