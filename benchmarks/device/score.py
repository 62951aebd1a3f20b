"""Evaluate what ``benchmarks.device.train`` brought back, on this machine, and record it.

    python -m benchmarks.device.score OUT shanghaitech_b:PATH [--record FILE]

All test images, without a count scale: once at the size of training, and once magnified as counts the held-out images
best (``magnified``), which training has measured, or this script where training was cut off. Model folders are made of
OUT/NAME.pt, also of what a run that was cut off had kept. The record holds plan, logs and metrics.
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path
from typing import Any

import torch

import dotcount
from benchmarks.device.train import CONTESTANTS, MAGNIFY, write
from benchmarks.machine import machine
from dotcount import models
from dotcount.calibration import CalibrationOptions
from dotcount.calibration.trials import try_augmentations
from dotcount.data import Collection, ResizeRule, load_sample, open_collection, whole_batch
from dotcount.evaluation import evaluate
from dotcount.metadata import InputRule, LossFacts, ModelMetadata, TrainingFacts
from dotcount.models import io as model_io

ROOT = Path(__file__).parents[2]


def main(words: list[str] | None = None) -> None:
    """Score every model in OUT that the record lacks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder of train.json and the weights; it may be read-only")
    parser.add_argument("data")
    parser.add_argument("--record", type=Path, default=ROOT / "experiments/results/device/shanghaitech_b.json")
    parser.add_argument("--models", type=Path, default=None, help="where model folders are written; OUT/models")
    parser.add_argument("--split", default="test")
    parser.add_argument("--weights", choices=("best", "last"), default="best")
    options = parser.parse_args(words)
    trained = json.loads((options.out / "train.json").read_text(encoding="utf-8"))
    plan, folder = trained["plan"], options.models or options.out / "models"
    versions = {"dotcount": dotcount.__version__, "torch": torch.__version__, "python": platform.python_version()}
    content: dict[str, Any] = {"plan": plan, "evaluated_on": machine(), "versions": versions, "contestants": {}}
    content["weights"] = options.weights
    if options.record.is_file():
        found = json.loads(options.record.read_text(encoding="utf-8"))
        if (found["plan"], found.get("weights")) == (plan, options.weights):
            content = found
    collection = open_collection(options.data)
    for name in CONTESTANTS:
        weights = next((p for p in (options.out / f"{name}{s}.pt" for s in ("", ".earlier")) if p.is_file()), None)
        if weights is None or name in content["contestants"]:
            continue
        state = torch.load(weights, weights_only=True, map_location="cpu")
        if options.weights not in state:
            continue
        facts = trained["contestants"].get(name) or {"options": {}, "loss": CONTESTANTS[name][0], "finished": False}
        network, metadata = built(state[options.weights], plan, facts)
        trials = facts.get("trials") if options.weights == "best" else None
        trials = trials or tried(network, collection, plan)
        result = facts | {"trials": trials}
        result["metrics"] = scored(network, metadata(1.0), folder / name, collection, options.split)
        best = min(trials, key=lambda one: one["mae"])["magnify"]
        result["magnified"] = {"magnify": best, "metrics": result["metrics"]}
        if best != 1:
            place = folder / f"{name}-magnified"
            result["magnified"]["metrics"] = scored(network, metadata(best), place, collection, options.split)
        content["contestants"][name] = result
        write(options.record, content)
        print(name, result["metrics"]["counting"], best, result["magnified"]["metrics"]["counting"], flush=True)


def built(state: dict[str, torch.Tensor], plan: dict[str, Any], facts: dict[str, Any]) -> tuple[Any, Any]:
    """Return the network with its weights, and magnification -> the model's metadata."""
    network: Any = models.create(plan["model"], **plan["options"])
    network.load_state_dict(state)
    training = TrainingFacts(
        data=plan["data"]["data"],
        images=plan["train_images"],
        dots=plan["train_dots"],
        validation_images=len(plan["data"]["held_out"]),
        crop=plan["crop"],
        steps=(facts.get("selected") or {}).get("step", 0),
        minutes=round(facts.get("seconds", 0.0) / 60, 2),
        pretrained=plan["model"] == "lite0",
        seed=plan["seed"],
        loss=LossFacts.of(facts["loss"], facts["options"]),
    )
    rule = ResizeRule(min_side=plan["min_side"] or None)

    def metadata(magnify: float) -> ModelMetadata:
        resize = rule if magnify == 1 else rule.magnified(magnify)
        return ModelMetadata(
            plan["model"], int(network.stride), plan["options"], input=InputRule(resize), training=training
        )

    return network.eval(), metadata


def tried(network: Any, collection: Collection, plan: dict[str, Any]) -> list[dict[str, float]]:
    """Return the errors on the held-out images at every magnification, as training writes them."""
    held, rule = set(plan["data"]["held_out"]), ResizeRule(min_side=plan["min_side"] or None)
    records = [record for record in collection.records if record.name in held]
    options = CalibrationOptions(magnify=MAGNIFY, scale=False)
    trials, _ = try_augmentations(
        network,
        lambda size: (whole_batch(load_sample(record, rule.magnified(size))) for record in records),
        options,
    )
    return [{"magnify": one.magnify, "mae": one.summary().mae, "bias": one.summary().bias} for one in trials]


def scored(network: Any, metadata: ModelMetadata, folder: Path, collection: Collection, split: str) -> dict[str, Any]:
    """Write a model folder and return what its evaluation says."""
    model_io.save(network, folder, metadata)
    return evaluate(dotcount.load(folder, device="cpu"), collection, split).metrics.to_dict()


if __name__ == "__main__":
    main()
