"""Train a counter with several losses on a device, each for the same number of steps, in ten minutes altogether.

    python -m benchmarks.device.pack shanghaitech_b:PATH --out shb.zip       where the data are
    python -m benchmarks.device.train shb.zip --out OUT [--minutes 9]        on the machine with the device
    python -m benchmarks.device.score OUT shanghaitech_b:PATH                where the data are

Images are decoded once and kept on the device as bytes; crops are cut, scaled, mirrored and recoloured there
(``benchmarks.device.images``). All contestants see the same crops in the same order with the same schedule and the
same clip; only loss and learning rate differ. The number of steps is the one that lets all of them fit into the time,
measured first. A contestant whose time is nearly up before its steps, on a machine that got slower, cools down early:
the schedule follows the larger of its shares of steps and time.

Whole held-out images are counted with the averaged weights every so often; the weights with the lowest error are kept,
and the last ones. OUT/train.json holds plan and logs, OUT/NAME.pt the weights in half precision, written whenever they
got better. Run again, it goes on with the contestants that are not finished; what was kept of one that was cut off
becomes NAME.earlier.pt.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import platform
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.device.images import Crops, Images, count_held_out, read
from benchmarks.device.record import name as device_name
from benchmarks.machine import machine
from dotcount import losses, models
from dotcount.clipping import QuantileClip
from dotcount.devices import choose_device
from dotcount.files import replacing, write_text

CONTESTANTS: dict[str, tuple[str, dict[str, Any], float]] = {
    "l2": ("gaussian_l2", {"sigma": 8.0}, 1e-4),
    "bayesian": ("bayesian", {"sigma": 8.0, "background_ratio": 4.0, "short_side": 768.0}, 5e-4),
    "uot_paper": ("uot", {}, 5e-4),
    "uot_calibrated": ("uot", {"rho": (1.0, "inf"), "length_scale": 64.0}, 1e-4),
}
"""Name -> loss, its options, learning rate: those with the lowest held-out error in the fair comparison.

