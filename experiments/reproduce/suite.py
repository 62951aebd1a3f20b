"""What is run: every training as data, in order of need.

A learning rate and each loss's own scale are chosen by :func:`chosen` from short trainings, on validation images only
and with the same effort for every loss: :data:`RATES` x two scales. Budgets are numbers of epochs, not minutes, so that
a run can be repeated exactly.
"""

from __future__ import annotations

import copy
import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dotcount.config import read_tree

RESULTS = Path(__file__).parents[1] / "results" / "reproduce"
RECIPES = Path(__file__).parents[2] / "src" / "dotcount" / "recipes"

DATA = {
    "vgg_cells": "vgg_cells:{data}/vgg_cells",
    "trees": "urban_trees_socal:{data}/urban_trees_socal",
    "adipocyte": "adipocyte:{data}/adipocyte",
    "shb": "shanghaitech_b:{data}/ShanghaiTech/part_B",
    "cells": "{out}/data/cells",
}
"""Short name -> DATA as ``dotcount train`` takes it; ``cells`` is drawn by ``dotcount data synth``."""

DRAWN = {"cells": {"kind": "cells", "seed": 1000, "train": 400, "val": 60, "test": 100, "size": 256, "count": (0, 250)}}
"""Data that is drawn when it is needed, with the arguments of ``write_dataset``."""

Tree = dict[str, Any]

SCALES: dict[str, dict[str, tuple[Tree, Tree]]] = {
    "gaussian_l2": {"*": ({"sigma": 4.0}, {"sigma": 8.0}), "vgg_cells": ({"sigma": 2.0}, {"sigma": 4.0})},
    "bayesian": {
        "*": ({"sigma": 4.0}, {"sigma": 8.0}),
        "vgg_cells": ({"sigma": 2.0}, {"sigma": 4.0}),
        "shb": ({"sigma": 8.0, "background": "none"}, {"sigma": 8.0, "background_ratio": 4.0, "short_side": 768.0}),
    },
    "dm_count": {"*": ({"reg": 10.0}, {"reg": 40.0}), "vgg_cells": ({"reg": 2.5}, {"reg": 10.0})},
    "uot": {"*": ({"epsilon": 0.01}, {"epsilon": 0.003})},
    "uot_dots": {"*": ({"epsilon": 0.01, "rho": [1.0, 10.0]}, {"epsilon": 0.003, "rho": [1.0, 10.0]})},
    "uot_paid": {
        "*": ({"epsilon": 0.01, "rho": [1.0, math.inf]}, {"epsilon": 0.003, "rho": [1.0, math.inf]}),
        "shb": (
            {"epsilon": 0.01, "rho": [1.0, math.inf]},
            {"epsilon": 0.01, "rho": [1.0, math.inf], "length_scale": 64.0},
        ),
    },
}
"""The two values of each loss's own scale that are tried; ``*`` where the data has no entry of its own.

``uot_dots`` is ``uot`` with dots that cost ten times as much as pixels, as in the recipes of ``best``. Of crowds the
scale of ``bayesian`` is that of its background, since the published one fails with this network (:func:`background`).
``uot_paid`` pays every dot in full; it is part of the comparison with :data:`FAIR` clips only. With it a count has no
bias for any length scale, so that on crowds one of the size of people is tried against that of the crop.
"""

RATES = {"*": (5e-4, 2e-3), "shb": (5e-4, 2e-3, 1e-4)}
"""Learning rates that are tried; of crowds a lower one was added for all losses, since 5e-4 was best for each."""

FAIR_RATES = RATES | {"shb": (5e-4, 1e-4)}
"""The same with :data:`FAIR` clips: of crowds without the rate at which the best of no loss was found."""

SEEDS = (0, 1, 2)

_LITE0: Tree = {
    "model": {"name": "lite0", "pretrained": True},
    "optimizer": {"weight_decay": 1e-4},
    "schedule": {"name": "cosine", "warmup_steps": 50},
    "training": {"calibrate": False, "workers": 0},
}
_TURNS: Tree = {"augment": {"flip_horizontal": True, "flip_vertical": True, "rotate90": True}}
# Whole images of 256 px: what holds at the edge of a crop does not hold at the edge of an image
# (docs/explanation/mass-bias.md).
_SMALL: Tree = _TURNS | {"training": {"batch_size": 2, "crop": 256, "steps_per_epoch": 100, "validate_every": 2}}

