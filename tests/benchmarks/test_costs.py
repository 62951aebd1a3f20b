"""The benchmarks of losses and networks leave none out."""

from __future__ import annotations

import json

from benchmarks import losses
from benchmarks.models import cost
from dotcount.losses import LOSSES
from dotcount.models import create, models


def test_every_loss_has_a_time_and_a_row_in_the_table() -> None:
    recorded = json.loads(losses.RESULTS.read_text(encoding="utf-8"))["seconds"]
    assert set(recorded) == set(LOSSES)
    assert all(seconds > 0 for seconds in recorded.values())
    page = losses.PAGE.read_text(encoding="utf-8")
    for name, seconds in recorded.items():
        ratio = losses.times(seconds / recorded[losses.BASELINE])
        assert f"| {seconds:.2g} s | {ratio} |" in next(
            row for row in page.splitlines() if row.startswith(f"| `{name}`")
        )
    assert losses.measure("gaussian_l2") > 0


def test_every_network_has_a_cost() -> None:
    measured = {name for name, _ in cost.MODELS}
    assert {"timm/<name>" if name.startswith("timm/") else name for name in measured} == set(models)
    row = cost.measure("compact", {}, 1)
    assert row["parameters"] == sum(weight.numel() for weight in create("compact").parameters())
    assert row["step_cpu_seconds_per_megapixel"] > 0
    assert "`compact`" in cost.table({"machine": {"cpu": "a", "torch": "b"}, "models": [row]})
