"""Evaluate what ``benchmarks.device.train`` brought back, on this machine, and record it.

    python -m benchmarks.device.score OUT shanghaitech_b:PATH [--record FILE]

All test images, as they are; no count scale, no choice of an epoch. The record holds plan, logs and metrics.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import dotcount
from benchmarks.device.train import CONTESTANTS, write
from benchmarks.machine import machine
from dotcount.data import open_collection
from dotcount.evaluation import evaluate

ROOT = Path(__file__).parents[2]


def main(words: list[str] | None = None) -> None:
    """Score every model folder in OUT that the record lacks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("data")
    parser.add_argument("--record", type=Path, default=ROOT / "experiments/results/device/shanghaitech_b.json")
    parser.add_argument("--split", default="test")
    options = parser.parse_args(words)
    plan = json.loads((options.out / "plan.json").read_text(encoding="utf-8"))
    content: dict[str, Any] = {"plan": plan, "evaluated_on": machine(), "contestants": {}}
    if options.record.is_file():
        found = json.loads(options.record.read_text(encoding="utf-8"))
        if found["plan"] == plan:
            content = found
    collection = open_collection(options.data)
    for name in CONTESTANTS:
        if name in content["contestants"] or not (options.out / name).is_dir():
            continue
        metrics = evaluate(dotcount.load(options.out / name, device="cpu"), collection, options.split).metrics.to_dict()
        training = json.loads((options.out / f"{name}.json").read_text(encoding="utf-8"))
        content["contestants"][name] = training | {"metrics": metrics}
        write(options.record, content)
        print(name, metrics["counting"], flush=True)


if __name__ == "__main__":
    main()