COMMON: dict[str, Tree] = {
    "vgg_cells": _SMALL | {"data": {"train_images": 50, "validation": 0.2}},
    "trees": _SMALL,
    "shb": {
        "augment": {"flip_horizontal": True, "flip_vertical": False, "rotate90": False, "scale": [0.8, 1.25]},
        "training": {"batch_size": 4, "crop": 256, "steps_per_epoch": 180, "validate_every": 3},
    },
}
"""Data -> what all losses share: augmentation, batches and the choice of the checkpoint."""

FAIR: Tree = {"model": {"frozen_levels": 1}, "optimizer": {"clip_norm": None, "clip_quantile": 0.9}}
"""A clip that bites every loss alike, at a quantile of its own norms; and less time for a step."""

EPOCHS = {"vgg_cells": (6, 24), "trees": (6, 24), "shb": (3, 42)}
"""Data -> epochs of a choosing run and of a final one."""

FAIR_EPOCHS = {"shb": (2, 6), "trees": (6, 24)}
"""The same with :data:`FAIR` clips: of crowds as many steps as an hour and a half of two cores does for all."""


@dataclass(frozen=True)
class Experiment:
    """One training, and its test unless it only chooses.

    Attributes
    ----------
    name
        Path of its record below ``experiments/results/reproduce``, without the suffix.
    data
        Key of :data:`DATA`.
    settings
        Tree of settings on top of the package's defaults.
    test
        Whether the test images are evaluated at the end.
    may_stop
        Whether a training that ends in an error (a dead or infinite density) is a result, too: its message is recorded.
    """

    name: str
    data: str
    settings: Tree = field(default_factory=dict)
    test: bool = True
    may_stop: bool = False

    @property
    def record(self) -> Path:
        """Return the file that holds the result."""
        return RESULTS / f"{self.name}.json"

    @property
    def done(self) -> bool:
        """Whether a result is there."""
        return self.record.is_file()


def merge(*trees: Tree) -> Tree:
    """Return the trees laid over one another, the last on top; with another name, options begin anew."""
    out: Tree = {}
    for tree in trees:
        for key, value in tree.items():
            below = out.get(key)
            both = isinstance(below, dict) and isinstance(value, dict)
            if both and below.get("name") != value.get("name", below.get("name")):
                below = {name: one for name, one in below.items() if name != "options"}
            out[key] = merge(below, value) if both else copy.deepcopy(value)  # type: ignore[arg-type]
    return out


def _settings(data: str, loss: str, options: Tree, rate: float, epochs: int, seed: int) -> Tree:
    tree = merge(
        _LITE0,
        COMMON[data],
        {
            "loss": {"name": loss.removesuffix("_dots").removesuffix("_paid"), "options": options},
            "optimizer": {"learning_rate": rate},
            "training": {"epochs": epochs, "seed": seed},
        },
    )
    if "train_images" in tree.get("data", {}):
        tree["data"]["split_seed"] = seed  # another draw of training images with every seed
    return tree


def losses_compared(fair: bool = False) -> list[str]:
    """Return the losses of Table 1; with fair clips that with every dot paid as well."""
    return [loss for loss in SCALES if fair or loss != "uot_paid"]


def choices(data: str, loss: str, fair: bool = False) -> list[Experiment]:
    """Return the short trainings among which the rate and the scale of ``loss`` are chosen."""
    scales, known = SCALES[loss].get(data, SCALES[loss]["*"]), FAIR_RATES if fair else RATES
    rates = known.get(data, known["*"])
    epochs, more, group = (FAIR_EPOCHS, FAIR, "choose_fair") if fair else (EPOCHS, {}, "choose")
    return [
        Experiment(
            f"{group}/{data}/{loss}-{i}{k}",
            data,
            merge(_settings(data, loss, scale, rate, epochs[data][0], 0), more),
            test=False,
            may_stop=fair,
        )
        for (i, rate), (k, scale) in itertools.product(enumerate(rates), zip("ab", scales))
    ]


def chosen(data: str, loss: str, fair: bool = False) -> tuple[Tree, float] | None:
    """Return the options and the rate of the choosing run with the lowest validation MAE; None: not all are done."""
    runs = choices(data, loss, fair)
    if not all(run.done for run in runs):
        return None
    best = min(runs, key=_error).settings
    return best["loss"]["options"], best["optimizer"]["learning_rate"]


def _error(run: Experiment) -> float:
    """Return the validation MAE of a run that is done; infinity if it stopped."""
    record = json.loads(run.record.read_text(encoding="utf-8"))
    return math.inf if "error" in record else float(record["validation"]["best"]["val_mae"])


