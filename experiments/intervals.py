"""How well intervals keep their promises, over many draws of the calibration images.

    python -m experiments.intervals features [--data ../shared/data] [--out RUNS] [--adipocyte RUN]
    python -m experiments.intervals run [--out RUNS]
    python -m experiments.intervals page

``features`` counts images with the published counters (VGG cells, which ``cells`` never saw, and the validation and
test images of the urban trees), and with a run of ``dotcount train adipocyte:DATA --config best/adipocyte --epochs 8
--set training.validate_every=4``, and writes RUNS/intervals-NAME.json. ``run`` draws splits of these and of the
recorded test predictions of experiments/results/reproduce/best, and writes experiments/results/intervals.json.
``page`` writes the tables of docs/results/trust.md.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

import dotcount
from benchmarks.machine import machine
from dotcount.calibration import calibrate, conformal_rank, fit_count_scale, interval_of_sum

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "experiments" / "results" / "intervals.json"
FAMILIARITY = ROOT / "experiments" / "results" / "familiarity.json"
PAGE = ROOT / "docs" / "results" / "trust.md"
BEST = ROOT / "experiments" / "results" / "reproduce" / "best"
RECORDED = ("vgg_cells-0", "vgg_cells-1", "vgg_cells-2", "adipocyte-0", "adipocyte-1", "adipocyte-2", "shb-0")
SPLITS, DRAWS, SUMMED, MOST = 200, 1000, 50, 60
Array = npt.NDArray[np.float64]


def features(name: str, model: str, place: str, splits: tuple[str, ...], out: Path) -> None:
    """Write true count, count, density's spread and test-time disagreement of every image."""
    predictor = dotcount.load(model, device="cpu")
    rows = []
    for record in dotcount.open_collection(place, strict=False).records:
        if splits and record.split not in splits:
            continue
        pixels = dotcount.data.read_pixels(record.image)
        found = predictor.predict(pixels)
        mirrored = predictor.predict(np.ascontiguousarray(pixels[:, ::-1]))
        cells = found.density.astype(np.float64)
        rows.append(
            {
                "split": record.split,
                "true": record.count,
                "count": found.count,
                "spread": float((cells * (1 - cells.clip(0, 1))).sum()),
                "disagreement": float(np.abs(cells - mirrored.density[:, ::-1]).sum()),
            }
        )
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
    for _ in range(SPLITS):
        order = rng.permutation(true.size)
        fit, new = order[:number], order[number:]
        scaled = fit_count_scale(count[fit], true[fit])
        guess = count[new] * scaled.scale
        for confidence, found in rows.items():
            interval = calibrate(scaled.held_out, true[fit], confidence=confidence)
            reach = interval.scale * np.sqrt(guess + 1)
            found.append((np.mean(np.abs(true[new] - guess) <= reach), np.mean(2 * reach)))
    plain, sure = np.array(rows[None]), np.array(rows[0.8])
    return {
        "images": int(true.size),
        "calibrated on": number,
        "splits that would meet 90 % if all held exactly": round(expected(number, true.size - number), 3),
        "plain": {
            "mean coverage": round(float(plain[:, 0].mean()), 4),
            "mean width": round(float(plain[:, 1].mean()), 2),
        }
        | {"splits that meet 90 %": round(float((plain[:, 0] >= 0.9).mean()), 3)},
        "with 80 % confidence": {
            "mean coverage": round(float(sure[:, 0].mean()), 4),
            "mean width": round(float(sure[:, 1].mean()), 2),
            "splits that meet 90 %": round(float((sure[:, 0] >= 0.9).mean()), 3),
        },
    }