The last counts an object seen with probability p as p.
"""

LENGTHS = ("sigma", "length_scale", "short_side")
"""Options that are lengths, px of the images in their files; they grow with the images."""

MIN_SIDE = 1088
"""Shorter side to which images are enlarged, px, as in the published recipe of ShanghaiTech B."""

QUANTILE, DECAY, WEIGHT_DECAY = 0.9, 0.999, 0.01
WARMUP, COOLDOWN = 100, 0.3
"""Steps of the ascent of the learning rate, and the share of the run in which it descends to zero."""

MAGNIFY = (1.0, 1.15, 1.3, 1.5)
"""Sizes at which the held-out images are counted at the end."""

VALIDATE, SPARE = 0.02, 0.06
"""Shares of the time: of all validations together, and what is left for a machine that gets slower."""

WARM, MEASURED = 12, 20
"""Steps that are not timed, while kernels are loaded and chosen, and those that are."""

LARGEST_ERROR = 0.05
"""Relative error of a gradient by recorded kernels up to which it is one of bfloat16."""

REHEARSALS = 3 + sum(factor**2 for factor in MAGNIFY)
"""How many validations the end of a contestant takes, about."""


class Trainer:
    """A network, its loss and optimiser; nothing in a step but the loss makes the host wait for the device."""

    def __init__(self, name: str, plan: dict[str, Any], images: Images) -> None:
        loss_name, options, self.rate = settings(name, plan, images)
        device = images.pixels.device
        torch.manual_seed(plan["seed"])
        model: Any = models.create(plan["model"], **plan["options"])
        if images.encoder is not None:
            model.encoder.load_state_dict(images.encoder)
        model.initialize_density(images.dots_per_pixel() * model.stride**2)
        if plan["frozen_levels"]:
            model.freeze(plan["frozen_levels"])
        self.model = model.to(device, memory_format=torch.channels_last).train()
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False)
        if loss_name == "uot":
            options = options | {"n_dots": sum(map(len, images.ids))}
        self.loss = losses.create(loss_name, **options).to(device)
        self.weights = [p for p in self.model.parameters() if p.requires_grad]
        self.pairs = [
            (a, p) for a, p in zip(self.average.parameters(), self.model.parameters(), strict=True) if p.requires_grad
        ]
        self.optimizer = torch.optim.AdamW(
            self.weights, lr=self.rate, weight_decay=WEIGHT_DECAY, fused=device.type in ("cuda", "cpu")
        )
        self.clip = QuantileClip(QUANTILE).to(device)
        self.mixed, self.steps = device.type == "cuda" and plan["precision"] == "bf16", 0
        self.sums, self.terms = torch.zeros(3, device=device), dict[str, float]()
        self.network: Any = self.model
        if plan["compile"]:
            self.network = torch.compile(self.model)
        elif plan["graphs"] and device.type == "cuda":
            self.network = self.captured(plan["batch"], plan["crop"])

    def captured(self, batch: int, size: int) -> Any:
        """Return the network as two recorded graphs, forward and backward; as it is where that fails or errs."""
        try:
            with torch.autocast("cuda", torch.bfloat16, enabled=self.mixed, cache_enabled=False):
                network = torch.cuda.make_graphed_callables(
                    copy.copy(self.model), (self.sample(batch, size),), allow_unused_input=True
                )
            crops = self.sample(batch, size)
            right, found = self.gradient(self.model, crops), self.gradient(network, crops)
            error = float((found - right).norm() / right.norm())
            if not error <= LARGEST_ERROR:
                raise ValueError(f"the gradient is off by {error:.2g}")
            print(f"graphs: the gradient is off by {error:.2g}", flush=True)
            return network
        except Exception as error:  # the plain way is slower and always there
            warnings.warn(f"no graphs: {error}", RuntimeWarning, stacklevel=2)
            return self.model

    def sample(self, batch: int, size: int) -> torch.Tensor:
        """Return noise in the place of crops."""
        noise = torch.rand(batch, 3, size, size, device=self.sums.device)
        return noise.contiguous(memory_format=torch.channels_last)

    def gradient(self, network: Any, crops: torch.Tensor) -> torch.Tensor:
        """Return the gradient of the count of crops by all weights, flat."""
        self.optimizer.zero_grad(set_to_none=True)
        cached = network is self.model
        with torch.autocast(crops.device.type, torch.bfloat16, enabled=self.mixed, cache_enabled=cached):
            density = network(crops)
        density.float().sum().backward()
        found = torch.cat([p.grad.flatten().float().clone() for p in self.weights if p.grad is not None])
        self.optimizer.zero_grad(set_to_none=True)
        return found

    def step(self, crops: torch.Tensor, points: list[torch.Tensor], keys: list[torch.Tensor], factor: float) -> None:
        """Take a step with ``factor`` times the learning rate."""
        self.optimizer.param_groups[0]["lr"] = self.rate * factor
        kind, cached = crops.device.type, self.network is self.model
        with torch.autocast(kind, torch.bfloat16, enabled=self.mixed, cache_enabled=cached):
            density = self.network(crops)
        result = self.loss(density.float(), points, stride=self.model.stride, keys=keys)
        total = result.total
        for key, value in result.terms.items():
            self.terms[key] = self.terms.get(key, 0.0) + value
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        gradients = [p.grad for p in self.weights if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients, foreach=True)
        bound = self.clip.limit()
        torch._foreach_mul_(gradients, (bound / (norm + 1e-6)).clamp(max=1.0).to(norm.dtype))
        self.clip.add(norm)
        self.optimizer.step()
        share = 1 - min(DECAY, (1 + self.steps) / (10 + self.steps))
        averages, currents = ([pair[k] for pair in self.pairs] for k in (0, 1))
        with torch.no_grad():
            torch._foreach_lerp_(averages, currents, share)
        self.sums += torch.stack([total.detach().float(), norm.float(), (norm > bound).float()])
        self.steps += 1

    def means(self, number: int) -> dict[str, float]:
        """Return loss, gradient norm, share of clipped steps and terms since the last call, ``number`` steps ago."""
        sums = dict(zip(("loss", "grad_norm", "clipped"), self.sums.tolist())) | self.terms
        self.sums.zero_()
        self.terms = {}
        return {key: round(value / number, 6) for key, value in sums.items()}


def settings(name: str, plan: dict[str, Any], images: Images) -> tuple[str, dict[str, Any], float]:
    """Return loss, options and rate of a contestant, with lengths at the size at which images are counted."""
    loss, options, rate = CONTESTANTS[name]
    larger = sum(images.enlargement(k) for k in images.train) / len(images.train)
    options = {key: round(value * larger, 3) if key in LENGTHS else value for key, value in options.items()}
    return loss, options, plan["rates"].get(name, rate)


def factor(step: int, steps: int, progress: float) -> float:
    """Return what the learning rate is multiplied with: a ramp, a plateau, and a line down to zero at progress 1."""
    warm = min(1.0, (step + 1) / max(1, min(WARMUP, steps // 10)))
    return warm * min(1.0, max(0.0, 1 - progress) / COOLDOWN)


@dataclass
class Keeper:
    """The weights of one contestant on disk: the ones with the lowest error so far, and the last."""

    path: Path
    best: dict[str, torch.Tensor] | None = None
    error: float = math.inf

    def offer(self, error: float, model: Any) -> bool:
        """Keep the weights if their error is the lowest so far, or nothing was kept."""
        if self.best is not None and not error < self.error:
            return False
        self.best, self.error = halved(model), error if math.isfinite(error) else math.inf
        self.write({"best": self.best})
        return True

    def write(self, content: dict[str, Any]) -> None:
        """Write the file under a temporary name and rename it."""
        with replacing(self.path) as temporary:
            torch.save(content, temporary)


def halved(model: Any) -> dict[str, torch.Tensor]:
    """Return the weights on the CPU in half precision, those that it can't hold as they are."""
    out = {}
    for key, value in model.state_dict().items():
        small = value.detach().half() if value.is_floating_point() else value.detach()
        out[key] = (small if bool(torch.isfinite(small).all()) else value.detach()).cpu().clone()
    return out


