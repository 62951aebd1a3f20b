"""The code on the page about transport runs as printed."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "explanation" / "transport.md").read_text(encoding="utf-8")


def test_the_example_runs_and_converges():
    names: dict[str, object] = {}
    exec(re.search(r"```python\n(.*?)```", PAGE, flags=re.DOTALL).group(1), names)
    assert names["got"].converged
    assert names["got"].plan().shape == (1024, 2)
