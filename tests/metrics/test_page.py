"""The code on the page about scores runs as printed."""

from __future__ import annotations

import re
from pathlib import Path

import dotcount.calibration
import dotcount.inference
import dotcount.metrics

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "evaluation.md").read_text(encoding="utf-8")


def test_the_example_runs(capsys):
    blocks = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        exec(block, {})
    said = capsys.readouterr().out
    assert "mae=" in said
    assert "240.0 to 360.0" in said or "300" in said


def test_every_function_the_page_names_exists():
    for name in (
        "by_count",
        "by_luminance",
        "by_label",
        "by_count_quantile",
        "find_peaks",
        "choose_threshold",
        "calibrate",
    ):
        assert f"`{name}" in PAGE
        rooms = (dotcount.metrics, dotcount.inference, dotcount.calibration)
        assert any(callable(getattr(room, name, None)) for room in rooms)
