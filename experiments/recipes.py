"""Show that one command runs a line of the paper's Table 1: its three ShanghaiTech B recipes, cut to a few minutes.

python experiments/recipes.py DATA      run the commands and write experiments/results/recipes.json

DATA is the folder of ShanghaiTech part B. A run of two minutes learns next to nothing: VGG-19 takes about ten seconds
a step on a CPU, and starts from random weights where ImageNet's can't be downloaded. What is shown is that each command
works from end to end, and what the comparison of the three runs looks like.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

RESULTS = Path(__file__).parent / "results" / "recipes.json"
LOSSES = ("l2", "bl", "uot")
SHORT = "--max-minutes 2 --set model.pretrained=false --set data.validation=0.01"
TESTED = 8  # test images: a whole one takes VGG-19 about ten seconds


def main() -> None:
    """Train, evaluate and compare the three losses with the commands of the docs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    data = parser.parse_args().data.resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        part = first_images(data, folder / "part_B")
        rows = [run(f"train {data} --out {loss} --config table1/shb-{loss} {SHORT}", folder) for loss in LOSSES]
        runs = " ".join(LOSSES)
        rows.append(run(f"compare {runs} --data {part} --format shanghaitech_b --out compared", folder))
        compared = json.loads((folder / "compared/comparison.json").read_text(encoding="utf-8"))
        steps = {loss: history(folder / loss) for loss in LOSSES}
    for row in rows:
        row["command"] = str(row["command"]).replace(str(data), "part_B").replace(str(part), "part_B_8")
    machine = {
        "cpu": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }
    record = {"machine": machine, "test_images": TESTED, "commands": rows, "runs": steps, "comparison": compared}
    RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def first_images(data: Path, target: Path) -> Path:
    """Return a folder with links to the first test images and their dots in the layout of the benchmark."""
    for part, pattern in (("images", "IMG_{}.jpg"), ("ground-truth", "GT_IMG_{}.mat")):
        (target / "test_data" / part).mkdir(parents=True)
        for k in range(1, TESTED + 1):
            file = f"test_data/{part}/{pattern.format(k)}"
            (target / file).symlink_to(data / file)
    return target


def run(words: str, folder: Path) -> dict[str, object]:
    """Run one command of dotcount and return it with its time and its last lines."""
    print(f"dotcount {words}", flush=True)
    started = time.monotonic()
    program = str(Path(sys.executable).with_name("dotcount"))
    done = subprocess.run([program, *words.split()], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"exit {done.returncode}: {done.stderr}")
    print(done.stdout, flush=True)
    said = [line for line in done.stdout.splitlines() if line.startswith("trained")]
    return {"command": f"dotcount {words}", "seconds": round(time.monotonic() - started), "said": said}


def history(run: Path) -> dict[str, float]:
    """Return the losses of the first and the last epoch."""
    lines = [line.split(",") for line in (run / "metrics.csv").read_text(encoding="utf-8").splitlines()]
    rows = [dict(zip(lines[0], line)) for line in lines[1:]]
    return {f"{when}_{key}": float(row[key]) for when, row in (("first", rows[0]), ("last", rows[-1])) for key in KEYS}


KEYS = ("epoch", "train_loss")

if __name__ == "__main__":
    main()
