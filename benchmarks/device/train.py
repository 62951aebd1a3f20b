"""Train a counter with several losses on a device, each for the same number of steps, in ten minutes altogether.

    python -m benchmarks.device.pack shanghaitech_b:PATH --out shb.zip       where the data are
    python -m benchmarks.device.train shb.zip --out OUT [--minutes 9]        on the machine with the device
    python -m benchmarks.device.score OUT shanghaitech_b:PATH                where the data are

Images are decoded once and kept on the device as bytes; crops are cut, scaled and flipped there. All contestants see
the same crops in the same order with the same schedule; only loss and learning rate differ. The number of steps is
that which the slowest can take in its share of the time, measured first. OUT gets a model folder and a log for each;
run again, finished ones are kept.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from benchmarks.device.record import name as device_name
from dotcount import losses, models
from dotcount.devices import choose_device
from dotcount.metadata import LossFacts, ModelMetadata, TrainingFacts
from dotcount.models import io as model_io

CONTESTANTS: dict[str, tuple[str, dict[str, Any], float]] = {
    "l2": ("gaussian_l2", {"sigma": 4.0}, 3e-4),
    "bayesian": ("bayesian", {"background_ratio": 4.0}, 1e-3),
    "uot_paper": ("uot", {}, 1e-3),
    "uot_calibrated": ("uot", {"rho": (1.0, "inf")}, 1e-3),
}
"""Name -> loss, its options, learning rate. The last counts an object seen with probability p as p."""

SCALES = (0.75, 1.33)


@dataclass(frozen=True)
class Images:
    """The training set on the device."""

    pixels: list[torch.Tensor]
    points: list[torch.Tensor]
    about: dict[str, Any]
    encoder: dict[str, torch.Tensor] | None


def read(path: Path, device: torch.device) -> Images:
    """Return what ``pack`` wrote: images as bytes (3, H, W), dots (m, 2), both on the device."""
    with zipfile.ZipFile(path) as archive:
        about = json.loads(archive.read("about.json"))
        names = sorted(one for one in archive.namelist() if one.endswith(".jpg"))
        arrays = [np.array(Image.open(io.BytesIO(archive.read(one))).convert("RGB")) for one in names]
        encoder = None
        if "encoder.pth" in archive.namelist():
            stored = torch.load(io.BytesIO(archive.read("encoder.pth")), weights_only=True)
            encoder = {k: v.float() if v.is_floating_point() else v for k, v in stored.items()}
    pixels = [torch.from_numpy(one).permute(2, 0, 1).contiguous().to(device) for one in arrays]
    points = [torch.tensor(xy, dtype=torch.float32).reshape(-1, 2).to(device) for xy in about.pop("dots")]
    return Images(pixels, points, about, encoder)


def crops(
    images: Images, batch: int, size: int, generator: np.random.Generator
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Return a batch of crops (B, 3, size, size) in [0, 1] with their dots; scaled and mirrored by chance."""
    cut, dots = [], []
    for _ in range(batch):
        k = int(generator.integers(len(images.pixels)))
        image, xy = images.pixels[k], images.points[k]
        height, width = image.shape[1:]
        least = max(SCALES[0], size / min(height, width))
        scale = max(least, math.exp(generator.uniform(*np.log(SCALES))))
        side = min(round(size / scale), height, width)
        x = int(generator.integers(width - side + 1))
        y = int(generator.integers(height - side + 1))
        part = image[:, y : y + side, x : x + side].float()[None] / 255
        if side != size:
            part = F.interpolate(part, size=(size, size), mode="bilinear", align_corners=False, antialias=side > size)
        inside = ((xy >= xy.new_tensor([x, y])) & (xy < xy.new_tensor([x + side, y + side]))).all(dim=1)
        moved = (xy[inside] - xy.new_tensor([x, y])) * (size / side)
        if generator.random() < 0.5:
            part, moved = part.flip(-1), torch.stack([size - moved[:, 0], moved[:, 1]], dim=1)
        brightness, contrast = generator.uniform(0.8, 1.2, 2)
        cut.append(((part * brightness - 0.5) * contrast + 0.5).clamp(0, 1)[0])
        dots.append(moved)
    return torch.stack(cut), dots


def build(name: str, options: dict[str, Any], images: Images, device: torch.device) -> Any:
    """Return the network at its start: the encoder that was packed, and as many objects as there are on average."""
    torch.manual_seed(0)
    model: Any = models.create(name, **options)
    if images.encoder is not None:
        model.encoder.load_state_dict(images.encoder)
    cells = sum(one.shape[1] * one.shape[2] for one in images.pixels) / model.stride**2
    model.initialize_density(max(sum(map(len, images.points)), 1) / cells)
    return model.to(device, memory_format=torch.channels_last).train()


