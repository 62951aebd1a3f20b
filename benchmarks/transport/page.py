"""Tables and the plot of docs/explanation/transport.md, from the JSON."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[2] / "docs"
PAGE, PLOT = DOCS / "explanation" / "transport.md", DOCS / "images" / "transport-speed.png"


def write(results: dict[str, Any]) -> None:
    """Rewrite the marked parts of the page and the plot from the sections that are there."""
    text = PAGE.read_text()
    builders = {"bars": _bars, "compare": _compare, "scaling": _scaling, "batches": _batches, "training": _training,
                "certificates": _certificates}  # fmt: skip
    for name, build in builders.items():
        if name in results or name == "bars":
            begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
            body = f"{begin}\n{build(results if name == 'bars' else results[name])}\n{end}"
            text = re.sub(f"{re.escape(begin)}.*?{re.escape(end)}", lambda _, b=body: b, text, flags=re.DOTALL)
    part = PAGE.with_suffix(".part")
    part.write_text(text)
    part.replace(PAGE)
    if "compare" in results:
        plot(results["compare"]["records"])


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _run_on(section: dict[str, Any]) -> str:
    m = section["machine"]
    return f"{m['cpu']}, {m['threads']} threads, torch {m['torch']}, Python {m['python']}."


def _cell(record: dict[str, Any], name: str) -> str:
    if name not in record:
        return "-"
    run = record[name]
    gap = "" if run["gap"] != run["gap"] else f" ({run['gap']:.0e})"
    return f"{run['seconds'] * 1e3:.3g}{gap}"


def _ratio(record: dict[str, Any]) -> str:
    """Return how many times longer the dense run to the gap took; `>` where it was given up before."""
    if "lbfgs_to_gap" not in record:
        return "-"
    run = record["lbfgs_to_gap"]
    return f"{'> ' if run['gap'] > 1e-5 else ''}{run['seconds'] / record['cold']['seconds']:.1f}"


def _compare(section: dict[str, Any]) -> str:
    names = ("cold", "warm", "again", "tight", "lbfgs_default", "lbfgs_to_gap", "pot_sinkhorn", "geomloss")
    head = ("phase", "N", "M", "eps", "ours, cold", "ours, warm", "ours, again", "ours, cold, to 1e-6",
            "L-BFGS, 20 iterations", "L-BFGS to 1e-5", "POT", "geomloss",
            "L-BFGS / ours", "gradient error, ours / default", "MB, ours / default")  # fmt: skip
    rows = []
    for r in section["records"]:
        ratio = _ratio(r)
        error, memory = f"{r['cold']['gradient_error']:.0e}", f"{r['cold']['peak_mb']:.0f}"
        if "lbfgs_default" in r:
            error += f" / {r['lbfgs_default']['gradient_error']:.0e}"
            memory += f" / {r['lbfgs_default'].get('peak_mb', float('nan')):.0f}"
        base = (r["phase"], str(r["n"]), str(r["m"]), f"{r['epsilon']:g}")
        rows.append((*base, *(_cell(r, name) for name in names), ratio, error, memory))
    return f"Milliseconds (relative gap). {_run_on(section)}\n\n{_table(head, rows)}"


def _bars(results: dict[str, Any]) -> str:
    """Return what was asked for beside what was measured, for the sections that are there."""
    rows: list[tuple[str, str, str]] = []
    records = results.get("compare", {}).get("records", [])
    chosen = {(r["m"], r["phase"]): r for r in records if r["n"] == 4096 and r["epsilon"] == 0.01}
    phases = [p for p in ("early", "mid", "late") if (1000, p) in chosen]

    def each(value: Callable[[dict[str, Any]], str], m: int = 1000) -> str:
        return ", ".join(f"{p} {value(chosen[m, p])}" for p in phases)

    if phases:
        rows += [
            (
                "N = 4096, M = 1000, cold, to 1e-5: times faster than dense L-BFGS to the same gap",
                ">= 20",
                each(_ratio),
            ),
            ("the same, warm", ">= 60", each(lambda r: _times(r, "lbfgs_to_gap", "warm"))),
            ("warm, from potentials: times faster than cold", ">= 3", each(lambda r: _times(r, "cold", "warm"))),
            (
                "again, from potentials and pairs: times faster than cold",
                ">= 3",
                each(lambda r: _times(r, "cold", "again")),
            ),
            (
                "to 1e-6: gap, times smaller than that of the 20-iteration default",
                ">= 100",
                each(lambda r: f"{r['lbfgs_default']['gap'] / r['tight']['gap']:.1e}"),
            ),
            ("to 1e-6: times faster than that default", "> 1", each(lambda r: _times(r, "lbfgs_default", "tight"))),
            ("M = 20: time, in that of the default", "<= 1.5", each(lambda r: _times(r, "cold", "lbfgs_default"), 20)),
        ]
    if "scaling" in results:
        first, _, large, largest = results["scaling"]["records"]
        growth = f"{large['seconds'] / first['seconds']:.1f}"
        rows.append(("(4096, 1000) to (65536, 16000): time grows, times", "<= 30", growth))
        rows.append(("N = 65536, M = 20000: peak MB", "<= 1000", f"{largest['peak_mb']:.0f}"))
    if "batches" in results:
        shares = ", ".join(f"M = {r['m']}: {r['ratio']:.2f}" for r in results["batches"]["records"])
        rows.append(("8 images together, in 8 single solves", "<= 0.7", shares))
    for bar, r in zip(("<= 10 %", "<= 2 %"), results.get("training", {}).get("records", [])):
        rows.append(
            (f"share of a training step, {r['model']}, crop {r['crop']}", bar, f"{100 * r['loss_share']:.1f} %")
        )
    return _table(("what", "asked", "measured"), rows)


def _times(record: dict[str, Any], slow: str, fast: str) -> str:
    return f"{record[slow]['seconds'] / record[fast]['seconds']:.3g}"


def _scaling(section: dict[str, Any]) -> str:
    first = section["records"][0]["seconds"]
    head = ("N", "M", "eps", "seconds", "times the first", "peak MB", "dense matrix alone, MB", "relative gap")
    rows = (
        (str(r["n"]), str(r["m"]), f"{r['epsilon']:g}", f"{r['seconds']:.3g}", f"{r['seconds'] / first:.1f}",
         f"{r['peak_mb']:.0f}", f"{r['dense_matrix_mb']:.0f}", f"{r['gap']:.0e}")
        for r in section["records"]
    )  # fmt: skip
    return f"{_run_on(section)}\n\n{_table(head, rows)}"


def _batches(section: dict[str, Any]) -> str:
    head = ("M of each image", "8 together, ms", "8 one by one, ms", "ratio")
    rows = (
        (str(r["m"]), f"{r['together_seconds'] * 1e3:.1f}", f"{r['one_by_one_seconds'] * 1e3:.1f}", f"{r['ratio']:.2f}")
        for r in section["records"]
    )
    return f"{_run_on(section)}\n\n{_table(head, rows)}"


def _training(section: dict[str, Any]) -> str:
    head = ("model", "crop", "batch", "dots an image", "forward, ms", "loss, ms", "backward, ms", "optimizer, ms",
            "share of the loss")  # fmt: skip
    rows = (
        (r["model"], str(r["crop"]), str(r["batch"]), str(r["dots_per_image"]),
         *(f"{r['seconds'][part] * 1e3:.1f}" for part in ("forward", "loss", "backward", "optimizer")),
         f"{100 * r['loss_share']:.2f} %")
        for r in section["records"]
    )  # fmt: skip
    return f"{_run_on(section)}\n\n{_table(head, rows)}"


def _certificates(section: dict[str, Any]) -> str:
    columns = {
        "problems": "problems",
        "stopped_early": "stopped early on purpose",
        "not_converged_unstopped": "not converged of the others",
        "below": "value below its bound",
        "above": "value above its bound",
        "gradient": "gradient outside its bound",
    }
    row = [*(str(section[name]) for name in columns), f"{section['largest_gap']:.1e}"]
    return _table((*columns.values(), "largest relative gap"), [row])


def plot(records: list[dict[str, Any]]) -> None:
    """Draw time against gap for the problems that the dense baseline was run to the gap on."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = [r for r in records if "lbfgs_to_gap" in r and r["n"] == 4096 and r["m"] == 1000 and r["epsilon"] == 0.01]
    styles = {"cold": ("o", "ours, cold"), "warm": ("*", "ours, warm"),
              "again": ("P", "ours, again"), "lbfgs_default": ("s", "L-BFGS, 20 iterations"),
              "lbfgs_to_gap": ("D", "L-BFGS to the gap"), "pot_sinkhorn": ("^", "POT Sinkhorn")}  # fmt: skip
    colours = {"early": "C0", "mid": "C1", "late": "C2"}
    figure, axes = pyplot.subplots(figsize=(6.4, 4.2), layout="constrained")
    for record in shown:
        for name, (marker, _) in styles.items():
            if name in record:
                run = record[name]
                axes.plot(run["seconds"] * 1e3, max(run["gap"], 1e-9), marker, color=colours[record["phase"]], ms=8)
    for marker, label in styles.values():
        axes.plot([], [], marker, color="grey", label=label)
    for phase, colour in colours.items():
        axes.plot([], [], "-", color=colour, lw=4, label=f"{phase} in training")
    axes.set(xscale="log", yscale="log", xlabel="time of one solve, ms", ylabel="relative gap (certified)")
    axes.set_title("4096 cells, 1000 dots, eps = 0.01")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    PLOT.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PLOT, dpi=120, metadata={"Software": None})
    pyplot.close(figure)
