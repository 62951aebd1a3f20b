"""Every notebook of the documentation runs, and prints what it shows."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
sys.path.insert(0, str(DOCS))
NOTEBOOKS = sorted(DOCS.rglob("*.ipynb"))
NUMBER = re.compile(r"\d+\.\d+|\d+")


def text(outputs):
    return "".join("".join(each.get("text", each.get("data", {}).get("text/plain", ""))) for each in outputs)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebook_prints_what_it_shows(path):
    from notebooks import executed

    notebook = json.loads(path.read_text(encoding="utf-8"))
    shown = [cell["outputs"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for kept, found in zip(shown, executed(notebook), strict=True):
        assert NUMBER.sub("", text(kept)) == NUMBER.sub("", text(found))
        numbers = [[float(number) for number in NUMBER.findall(text(each))] for each in (kept, found)]
        assert numbers[1] == pytest.approx(numbers[0], rel=0.01, abs=1)  # other processors round otherwise
        assert [sorted(each.get("data", ())) for each in kept] == [sorted(each.get("data", ())) for each in found]


def test_a_page_shows_code_outputs_and_pictures(tmp_path):
    from notebooks import executed, page

    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "Text."]},
        {"cell_type": "code", "source": ["x = 2\n", "print(x)\n", "x + 1"], "outputs": []},
        {"cell_type": "code", "source": ["from PIL import Image\n", 'Image.new("L", (8, 8))'], "outputs": []},
    ]
    for cell, outputs in zip(cells[1:], executed({"cells": cells}), strict=True):
        cell["outputs"] = outputs
    written = page({"cells": cells}, tmp_path / "pictures")
    assert written.startswith(
        "# Title\nText.\n\n```python\nx = 2\nprint(x)\nx + 1\n```\n\n```text\n2\n```\n\n```text\n3\n```"
    )
    assert "(pictures/1.png)" in written
    assert (tmp_path / "pictures" / "1.png").read_bytes().startswith(b"\x89PNG")


def test_there_are_notebooks():
    assert [path.stem for path in NOTEBOOKS] == ["stream"]