def fit(
    name: str,
    plan: dict[str, Any],
    images: Images,
    limit: float,
    keeper: Keeper,
    note: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """Train a contestant within ``limit`` seconds and return what is to be known of it; ``note`` hears of it before."""
    loss, options, rate = settings(name, plan, images)
    steps, began = plan["steps"], time.monotonic()
    out: dict[str, Any] = {"loss": loss, "options": options, "learning_rate": rate, "finished": False}
    out |= {"limit_seconds": round(limit, 1), "log": [], "validations": []}
    trainer = Trainer(name, plan, images)
    crops = iter(Crops(images, plan["batch"], plan["crop"], plan["seed"]))
    validated, step, logged, progress = plan["validate_every"], 0, 0, 0.0
    cooling_by = None
    while progress < 1:
        trainer.step(*next(crops), factor(step, steps, progress))
        step += 1
        by_time = (time.monotonic() - began) / limit
        progress = max(step / steps, by_time)
        if cooling_by is None and progress > 1 - COOLDOWN:
            cooling_by = "time" if by_time > step / steps else "steps"
        ended = progress >= 1
        if step % max(1, steps // 10) == 0 or ended:
            seconds = round(time.monotonic() - began, 1)
            out["log"].append({"step": step} | trainer.means(step - logged) | {"seconds": seconds})
            logged = step
        if step % validated == 0 or ended:
            found = count_held_out(trainer.average, images, mixed=trainer.mixed)
            kept = keeper.offer(found["mae"], trainer.average)
            out["validations"].append({"step": step} | found)
            if kept:
                out["selected"] = out["validations"][-1]
            note(out | {"steps": step, "seconds": round(time.monotonic() - began, 1)})
    out |= {
        "steps": step,
        "planned": steps,
        "cooled_down_by": cooling_by,
        "ended_by": "steps" if step >= steps else "time",
    }
    keeper.write({"best": keeper.best, "last": halved(trainer.average)})
    trainer.average.load_state_dict(keeper.best)
    out["trials"] = [
        {"magnify": size} | count_held_out(trainer.average, images, size, mixed=trainer.mixed) for size in MAGNIFY
    ]
    gigapixels = round(step * plan["batch"] * plan["crop"] ** 2 / 1e9, 3)
    return out | {"gigapixels": gigapixels, "seconds": round(time.monotonic() - began, 1), "finished": True}


def pace(name: str, plan: dict[str, Any], images: Images, warm: int = WARM, measured: int = MEASURED) -> float:
    """Return the seconds of a step, on a network that is thrown away."""
    trainer, crops = Trainer(name, plan, images), iter(Crops(images, plan["batch"], plan["crop"], plan["seed"]))
    began = 0.0
    for step in range(warm + measured):
        if step == warm:
            wait(images)
            began = time.monotonic()
        trainer.step(*next(crops), factor(step, 1000, 0.0))
    wait(images)
    return (time.monotonic() - began) / measured


def wait(images: Images) -> None:
    """Wait until the device is done."""
    if images.pixels.device.type == "cuda":
        torch.cuda.synchronize()


def make_plan(options: argparse.Namespace, images: Images, names: Iterable[str], seconds: float) -> dict[str, Any]:
    """Return what all contestants have in common; steps are as many as fit into ``seconds`` from now on."""
    began, device, names = time.monotonic(), images.pixels.device, list(names)
    plan: dict[str, Any] = {key: getattr(options, key) for key in ("seed", "batch", "crop", "model", "min_side")}
    plan |= {key: getattr(options, key) for key in ("frozen_levels", "precision", "compile", "graphs")}
    plan |= {"options": {} if options.width is None else {"width": options.width}, "rates": rates(options.rates)}
    plan |= {"device": device_name(device), "machine": machine(), "torch": torch.__version__}
    plan |= {"python": platform.python_version(), "data": images.about, "minutes": options.minutes}
    plan |= {"clip_quantile": QUANTILE, "average": DECAY, "warmup": WARMUP, "cooldown": COOLDOWN}
    plan |= {"train_images": len(images.train), "train_dots": sum(len(images.dots[k]) for k in images.train)}
    model = Trainer(names[0], plan, images).average
    for _ in range(2):  # the first loads kernels
        started = time.monotonic()
        count_held_out(model, images, mixed=plan["precision"] == "bf16")
        validation = time.monotonic() - started
    del model
    paces = {} if options.steps else {name: pace(name, plan, images) for name in names}
    steps, total = options.steps, sum(paces.values())
    if steps is None:
        left = seconds - (time.monotonic() - began) - len(names) * REHEARSALS * validation
        steps = max(10, int((1 - SPARE - VALIDATE) * left / total))
    # Validations take their share of the time, but there are a few in any case.
    number = int(VALIDATE * steps * total / len(names) / validation) if paces else 10
    plan |= {"steps": steps, "validate_every": math.ceil(steps / min(max(number, 4), 40))}
    plan |= {"step_seconds": paces, "validation_seconds": validation}
    return plan | {"gigapixels_each": round(steps * plan["batch"] * plan["crop"] ** 2 / 1e9, 3)}


def rates(text: str) -> dict[str, float]:
    """Return the rates that replace those of the contestants, from ``NAME=RATE,...``."""
    found = {one.split("=")[0]: float(one.split("=")[1]) for one in text.split(",") if one}
    unknown = set(found) - set(CONTESTANTS)
    if unknown:
        raise SystemExit(f"no such contestant: {', '.join(sorted(unknown))}")
    return found


def share(name: str, left: list[str], plan: dict[str, Any], seconds: float) -> float:
    """Return the seconds of ``seconds`` that one of the contestants that are left may train for."""
    paces = plan["step_seconds"]
    usual = sum(paces.values()) / len(paces) if paces else 1.0
    part = paces.get(name, usual) / sum(paces.get(one, usual) for one in left)
    return max(1.0, seconds * part - REHEARSALS * plan["validation_seconds"])


def parse(words: list[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pack", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--minutes", type=float, default=9.0, help="from start to end, everything included")
    parser.add_argument("--only", default=",".join(CONTESTANTS), help="contestants, in this order")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--crop", type=int, default=384)
    parser.add_argument("--rates", default="", help="other learning rates, NAME=RATE,...")
    parser.add_argument("--min-side", type=int, default=MIN_SIDE, help="0: images as large as they are")
    parser.add_argument("--frozen-levels", type=int, default=0, help="levels of the encoder that stay as they are")
    parser.add_argument("--precision", choices=("bf16", "32"), default="bf16", help="of the network, on a GPU")
    parser.add_argument("--compile", action="store_true", help="compile the network; takes a minute")
    parser.add_argument("--graphs", action="store_true", help="record the network's kernels once and replay them")
    parser.add_argument("--model", default="lite0")
    parser.add_argument("--width", type=int, default=None, help="option width of the model, for a test")
    parser.add_argument("--steps", type=int, default=None, help="instead of what fits into the time")
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> None:
    """Train the contestants that OUT lacks."""
    options, began = parse(words), time.monotonic()
    names = [name for name in options.only.split(",") if name]
    unknown = set(names) - set(CONTESTANTS)
    if unknown:
        raise SystemExit(f"no such contestant: {', '.join(sorted(unknown))}; there are {', '.join(CONTESTANTS)}")
    device = choose_device(options.device)
    torch.backends.cudnn.benchmark = True
    images = read(options.pack, device, options.min_side)
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "train.json"
    content: dict[str, Any] = {"plan": None, "contestants": {}}
    if file.is_file():
        content = json.loads(file.read_text(encoding="utf-8"))
    done = {name for name, one in content["contestants"].items() if one["finished"]}
    left = [name for name in names if name not in done]
    if content["plan"] is None and left:
        content["plan"] = make_plan(options, images, left, 60 * options.minutes - (time.monotonic() - began))
        write(file, content)
        print({key: content["plan"][key] for key in ("steps", "validate_every", "step_seconds")}, flush=True)
    while left:
        name = left[0]
        seconds = 60 * options.minutes - (time.monotonic() - began)
        keeper = Keeper(options.out / f"{name}.pt")
        if keeper.path.is_file():
            keeper.path.replace(options.out / f"{name}.earlier.pt")

        def note(found: dict[str, Any], name: str = name) -> None:
            content["contestants"][name] = found
            write(file, content)

        try:
            note(fit(name, content["plan"], images, share(name, left, content["plan"], seconds), keeper, note))
        except Exception as error:  # the others are worth having all the same
            known = content["contestants"].get(name, {"finished": False})
            note(known | {"error": f"{type(error).__name__}: {error}"[:500]})
        found = content["contestants"][name]
        print(name, found.get("selected"), found.get("error", ""), f"{found.get('seconds')} s", flush=True)
        left = left[1:]


def write(path: Path, content: dict[str, Any]) -> None:
    """Write JSON under a temporary name and rename it."""
    write_text(path, json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what is on disk by then is whole
    main()
