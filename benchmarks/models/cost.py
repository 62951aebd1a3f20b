"""Measure what each model costs: parameters, multiply-adds, and CPU time per megapixel; write JSON and the docs' table.

python benchmarks/models/cost.py            measure, write benchmarks/results/models.json and docs/reference/models.md
python benchmarks/models/cost.py --table    only write the table again from the JSON
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dotcount.models import create

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "models.json"
PAGE = ROOT / "docs" / "reference" / "models.md"
BEGIN, END = "<!-- table: written by benchmarks/models/cost.py -->", "<!-- end of table -->"
MODELS: tuple[tuple[str, dict[str, object]], ...] = (
    ("compact", {"stride": 2}),
    ("compact", {}),
    ("compact", {"stride": 8}),
    ("mcnn", {}),
    ("lite0", {}),
    ("lite0", {"stride": 8}),
    ("lite1", {}),
    ("lite2", {}),
    ("timm/mobilenetv3_small_100", {}),
    ("timm/resnet18", {}),
    ("timm/convnext_atto", {}),
    ("decidenet", {}),
    ("sanet", {}),
    ("densenet63", {}),
    ("cl_cnn", {}),
    ("resnet74", {}),
    ("csrnet", {}),
    ("scar", {}),
    ("can", {}),
    ("mbttbf", {}),
    ("cg_drcn", {}),
    ("asnet", {}),
    ("sfcn", {}),
    ("dssinet", {}),
    ("vgg19", {}),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="write the table from the JSON without measuring")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of each kind, of which the fastest counts")
    options = parser.parse_args()
    if not options.table:
        torch.set_num_threads(1)
        rows = [measure(name, model_options, options.repeats) for name, model_options in MODELS]
        machine = {"cpu": cpu_name(), "torch": torch.__version__}
        write(RESULTS, json.dumps({"machine": machine, "models": rows}, indent=2) + "\n")
    write_table(json.loads(RESULTS.read_text()))


def measure(name: str, options: dict[str, object], repeats: int) -> dict[str, object]:
    """Return the cost of one model; times are of one 256 x 256 image."""
    torch.manual_seed(0)
    model = create(name, **options)
    image = torch.rand(1, 3, 256, 256)
    megapixels = 256 * 256 / 1e6

    def infer() -> None:
        with torch.inference_mode():
            model.eval()(image)

    def step() -> None:
        model.zero_grad(set_to_none=True)
        model.train()(image).sum().backward()

    row: dict[str, object] = {
        "model": name,
        "options": options,
        "stride": model.stride,
        "receptive_radius_px": model.receptive_radius,
        "parameters": sum(p.numel() for p in model.parameters()),
        "gmacs_per_megapixel": round(multiply_adds(model) / megapixels / 1e9, 2),
        "forward_cpu_seconds_per_megapixel": round(cpu_seconds(infer, repeats) / megapixels, 3),
        "step_cpu_seconds_per_megapixel": round(cpu_seconds(step, repeats) / megapixels, 3),
    }
    print(row, flush=True)
    return row


def multiply_adds(model: nn.Module) -> float:
    """Return multiply-adds of convolutions and products on a 256 x 256 image, counted without computing them."""
    with FlopCounterMode(display=False) as counter:
        copy.deepcopy(model).eval().to("meta")(torch.rand(1, 3, 256, 256, device="meta"))
    return counter.get_total_flops() / 2


def cpu_seconds(run: Callable[[], None], repeats: int) -> float:
    """Return the least CPU time of ``repeats`` runs after one that warms up.

    CPU time of a single thread, not wall time: it hardly depends on what else the machine is doing.
    """
    run()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return min(times)


def cpu_name() -> str:
    """Return the processor's name as Linux knows it."""
    info = Path("/proc/cpuinfo")
    names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores"


def table(results: dict) -> str:
    """Return the Markdown table of the results."""
    lines = [
        "| model | options | stride | context (px) | parameters | G multiply-adds / Mpx | forward, CPU s/Mpx "
        "| forward + backward, CPU s/Mpx |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for row in results["models"]:
        options = ", ".join(f"{key}={value}" for key, value in row["options"].items()) or "defaults"
        context = row["receptive_radius_px"] or "not bounded"
        lines.append(
            f"| `{row['model']}` | {options} | {row['stride']} | {context} | {row['parameters']:,} "
            f"| {row['gmacs_per_megapixel']:.1f} | {row['forward_cpu_seconds_per_megapixel']:.2f} "
            f"| {row['step_cpu_seconds_per_megapixel']:.2f} |"
        )
    machine = results["machine"]
    lines += [
        "",
        f"Measured on {machine['cpu']}, one thread, a 256 x 256 px image, PyTorch {machine['torch']}, "
        "float32; CPU time, which other work on the machine hardly changes.",
    ]
    return "\n".join(lines)


def write_table(results: dict) -> None:
    """Put the table between the two markers of the page."""
    text = PAGE.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    write(PAGE, f"{before}{BEGIN}\n{table(results)}\n{END}{after}")


def write(path: Path, text: str) -> None:
    """Write the file under a temporary name and rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text)
    temporary.replace(path)


if __name__ == "__main__":
    main()
