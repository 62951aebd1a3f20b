"""The code on the page about losses runs as printed, and the page tells every option."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import torch

from dotcount.losses import LOSSES, create

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "losses.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_first_example_runs():
    names: dict[str, object] = {}
    exec(BLOCKS[0], names)
    assert names["density"].grad.shape == (2, 1, 32, 32)


def test_a_loss_of_ones_own_is_one_class_and_one_line(monkeypatch):
    monkeypatch.setattr(LOSSES, "_entries", dict(LOSSES._entries))
    exec(BLOCKS[1], {"__name__": "page"})
    out = create("count_only", weight=2.0)(torch.ones(1, 1, 4, 4), [torch.zeros(3, 2)], stride=8)
    assert out.total == 26
    padded = create("count_only")(torch.ones(1, 1, 4, 4), [torch.zeros(3, 2)], stride=8, image_size=[(16, 32)])
    assert padded.total == 5


def test_the_page_names_every_loss_and_every_option_of_the_baselines():
    for name in LOSSES:
        section = PAGE.split(f"\n## `{name}`", 1)[1].split("\n## ", 1)[0]
        if name != "uot":
            for option in inspect.signature(LOSSES.get(name)).parameters:
                assert f"`{option}`" in section, f"{name}: {option}"
