"""Check and time a device in under nine minutes.

    python -m benchmarks.device [--device cuda] [--tiny]

Writes JSON item by item (``--out``); run again, it goes on where it was cut off. ``--tiny`` is the same in a minute,
on a CPU as well, with the solver on tensor operations as on a GPU.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks.device import correctness, speed
from benchmarks.device.record import Record
from dotcount.devices import choose_device
from dotcount.losses import LOSSES

ROOT = Path(__file__).parents[2]


def main(words: list[str] | None = None) -> int:
    """Run what is missing; 0 unless something failed or is not as exact as it must be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--tiny", action="store_true", help="small sizes, for a test")
    parser.add_argument("--minutes", type=float, default=8.5, help="begin nothing new after this time")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "device.json")
    options = parser.parse_args(words)
    device = choose_device(options.device)
    record = Record(options.out, device, options.tiny, options.minutes)
    check_transport(record, device, options.tiny)
    time_all(record, device, options.tiny)
    check_networks(record, device, options.tiny)
    problems = faults(record.content)
    print(*problems, sep="\n")
    return 1 if problems else 0


def check_transport(record: Record, device: torch.device, tiny: bool) -> None:
    """Compare losses and certificates of the device with float64 on the CPU."""
    side, dots = (16, (5, 0)) if tiny else (64, (400, 0, 37))
    with speed.tensors():
        for name in LOSSES:
            record.item("losses", name, lambda name=name: correctness.loss(name, device, side, dots))
        record.item("certificates", "all", lambda: correctness.certificate(device, side, dots * (1 if tiny else 4)))


def check_networks(record: Record, device: torch.device, tiny: bool) -> None:
    """Compare networks and steps of the device with float32 on the CPU; on a GPU run the tests that need one."""
    for name in ("compact",) if tiny else ("compact", "lite0", "vgg19"):
        record.item("networks", name, lambda name=name: correctness.network(name, device, 64 if tiny else 256))
    with speed.tensors():
        record.item("mixed", "compact", lambda: correctness.mixed_step(device, 64))
        if device.type == "cuda":
            record.item("tests", "cuda", cuda_tests)
        record.item("compile", "compact", lambda: correctness.compiled_step(device, 64))


def cuda_tests() -> dict[str, Any]:
    """Run the tests that need a GPU in a process of their own; only files that hold such are read."""
    files = [
        str(path) for path in sorted((ROOT / "tests").rglob("test_*.py")) if "mark.cuda" in path.read_text("utf-8")
    ]
    command = [sys.executable, "-m", "pytest", "-q", "-m", "cuda", "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)
    return {"exit_code": done.returncode, "summary": (done.stdout.strip().splitlines() or [""])[-1]}


def time_all(record: Record, device: torch.device, tiny: bool) -> None:
    """Time solver, training step and prediction."""
    sizes = [(16, 10, 2)] if tiny else [(64, 1000, 16), (64, 100, 16), (128, 1000, 16), (256, 1000, 4)]
    for side, dots, batch in sizes:
        key = f"{side**2} cells, {dots} dots, batch {batch}"
        record.item("solver", key, lambda a=side, b=dots, c=batch: speed.solver(device, a, b, c, 1 if tiny else 3))
    for name in ("compact",) if tiny else ("vgg19", "lite0"):
        for batch in (1,) if tiny else (1, 8, 32):
            crop, dots = (64, 5) if tiny else (512, 200)
            run = lambda n=name, b=batch, c=crop, d=dots: speed.step(n, device, b, c, d, 1 if tiny else 3)  # noqa: E731
            record.item("steps", f"{name}, batch {batch} of {crop}", run)
    width, height = (96, 64) if tiny else (1024, 768)
    for name in ("compact",) if tiny else ("lite0", "vgg19"):
        run = lambda n=name: speed.predict(n, device, width, height, 1 if tiny else 5)  # noqa: E731
        record.item("predict", f"{name}, {width} x {height}", run)


def faults(content: dict[str, Any]) -> list[str]:
    """Return what is wrong with a record, a line each."""
    found = []
    for section, items in content.items():
        if section in ("about", "left_out"):
            continue
        for key, item in items.items():
            if "error" in item:
                found.append(f"{section}, {key}: {item['error']}")
            elif section in ("losses", "compile") and not item["gradient"] <= 1e-4:
                found.append(f"{section}, {key}: the gradient is off by {item['gradient']:.2g}")
            elif section == "certificates" and (item["violated"] or item["unconverged"]):
                found.append(
                    f"{section}, {key}: {item['violated']:.0f} violated, {item['unconverged']:.0f} unconverged"
                )
            elif section == "networks" and not (item["float32"] <= 1e-4 and item["channels_last"] <= 1e-4):
                found.append(f"{section}, {key}: the density is off by {item['float32']:.2g}")
            elif section == "mixed" and not (item["gradient"] <= 5e-2 and item["float32"]):
                found.append(f"{section}, {key}: the gradient is off by {item['gradient']:.2g}, or not float32")
            elif section == "tests" and item["exit_code"]:
                found.append(f"{section}, {key}: {item['summary']}")
    return found


if __name__ == "__main__":
    sys.exit(main())