def expected(fit: int, new: int) -> float:
    """Return how often so many new images are held to 90 % by an interval that promises it with 80 % confidence.

    Their coverage scatters about that of the calibration, whose law is Beta(k, n + 1 - k).
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


def sharper(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return the mean width of 90 % intervals by what errors are scaled by, relative to sqrt(count + 1)."""
    true, count, spread, apart = (
        np.array([row[key] for row in rows], float) for key in ("true", "count", "spread", "disagreement")
    )
    sizes: dict[str, Array] = {
        "sqrt(count + 1)": np.sqrt(count + 1),
        "1": np.ones_like(count),
        "count + 1": count + 1,
        "sqrt(spread + 1)": np.sqrt(spread + 1),
        "sqrt(disagreement + 1)": np.sqrt(apart + 1),
    }
    features = np.stack([np.ones_like(count), count, spread, apart], axis=1)
    widths: dict[str, list[float]] = {name: [] for name in [*sizes, "chosen by the others", "shifted by a fit"]}
    rng = np.random.default_rng(2)
    for _ in range(SPLITS):
        order = rng.permutation(true.size)
        fit, new = order[: true.size // 2], order[true.size // 2 :]
        scaled = fit_count_scale(count[fit], true[fit])
        error = true[fit] - scaled.held_out
        of_size = {name: float(_quantile(np.abs(error) / s[fit]) * 2 * s[new].mean()) for name, s in sizes.items()}
        for name, width in of_size.items():
            widths[name].append(width)
        inner = {name: float(_quantile(np.abs(error) / s[fit]) * s[fit].mean()) for name, s in sizes.items()}
        widths["chosen by the others"].append(of_size[min(inner, key=inner.__getitem__)])
        widths["shifted by a fit"].append(_shifted(features, true - count, np.sqrt(count + 1), fit, new))
    today = np.mean(widths["sqrt(count + 1)"])
    return {name: round(float(np.mean(found) / today), 3) for name, found in widths.items()}


def _shifted(x: Array, y: Array, size: Array, fit: npt.NDArray[np.int64], new: npt.NDArray[np.int64]) -> float:
    """Return the width where the error is predicted from the features by a ridge fit, residuals left out one by one."""
    mean, deviation = x[fit].mean(0), x[fit].std(0)
    z = np.where(deviation > 0, (x - mean) / np.maximum(deviation, 1e-9), 1.0) / size[:, None]
    gram = z[fit].T @ z[fit]
    inverse = np.linalg.inv(gram + 1e-2 * np.trace(gram) / len(gram) * np.eye(len(gram)))
    target = y / size
    weights = inverse @ z[fit].T @ target[fit]
    leverage = np.einsum("ij,jk,ik->i", z[fit], inverse, z[fit])
    residual = (target[fit] - z[fit] @ weights) / (1 - leverage)
    return float(_quantile(np.abs(residual)) * 2 * size[new].mean())


def _quantile(residuals: Array) -> float:
    return calibrate(np.zeros(residuals.size), residuals).scale


def recalibrated(
    rows: list[dict[str, Any]], choose: Callable[[dict[str, Any]], bool], number: int = 20
) -> dict[str, Any]:
    """Return the mean error of the images that were left, relative to their dots, after a scale from 20 of them."""
    part = [row for row in rows if choose(row)]
    true, count = np.array([row["true"] for row in part], float), np.array([row["count"] for row in part], float)
    rng, after, before = np.random.default_rng(3), [], []
    for _ in range(SPLITS):
        order = rng.permutation(true.size)
        fit, new = order[:number], order[number:]
        scale = fit_count_scale(count[fit], true[fit], always=True).scale
        after.append((scale * count[new] - true[new]).sum() / true[new].sum())
        before.append((count[new] - true[new]).sum() / true[new].sum())
    return {
        "images": len(part),
        "mean bias before": round(float(np.mean(before)), 4),
        "mean bias after": round(float(np.mean(after)), 4),
        "median |bias| after": round(float(np.median(np.abs(after))), 4),
        "draws with |bias| below 3 %": round(float(np.mean(np.abs(after) < 0.03)), 3),
        "draws before": round(float(np.mean(np.abs(before) < 0.03)), 3),
    }


def run(out: Path) -> None:
    """Draw and write."""
    counted = {
        p.stem.removeprefix("intervals-"): json.loads(p.read_text()) for p in sorted(out.glob("intervals-*.json"))
    }
    pairs = recorded()
    for name, rows in counted.items():
        pairs[f"{name}, counted here"] = (
            np.array([row["true"] for row in rows], float),
            np.array([row["count"] for row in rows], float),
        )
    trees = counted["trees"]
    content = {
        "machine": machine(),
        "versions": {name: importlib.metadata.version(name) for name in ("numpy", "scipy", "torch")},
        "splits": SPLITS,
        "draws": DRAWS,
        "single": {name: single(*pair) for name, pair in pairs.items()},
        "sum of 50": {name: sums(*pair) for name, pair in pairs.items()},
        "sharper": {name: sharper(rows) for name, rows in counted.items()},
        "calibrate": {
            "trees, 20 validation images, the others": recalibrated(trees, lambda r: r["split"] == "val"),
            "trees, 20 test images, the others": recalibrated(trees, lambda r: r["split"] == "test"),
            "VGG cells, 20 images, the others": recalibrated(counted["vgg_cells"], lambda _: True),
        },
    }
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
        rows.append(
            [
                name,
                f"{one['calibrated on']} of {one['images']}",
                f"{plain['mean coverage']:.1%}",
                f"{plain['splits that meet 90 %']:.0%}",
                plain["mean width"],
                f"{sure['mean coverage']:.1%}",
                f"{sure['splits that meet 90 %']:.0%}",
                sure["mean width"],
                f"{one['splits that would meet 90 % if all held exactly']:.0%}",
            ]
        )
    head = ["data", "calibrated on", "plain: mean coverage", "splits at 90 %", "width"]
    parts += [
        table([*head, "80 % confidence: mean coverage", "splits at 90 %", "width", "splits, by the law"], rows),
        "",
    ]
    parts += ["## Sum over 50 images", ""]
    rows = [
        [n, o["calibrated on"], f"{o['coverage']:.1%}", f"{o['width relative to the sum of single ones']:.2f}"]
        for n, o in found["sum of 50"].items()
    ]
    parts += [table(["data", "calibrated on", "coverage", "width, of the sum of single intervals"], rows), ""]
    parts += ["## Errors scaled by what the density knows", ""]
    names = list(next(iter(found["sharper"].values())))
    parts += [
        table(
            ["mean width, relative", *found["sharper"]],
            [[n, *(o[n] for o in found["sharper"].values())] for n in names],
        ),
        "",
    ]
    parts += ["## `dotcount calibrate` on 20 images", ""]
    rows = [
        [
            n,
            f"{o['mean bias before']:+.1%}",
            f"{o['mean bias after']:+.1%}",
            f"{o['median |bias| after']:.1%}",
            f"{o['draws before']:.0%}",
            f"{o['draws with |bias| below 3 %']:.0%}",
        ]
        for n, o in found["calibrate"].items()
    ]
    parts += [
        table(
            ["draw", "mean bias before", "after", "median of its size after", "draws below 3 % before", "after"], rows
        ),
        "",
    ]
    parts += ["## Familiarity", ""]
    for model, one in known["models"].items():
        parts += [
            f"`{model}`: {one['false alarms on test images']:.1%} of {one['test images']} test images are warned of.",
            "",
        ]
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
    """Do one of the three."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("features", "run", "page"))
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
    else:
        page()


if __name__ == "__main__":
    main()
