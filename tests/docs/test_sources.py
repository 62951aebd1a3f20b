"""The page on sources and outputs names what there is, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

from dotcount.data.formats import FORMATS
from dotcount.data.images import SUFFIXES
from dotcount.prediction.sinks import SINKS, create_sink, writable
from dotcount.prediction.sources import SOURCES
from dotcount.prediction.sources.manifests import SUFFIXES as LISTS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "sources.md").read_text(encoding="utf-8")


def rows(heading):
    """Return the cells of each row of the tables under a heading."""
    part = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line.strip("|").split("|") for line in part.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line] for line in lines if line[0].strip() not in ("source", "output")]


def endings(name):
    return {ending for row in rows("Sources") if row[0] == name for ending in row[1].split()}


def test_every_source_is_there_with_its_endings():
    assert {row[0].strip("`") for row in rows("Sources")} == {*SOURCES, "list", "URL"}
    for name in SOURCES:
        assert endings(f"`{name}`") == set(SOURCES.create(name).suffixes)
    assert endings("list") == set(LISTS)
    assert set(SOURCES.create("images").suffixes) == set(SUFFIXES)


def test_every_output_is_there_with_its_files_and_title():
    found = {row[0].strip("`"): row[1:] for row in rows("Outputs")}
    assert list(found) == [*(name for name in found if name in SINKS), *(n for n in writable() if n not in SINKS)]
    assert set(found) == set(writable())
    for name, cells in found.items():
        if name in SINKS:
            assert tuple(cells[0].split()) == create_sink(name).names
        else:
            assert cells == [f"points as {FORMATS.create(name).title}"]


def test_extras_are_those_that_can_be_installed():
    told = {
        extra for row in rows("Sources") + rows("Outputs") for cell in row[2:3] for extra in re.findall("`(.+?)`", cell)
    }
    offered = set(re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert told
    assert told <= offered
