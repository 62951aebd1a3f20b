"""Time a training step of lite0 with the gradients of dotcount.models.depthwise and with PyTorch's own, in turns.

python -m benchmarks.models.depthwise [--threads 2]     writes benchmarks/results/depthwise.json
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import time
from pathlib import Path

import torch
from torch import nn

from benchmarks.machine import machine
from dotcount.files import write_text
from dotcount.models import create
from dotcount.models.depthwise import DepthwiseConv2d

RESULTS = Path(__file__).resolve().parents[1] / "results" / "depthwise.json"
BATCHES = ((8, 256), (2, 512), (16, 128))


def main() -> None:
    """Time every batch in float32 and bfloat16."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=12, help="steps of each kind")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    ours = create("lite0", pretrained=False)
    ours.freeze(1)
    ours = ours.to(memory_format=torch.channels_last)
    plain = copy.deepcopy(ours)
    for module in plain.modules():
        if isinstance(module, DepthwiseConv2d):
            module._conv_forward = nn.Conv2d._conv_forward.__get__(module)  # type: ignore[method-assign]
    rows = []
    for number, size in BATCHES:
        images = torch.rand(number, 3, size, size).to(memory_format=torch.channels_last)
        seconds: dict[tuple[bool, bool], list[float]] = {}
        for _ in range(args.repeats):
            for mixed in (False, True):
                for here, network in ((False, plain), (True, ours)):
                    seconds.setdefault((mixed, here), []).append(step(network, images, mixed))
        first = statistics.median(seconds[False, False])
        for mixed in (False, True):
            before, after = (seconds[mixed, here] for here in (False, True))
            rows.append(
                {
                    "crops": number,
                    "px": size,
                    "precision": "bf16" if mixed else "32",
                    "pytorch_ms": [round(1e3 * f(before), 1) for f in (min, statistics.median, max)],
                    "ours_ms": [round(1e3 * f(after), 1) for f in (min, statistics.median, max)],
                    "ours_of_pytorch": round(statistics.median(after) / statistics.median(before), 3),
                    "ours_of_pytorch_in_float32": round(statistics.median(after) / first, 3),
                }
            )
            print(rows[-1], flush=True)
    record = {
        "what": "one forward and backward pass of lite0, frozen_levels 1; least, median, largest ms",
        "machine": machine(),
        "threads": args.threads,
        "torch": torch.__version__,
        "repeats": args.repeats,
        "steps": rows,
    }
    write_text(RESULTS, json.dumps(record, indent=1) + "\n")


def step(network: nn.Module, images: torch.Tensor, mixed: bool) -> float:
    """Return the seconds of a forward and a backward pass."""
    network.zero_grad()
    started = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        density = network(images)
    density.float().square().mean().backward()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
