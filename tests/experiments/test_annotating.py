"""The page on annotating says what the files say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "experiments" / "results"
PAGE = (ROOT / "docs" / "results" / "annotating.md").read_text(encoding="utf-8")


def loop_rows() -> list[str]:
    told = json.loads((RESULTS / "annotate_loop.json").read_text(encoding="utf-8"))
    rows = []
    for way, found in told["ways"].items():
        cells = [way]
        for kind in ("page", "new"):
            figures = found[kind]
            cells += [f"{figures['before']:.2f} → {figures['after']:.2f}", f"{figures['falls_in']} of {figures['of']}"]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def order_rows() -> list[str]:
    told = json.loads((RESULTS / "active.json").read_text(encoding="utf-8"))
    rows = []
    for name, orders in told["sets"].items():
        for order, found in orders.items():
            low, high = found["difference_ci95"]
            difference = f"{found['difference']:+.2f} ({low:+.2f} to {high:+.2f})" if order != "random" else ""
            better = f"{found['better_in']} of {found['seeds']}" if order != "random" else ""
            rows.append(f"| {name} | {order} | {found['mae_over_dots']:.2f} | {difference} | {better} |")
    return rows


def test_the_page_says_what_the_files_say():
    for row in loop_rows() + order_rows():
        assert row in PAGE
    told = json.loads((RESULTS / "annotate_loop.json").read_text(encoding="utf-8"))
    precision, recall = (np.mean(told["suggestions"][key]) for key in ("precision", "recall"))
    assert f"precision {precision:.2f}, recall {recall:.2f}" in PAGE
    assert f"of {told['new_mean']:.1f} cells on average" in PAGE
    assert told["machine"] in PAGE
