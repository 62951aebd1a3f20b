"""The page about data names every format and every recipe."""

from __future__ import annotations

from pathlib import Path

import pytest

from dotcount.data.benchmarks import BENCHMARKS
from dotcount.data.formats import FORMATS

PAGE = Path(__file__).parents[2] / "docs/reference/data.md"


@pytest.mark.parametrize(
    "name", [*FORMATS, *(n for n in BENCHMARKS if n not in (f"ucf_cc_50_fold{k}" for k in (2, 3, 4)))]
)
def test_it_is_on_the_page(name: str) -> None:
    assert f"`{name}`" in PAGE.read_text(encoding="utf-8")


def test_the_page_says_rightly_what_can_be_written() -> None:
    rows = [line.split("|") for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    said = {row[2].strip(" `"): row[5].strip() for row in rows if len(row) == 7}
    for name in FORMATS:
        assert said[name] == ("yes" if FORMATS.create(name).writable else "no")