def background(data: str = "shb") -> Iterator[Experiment]:
    """Yield choosing runs of ``bayesian`` with the published background, which empties the density at once."""
    base, (usual, *_, slow) = choices(data, "bayesian")[0].settings, RATES[data]
    published = {"sigma": 8.0, "background": "ratio", "background_ratio": 1.0, "short_side": 768.0}
    for name, output, rate in (
        ("softplus", "softplus", usual),
        ("softplus-slow", "softplus", slow),
        ("abs", "abs", usual),
    ):
        change = {
            "model": {"options": {"output": output}},
            "optimizer": {"learning_rate": rate},
            "loss": {"options": published},
        }
        yield Experiment(f"background/{data}/{name}", data, merge(base, change), test=False, may_stop=True)


def comparison(data: str, seeds: tuple[int, ...] = SEEDS, fair: bool = False) -> Iterator[Experiment]:
    """Yield Table 1 on one data set: the choosing runs, then the final ones of every loss whose choice is made."""
    for loss in losses_compared(fair):
        yield from choices(data, loss, fair)
    epochs, more, group = (FAIR_EPOCHS, FAIR, "table1_fair") if fair else (EPOCHS, {}, "table1")
    for seed in seeds:
        for loss in losses_compared(fair):
            found = chosen(data, loss, fair)
            if found is not None:
                settings = merge(_settings(data, loss, *found, epochs[data][1], seed), more)
                yield Experiment(f"{group}/{data}/{loss}-{seed}", data, settings)


NEIGHBOUR_SCALE = 1.8
"""Length scale of a dot over the distance to its neighbours: in crops of ``shb`` that of the median dot is 64 px."""


def lengths(data: str = "shb") -> Iterator[Experiment]:
    """Yield ``uot_paid`` with other length scales, as long as the chosen: the one not chosen, and one for each dot.

    The former has the best rate it had, the latter that of the chosen.
    """
    found, runs = chosen(data, "uot_paid", fair=True), choices(data, "uot_paid", fair=True)
    if found is None:
        return
    others = [run for run in runs if run.settings["loss"]["options"] != found[0]]
    best_other = min(others, key=_error)
    options, rate = best_other.settings["loss"]["options"], best_other.settings["optimizer"]["learning_rate"]
    settings = merge(_settings(data, "uot_paid", options, rate, FAIR_EPOCHS[data][1], 0), FAIR)
    yield Experiment(f"lengths/{data}/{options.get('length_scale', 256.0):g}-0", data, settings)
    options = {"epsilon": 0.01, "rho": [1.0, math.inf], "neighbour_scale": NEIGHBOUR_SCALE}
    settings = merge(_settings(data, "uot_paid", options, found[1], FAIR_EPOCHS[data][1], 0), FAIR)
    yield Experiment(f"lengths/{data}/neighbours-0", data, settings)


def table6(data: str = "vgg_cells") -> Iterator[Experiment]:
    """Yield Table 6 and the course with eps on one data set, at the rate chosen for ``uot`` and seed 0, 1, 2."""
    found = chosen(data, "uot")
    if found is None:
        return
    rate, epochs = found[1], EPOCHS[data][1] // 2
    for seed in SEEDS:
        for cost, penalty in itertools.product(("l1", "l2", "wfr"), ("kl", "quadratic")):
            options: Tree = {"cost": cost, "penalty": penalty, "epsilon": 0.01}
            if cost == "wfr":
                options["delta"] = 0.2
            yield Experiment(
                f"table6/{data}/{cost}-{penalty}-{seed}", data, _settings(data, "uot", options, rate, epochs, seed)
            )
        for epsilon in (0.1, 0.03, 0.003, 0.001):
            yield Experiment(
                f"epsilon/{data}/{epsilon}-{seed}",
                data,
                _settings(data, "uot", {"epsilon": epsilon}, rate, epochs, seed),
            )


