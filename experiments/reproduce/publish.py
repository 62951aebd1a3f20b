"""From a run to a model in the package: half precision, a card with test figures, and a record of what was tested."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from dotcount import weights
from experiments.reproduce.execute import test_scores, write
from experiments.reproduce.page import f_at
from experiments.reproduce.suite import DATA, DRAWN, RESULTS, Experiment, best_recipe

CARD = """
## Measured on the test images

| images | mean count | MAE | RMSE | bias | F within 12 px |
|---|---|---|---|---|---|
| {n} | {mean:.1f} | {mae:.2f} | {rmse:.2f} | {bias:+.2f} | {f:.3f} |

These images took no part in training or in any choice. Weights are stored in half precision; the figures are of the
weights as stored. Made by `python -m experiments.reproduce run --only {name}` from the recipe `best/{recipe}`.
"""

DRAWN_CARD = """
All images, those of the test too, were drawn by dotcount (`dotcount data synth`). Expect larger errors on photos, and
check the model on some of yours.
"""


def publish_model(experiment: Experiment, model: str, data: str, runs: Path) -> str:
    """Copy the model of a finished run to ``dotcount/weights/MODEL``, test it there, and return a line about it."""
    source, target = runs / experiment.name / "model", weights.FOLDER / model
    record = json.loads(experiment.record.read_text(encoding="utf-8"))
    temporary = target.with_name(f"{model}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.copytree(source, temporary)
    state = load_file(source / "model.safetensors")
    half = {name: value.half() if value.dtype == torch.float32 else value for name, value in state.items()}
    save_file(half, temporary / "model.safetensors", metadata={"format": "pt"})
    shutil.rmtree(target, ignore_errors=True)
    (temporary / "model.safetensors").chmod(0o644)
    temporary.replace(target)
    scores = test_scores(target, DATA[experiment.data].format(data=data, out=runs))
    counting = scores["counting"]
    text = CARD.format(
        n=counting["n"],
        mean=sum(scores["true"]) / counting["n"],
        mae=counting["mae"],
        rmse=counting["rmse"],
        bias=counting["bias"],
        f=f_at({"test": scores}),
        name=experiment.name,
        recipe=best_recipe(experiment.data),
    )
    text += DRAWN_CARD if experiment.data in DRAWN else ""
    card = (target / "README.md").read_text(encoding="utf-8")
    before, limits, after = card.partition("\n## Limits")
    (target / "README.md").write_text(before + text + limits + after, encoding="utf-8")
    about = {key: record[key] for key in ("name", "seed", "commit", "machine", "versions")}
    write({**about, "test": scores}, RESULTS / "published" / f"{model}.json")
    size = (target / "model.safetensors").stat().st_size / 2**20
    return f"{target}: {size:.1f} MB, test MAE {counting['mae']:.2f} (run: {record['test']['counting']['mae']:.2f})"
