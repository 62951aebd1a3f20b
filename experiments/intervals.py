"""How well intervals keep their promises, over many draws of the calibration images.

    python -m experiments.intervals features [--data ../shared/data] [--out RUNS] [--adipocyte RUN]
    python -m experiments.intervals run [--out RUNS]
    python -m experiments.intervals recorded
    python -m experiments.intervals page

``features`` counts images with the published counters (VGG cells, which ``cells`` never saw, and the validation and
test images of the urban trees), and with a run of ``dotcount train adipocyte:DATA --config best/adipocyte --epochs 8
--set training.validate_every=4``, and writes RUNS/intervals-NAME.json. ``run`` draws splits of these and of the
recorded test predictions of experiments/results/reproduce/best, and writes experiments/results/intervals.json;
``recorded`` draws the latter anew and leaves the others as they are there.
``page`` writes the tables of docs/results/trust.md.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from benchmarks.machine import machine
from dotcount.calibration import calibrate, conformal_rank, fit_count_scale, interval_of_sum
from experiments.count_scales import left
from experiments.interval_widths import compared, counted

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "experiments" / "results" / "intervals.json"
FAMILIARITY = ROOT / "experiments" / "results" / "familiarity.json"
PAGE = ROOT / "docs" / "results" / "trust.md"
BEST = ROOT / "experiments" / "results" / "reproduce" / "best"
COUNTS_ALONE = ("vgg_cells-0", "shb-0")
RECORDED = ("vgg_cells-0", "vgg_cells-1", "vgg_cells-2", "adipocyte-0", "adipocyte-1", "adipocyte-2", "shb-0")
SPLITS, MANY, FEW, DRAWS, SUMMED, MOST = 200, 2000, 500, 1000, 50, 60
LAW, SHARE = "splits that would meet 90 % if all held exactly", "splits that meet 90 %, of 200"
WIDTH, NEEDED = "width at equal coverage", "images for 3 % in nine of ten draws"
Array = npt.NDArray[np.float64]


def features(name: str, model: str, place: str, splits: tuple[str, ...], out: Path) -> None:
    """Write what is known of every image."""
    rows = counted(model, place, splits)
    (out / f"intervals-{name}.json").write_text(json.dumps(rows), encoding="utf-8")
    print(name, len(rows), flush=True)


def recorded() -> dict[str, tuple[Array, Array]]:
    """Return (true, predicted) counts of the test images of recorded runs."""
    found = {}
    for name in RECORDED:
        test = json.loads((BEST / f"{name}.json").read_text(encoding="utf-8"))["test"]
        found[name] = np.array(test["true"], float), np.array(test["predicted"], float)
    return found


def single(true: Array, count: Array) -> dict[str, Any]:
    """Return coverage and width of both promises over random halves; the count scale is fitted on the same half."""
    rng, rows, number = np.random.default_rng(0), {None: [], 0.8: []}, min(MOST, true.size // 2)
    for _ in range(MANY):
        order = rng.permutation(true.size)
        fit, new = order[:number], order[number:]
        scaled = fit_count_scale(count[fit], true[fit])
        guess = count[new] * scaled.scale
        for confidence, found in rows.items():
            interval = calibrate(scaled.held_out, true[fit], confidence=confidence)
            reach = interval.scale * np.sqrt(guess + 1)
            found.append((np.mean(np.abs(true[new] - guess) <= reach), np.mean(2 * reach)))
    law = expected(number, true.size - number)
    return {
        "images": int(true.size),
        "calibrated on": number,
        "splits that would meet 90 % if all held exactly": round(law, 3),
        "standard deviation of that share over 200 splits": round(float(np.sqrt(law * (1 - law) / SPLITS)), 3),
        "plain": _held(np.array(rows[None])),
        "with 80 % confidence": _held(np.array(rows[0.8])),
    }


def _held(found: Array) -> dict[str, Any]:
    meets = found[:, 0] >= 0.9 - 1e-9
    return {
        "mean coverage": round(float(found[:, 0].mean()), 4),
        "mean width": round(float(found[:, 1].mean()), 2),
        "splits that meet 90 %, of 200": round(float(meets[:SPLITS].mean()), 3),
        "splits that meet 90 %, of 2000": round(float(meets.mean()), 3),
    }


def expected(fit: int, new: int) -> float:
    """Return how often so many new images are held to 90 % by an interval that promises it with 80 % confidence.

    Their coverage scatters about that of the calibration, whose law is Beta(k, n + 1 - k): the number that is held
    follows a beta-binomial law. That is also the law over random splits of one finite set, whatever its errors: how
    many of the new images lie below the k-th of those that fit is a matter of ranks. So the splits are independent
    draws from it, and a share over S of them has the standard deviation sqrt(p (1 - p) / S).
    """
    rank = conformal_rank(fit, 0.9, 0.8)
    assert rank is not None, "there are enough images"
    return float(stats.betabinom.sf(np.ceil(0.9 * new - 1e-9) - 1, new, rank, fit + 1 - rank))


def sums(true: Array, count: Array, most: int = MOST) -> dict[str, Any]:
    """Return how often the interval of the sum over 50 images held, over random draws; the others calibrate."""
    rng, held, ratio = np.random.default_rng(1), [], []
    for _ in range(DRAWS):
        order = rng.permutation(true.size)
        new, fit = order[:SUMMED], order[SUMMED : SUMMED + most]
        scaled = fit_count_scale(count[fit], true[fit])
        interval = calibrate(scaled.held_out, true[fit])
        guess = count[new] * scaled.scale
        total = interval_of_sum(interval, guess)
        assert total.low is not None, "there are enough images"
        assert total.high is not None, "there are enough images"
        held.append(total.low <= true[new].sum() <= total.high)
        ratio.append((total.high - total.low) / (2 * interval.scale * np.sqrt(guess + 1)).sum())
    return {
        "calibrated on": int(min(most, true.size - SUMMED)),
        "coverage": round(float(np.mean(held)), 4),
        "width relative to the sum of single ones": round(float(np.mean(ratio)), 3),
        "always narrower": bool(np.max(ratio) < 1),
    }


def run(out: Path) -> None:
    """Draw and write."""
    found = {p.stem.removeprefix("intervals-"): json.loads(p.read_text()) for p in sorted(out.glob("intervals-*.json"))}
    pairs = recorded()
    for name, rows in found.items():
        pairs[f"{name}, counted here"] = (
            np.array([row["true"] for row in rows], float),
            np.array([row["count"] for row in rows], float),
        )
    known = {
        name: {
            key: np.array([row[key] for row in rows], float)
            for key in rows[0]
            if key != "split" and rows[0][key] is not None
        }
        for name, rows in found.items()
    }
    trees, split = known["trees"], np.array([row["split"] for row in found["trees"]])
    few = {
        f"trees, 20 {part} images": (trees["count"][split == key], trees["true"][split == key])
        for part, key in (("validation", "val"), ("test", "test"))
    }
    few |= {
        f"{title}, 20 images": (known[name]["count"], known[name]["true"])
        for name, title in (("vgg_cells", "VGG cells"), ("adipocyte", "adipocytes"))
        if name in known
    }
    content = {
        "machine": machine(),
        "versions": {name: importlib.metadata.version(name) for name in ("numpy", "scipy", "torch")},
        "splits": SPLITS,
        "many splits": MANY,
        "draws": DRAWS,
        "single": {name: single(*pair) for name, pair in pairs.items()},
        "sum of 50": {name: sums(*pair) for name, pair in pairs.items()},
        "narrower": {
            name: compared(rows, SPLITS)
            for name, rows in (known | {n: {"true": pairs[n][0], "count": pairs[n][1]} for n in COUNTS_ALONE}).items()
        },
        "calibrate": {name: left(*pair, 20, FEW) for name, pair in few.items()},
    }
    RESULTS.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def run_recorded() -> None:
    """Draw splits of the recorded predictions anew; every one has random numbers of its own."""
    content, pairs = json.loads(RESULTS.read_text(encoding="utf-8")), recorded()
    for name, pair in pairs.items():
        content["single"][name], content["sum of 50"][name] = single(*pair), sums(*pair)
    for name in COUNTS_ALONE:
        true, count = pairs[name]
        content["narrower"][name] = compared({"true": true, "count": count}, SPLITS)
    RESULTS.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def table(head: list[str], rows: list[list[Any]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in row) + " |" for row in lines)


def page() -> None:
    """Write the tables between the marks of the page."""
    found = json.loads(RESULTS.read_text(encoding="utf-8"))
    known = json.loads(FAMILIARITY.read_text(encoding="utf-8"))
    parts = ["## Intervals of single images", ""]
    rows = []
    for name, one in found["single"].items():
        plain, sure = one["plain"], one["with 80 % confidence"]
        law, spread = (one[key] for key in (LAW, "standard deviation of that share over 200 splits"))
        row = [name, f"{one['calibrated on']} of {one['images']}"]
        for each in (plain, sure):
            row += [f"{each['mean coverage']:.1%}", f"{each[SHARE]:.0%}", each["mean width"]]
        rows.append([*row, f"{sure['splits that meet 90 %, of 2000']:.1%}", f"{law:.1%} ± {spread:.1%}"])
    head = ["data", "calibrated on", "plain: mean coverage", "splits at 90 %, of 200", "width"]
    head += ["80 % confidence: mean coverage", "splits at 90 %, of 200", "width", "of 2,000", "by the law, of 200"]
    parts += [table(head, rows), ""]
    parts += ["## Sum over 50 images", ""]
    rows = [
        [n, o["calibrated on"], f"{o['coverage']:.1%}", f"{o['width relative to the sum of single ones']:.2f}"]
        for n, o in found["sum of 50"].items()
    ]
    parts += [table(["data", "calibrated on", "coverage", "width, of the sum of single intervals"], rows), ""]
    parts += ["## Narrower intervals: what was tried", ""]
    names = list(dict.fromkeys(name for each in found["narrower"].values() for name in each))
    cells = [
        [
            f"{each[n][WIDTH]:.2f} ({each[n]['coverage']:.0%})" if n in each else ""
            for each in found["narrower"].values()
        ]
        for n in names
    ]
    parts += [table(["width, relative", *found["narrower"]], [[n, *row] for n, row in zip(names, cells)]), ""]
    parts += ["## `dotcount calibrate` on 20 images", ""]
    parts += [
        table(
            ["", *found["calibrate"]],
            [
                ["images, 20 of which fit", *(o["images"] for o in found["calibrate"].values())],
                *(
                    [label, *(f"{o[key]:.1%}" for o in found["calibrate"].values())]
                    for label, key in (
                        ("errors of single images, of the mean count", "spread of errors"),
                        ("standard error of a scale from 20", "standard error of the scale"),
                        ("such scales that leave less than 3 %, by the law", "of many"),
                        ("90 % intervals of the scale that hold", "90 % intervals of the scale that hold"),
                    )
                ),
                ["images for 3 % in nine of ten draws", *(o[NEEDED] for o in found["calibrate"].values())],
            ],
        ),
        "",
        table(
            ["mean error left: mean; root mean square; draws below 3 %", *found["calibrate"]],
            [
                [
                    way,
                    *(
                        f"{o['mean bias']:+.1%}; {o['root mean square']:.2%}; {o['below 3 %']:.0%}"
                        for o in (each["ways"][way] for each in found["calibrate"].values())
                    ),
                ]
                for way in next(iter(found["calibrate"].values()))["ways"]
            ],
        ),
        "",
    ]
    parts += ["## Familiarity", ""]
    for model, one in known["models"].items():
        parts += [
            f"`{model}`: {one['false alarms on test images']:.1%} of {one['test images']} test images are warned of.",
            "",
        ]
        if one["new draws"]:
            rows = [[name, row["images"], f"{row['warned']:.1%}"] for name, row in one["new draws"].items()]
            parts += [table(["new images of its own kind", "number", "warned of"], rows), ""]
        rows = [
            [kind, row["images"], f"{row['auroc_test']:.3f}", f"{row['auroc_held_out']:.3f}", f"{row['warned']:.0%}"]
            for kind, row in one["kinds"].items()
        ]
        parts += [table(["images", "number", "AUROC, test", "AUROC, validation and test", "warned of"], rows), ""]
    parts += [f"{found['machine']}; numpy {found['versions']['numpy']}, torch {found['versions']['torch']}.", ""]
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition("<!-- tables -->\n")
    _, _, after = rest.partition("<!-- end of tables -->")
    PAGE.write_text(
        f"{before}<!-- tables -->\n\n" + "\n".join(parts) + f"\n<!-- end of tables -->{after}", encoding="utf-8"
    )


def main() -> None:
    """Do one of the four."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("features", "run", "recorded", "page"))
    parser.add_argument("--data", default="../shared/data")
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--adipocyte", help="run that was trained on its training images")
    args = parser.parse_args()
    if args.action == "features":
        features("vgg_cells", "cells", f"vgg_cells:{args.data}/vgg_cells", (), args.out)
        features("trees", "trees", f"urban_trees_socal:{args.data}/urban_trees_socal", ("val", "test"), args.out)
        if args.adipocyte:
            features("adipocyte", args.adipocyte, f"adipocyte:{args.data}/adipocyte", ("val", "test"), args.out)
    elif args.action == "run":
        run(args.out)
    elif args.action == "recorded":
        run_recorded()
    else:
        page()


if __name__ == "__main__":
    main()
