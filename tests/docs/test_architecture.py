"""The page on architecture and the section in CONTRIBUTING.md say what is there."""

from __future__ import annotations

import importlib
import re
import tomllib
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")
NAMES = sorted(set(re.findall(r"`(dotcount(?:\.\w+)+)`", PAGE)))


def find(name: str) -> object:
    """Return what a dotted name stands for; an AttributeError says that there is no such thing."""
    parts = name.split(".")
    thing: object = importlib.import_module(parts[0])
    for k, part in enumerate(parts[1:], start=2):
        try:
            thing = importlib.import_module(".".join(parts[:k]))
        except ModuleNotFoundError:
            if is_dataclass(thing) and part in {field.name for field in fields(thing)}:
                return part
            thing = getattr(thing, part)
    return thing


@pytest.mark.parametrize("name", NAMES)
def test_every_name_exists(name):
    assert find(name)


def test_a_wrong_name_is_seen():
    with pytest.raises(AttributeError):
        find("dotcount.prediction.no_such_thing")


def test_the_table_has_the_layers_in_their_order():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    rows = re.findall(r"^\| (`dotcount[^|]*) \|", PAGE, flags=re.MULTILINE)
    assert [set(re.findall(r"dotcount\.\w+", row)) for row in rows] == [
        set(re.findall(r"dotcount\.\w+", layer)) for layer in layers
    ]


def test_contributing_names_every_room_and_links_to_the_page():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    house = text.split("## The house", 1)[1].split("\n## ", 1)[0]
    assert "docs/explanation/architecture.md" in house
    rooms = [p.parent.name for p in (ROOT / "src" / "dotcount").glob("*/__init__.py")]
    assert set(rooms) - {"recipes", "weights"} <= set(re.findall(r"\w+", house))
