"""The page on models: its example of a user's module runs as printed."""

from __future__ import annotations

import re
from pathlib import Path

from dotcount.models import available, create, models

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "models.md"


def test_the_example_of_ones_own_model_runs_as_printed() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    (example,) = [block for block in blocks if "check_model" in block]
    try:
        exec(example, {})
        assert create("mine", width=4).stride == 8
    finally:
        models._entries.pop("mine", None)


def test_the_page_names_every_model() -> None:
    text = PAGE.read_text()
    assert all(f"`{name}`" in text for name in available())