def sampling(data: str = "shb") -> Iterator[Experiment]:
    """Yield short trainings of ``uot_dots`` whose crops come from dense places more often, on validation only."""
    found = chosen(data, "uot_dots")
    if found is None:
        return
    for crowded in (0.0, 1.0, 0.5):
        change = {"augment": {"crowded": crowded}, "training": {"calibrate": True}}
        settings = merge(_settings(data, "uot_dots", *found, EPOCHS[data][1] // 3, 0), change)
        yield Experiment(f"sampling/{data}/{crowded:g}-0", data, settings, test=False)


BIAS: dict[str, Tree] = {
    "rho-1-1": {},
    "rho-0.3-1": {"loss": {"options": {"rho": [0.3, 1.0]}}},
    "rho-1-10": {"loss": {"options": {"rho": [1.0, 10.0]}}},
    "rho-1-100": {"loss": {"options": {"rho": [1.0, 100.0]}}},
    "rho-1-10-no-clip": {"loss": {"options": {"rho": [1.0, 10.0]}}, "optimizer": {"clip_norm": None}},
    "rho-1-10-clip-1": {"loss": {"options": {"rho": [1.0, 10.0]}}, "optimizer": {"clip_norm": 1.0}},
    "rho-1-10-whole": {
        "loss": {"options": {"rho": [1.0, 10.0]}},
        "training": {"crop": 256, "batch_size": 2},  # as many pixels in a batch as 8 crops of 128 px
    },
    "eps-0.003": {"loss": {"options": {"epsilon": 0.003}}},
    "length-512": {"loss": {"options": {"epsilon": 0.005, "length_scale": 512.0}}},
    "half-size": {"data": {"max_side": 512}},
}
"""What is tried against the mass bias, one change at a time; ``length-512`` keeps the blur in px."""


def bias(data: str, seeds: tuple[int, ...] = (0,)) -> Iterator[Experiment]:
    """Yield short trainings with equal strengths and one change each, on validation only.

    Of cells they train in crops and without the clip, from which the published counter then departed.
    """
    crops: Tree = {"optimizer": {"clip_norm": 100.0}, "training": {"crop": 128, "batch_size": 8}}
    for name, change in BIAS.items():
        if (data != "shb" and not name.startswith(("rho", "eps"))) or (data == "shb" and name.endswith("whole")):
            continue  # lengths and sizes that are meant for photos of crowds; crops that are meant for small images
        for base in best(data, seeds):
            same = {
                "loss": {"options": {"rho": [1.0, 1.0]}},
                "training": {"epochs": 12, "calibrate": True, "validate_every": 3},
            }
            seed = base.settings["training"]["seed"]
            yield Experiment(
                f"bias/{data}/{name}-{seed}",
                data,
                merge(base.settings, {} if data == "shb" else crops, same, change),
                test=False,
            )


def best_recipe(data: str) -> str:
    """Return the name, below ``recipes/best``, of the published counter of ``data``."""
    return DATA[data].partition(":")[0] if ":" in DATA[data] else data


def best(data: str, seeds: tuple[int, ...] = (0,)) -> Iterator[Experiment]:
    """Yield the published counter of ``data``, from its recipe in ``recipes/best``."""
    tree = read_tree(RECIPES / "best" / f"{best_recipe(data)}.yaml")
    tree.get("data", {}).pop("format", None)  # named with the data
    for seed in seeds:
        drawn = {"data": {"split_seed": seed}} if "train_images" in tree.get("data", {}) else {}
        yield Experiment(f"best/{data}-{seed}", data, merge(tree, {"training": {"seed": seed}}, drawn))


CROWD_L2: Tree = {
    # Targets of 8 px of the photo, as chosen for this loss, in px of the enlarged photos.
    "loss": {"name": "gaussian_l2", "options": {"sigma": 11.3}},
    "optimizer": {"learning_rate": 1.5e-4},
    "training": {"epochs": 150},
}
"""What the counter of ``shb`` with L2 changes in the published recipe: as many epochs as took the same two hours."""


def crowd(seeds: tuple[int, ...] = (0,)) -> Iterator[Experiment]:
    """Yield the counter of ``shb`` with L2."""
    for base in best("shb", seeds):
        yield Experiment(base.name.replace("best/", "crowd/"), "shb", merge(base.settings, CROWD_L2))


def suite() -> Iterator[Experiment]:
    """Yield everything that can be run now, in order; what depends on a choice appears once the choice is made."""
    yield from best("shb")
    yield from best("trees", SEEDS)
    yield from best("vgg_cells", SEEDS)
    yield from best("adipocyte", SEEDS)
    yield from best("cells")
    yield from comparison("vgg_cells")
    yield from comparison("trees")
    yield from table6()
    yield from bias("vgg_cells", SEEDS)
    yield from bias("shb")
    yield from background()
    yield from sampling()
    yield from comparison("shb", seeds=(0, 1), fair=True)
    yield from lengths()
    yield from comparison("trees", fair=True)
    yield from crowd()
    yield from comparison("shb", seeds=(0, 1))