def fit(
    model: Any, loss: Any, rate: float, images: Images, steps: int, batch: int, size: int
) -> list[dict[str, float]]:
    """Train in place; return the log: mean loss and norm of the gradient before clipping, by tenths of the steps."""
    device = next(model.parameters()).device
    generator, autocast = np.random.default_rng(0), device.type == "cuda"
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    log, sums, began = [], [0.0, 0.0, 0], time.monotonic()
    for step in range(steps):
        warm = min(1.0, (step + 1) / max(1, min(100, steps // 10)))
        optimizer.param_groups[0]["lr"] = rate * warm * 0.5 * (1 + math.cos(math.pi * step / steps))
        pixels, points = crops(images, batch, size, generator)
        with torch.autocast(device.type, torch.bfloat16, enabled=autocast):
            density = model(pixels.contiguous(memory_format=torch.channels_last))
        total = loss(density.float(), points, stride=model.stride).total
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        norm = torch.nn.utils.clip_grad_norm_(
            model.parameters(), float("inf")
        )  # only measured: a clip bites some losses
        optimizer.step()
        sums = [sums[0] + float(total.detach()), sums[1] + float(norm), sums[2] + 1]
        if (step + 1) % max(1, steps // 10) == 0:
            loss_mean, norm_mean = sums[0] / sums[2], sums[1] / sums[2]
            seconds = round(time.monotonic() - began, 1)
            log.append({"step": step + 1, "loss": loss_mean, "grad_norm": norm_mean, "seconds": seconds})
            sums = [0.0, 0.0, 0]
    return log


def pace(model: Any, loss: Any, images: Images, batch: int, size: int, steps: int = 6) -> float:
    """Return the seconds of a step, on a model that is thrown away."""
    fit(model, loss, 1e-4, images, 2, batch, size)
    began = time.monotonic()
    fit(model, loss, 1e-4, images, steps, batch, size)
    return (time.monotonic() - began) / steps


def main(words: list[str] | None = None) -> None:
    """Train the contestants that OUT lacks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pack", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--crop", type=int, default=384)
    parser.add_argument("--model", default="lite0")
    parser.add_argument("--width", type=int, default=None, help="option width of the model, for a test")
    parser.add_argument("--steps", type=int, default=None, help="instead of what fits into the time")
    options = parser.parse_args(words)
    device, began = choose_device(options.device), time.monotonic()
    images = read(options.pack, device)
    model_options: dict[str, Any] = {} if options.width is None else {"width": options.width}
    plan_file = options.out / "plan.json"
    if plan_file.is_file():
        plan = json.loads(plan_file.read_text(encoding="utf-8"))
    else:
        steps = options.steps
        if steps is None:
            slowest = 0.0
            for name, more, _ in CONTESTANTS.values():
                model = build(options.model, model_options, images, device)
                slowest = max(slowest, pace(model, losses.create(name, **more), images, options.batch, options.crop))
            left = 60 * options.minutes - (time.monotonic() - began)
            steps = max(10, int(0.93 * left / len(CONTESTANTS) / slowest))
        plan = {"steps": steps, "batch": options.batch, "crop": options.crop, "model": options.model}
        plan |= {"options": model_options, "device": device_name(device), "torch": torch.__version__}
        plan |= {"gigapixels_each": round(steps * options.batch * options.crop**2 / 1e9, 3), "data": images.about}
        write(plan_file, plan)
    for name in CONTESTANTS:
        if not (options.out / f"{name}.json").is_file():
            contest(name, plan, images, device, options.out)


def contest(name: str, plan: dict[str, Any], images: Images, device: torch.device, out: Path) -> None:
    """Train one contestant and write its model folder and log."""
    loss_name, loss_options, rate = CONTESTANTS[name]
    model = build(plan["model"], plan["options"], images, device)
    log = fit(model, losses.create(loss_name, **loss_options), rate, images, plan["steps"], plan["batch"], plan["crop"])
    facts = TrainingFacts(
        data=plan["data"]["data"],
        images=len(images.pixels),
        dots=sum(map(len, images.points)),
        crop=plan["crop"],
        steps=plan["steps"],
        pretrained=images.encoder is not None,
        loss=LossFacts(loss_name, loss_options),
    )
    model_io.save(
        model.cpu(), out / name, ModelMetadata(plan["model"], int(model.stride), plan["options"], training=facts)
    )
    write(out / f"{name}.json", {"loss": loss_name, "options": loss_options, "learning_rate": rate, "log": log})
    print(name, log[-1], flush=True)


def write(path: Path, content: dict[str, Any]) -> None:
    """Write JSON under a temporary name and rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)


if __name__ == "__main__":
    main()
