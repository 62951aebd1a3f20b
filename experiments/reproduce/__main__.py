"""Run what has no record yet, repeat a run, or write the page: ``make reproduce``.

    python -m experiments.reproduce list
    python -m experiments.reproduce run [--only PATTERN] [--data ../shared/data] [--out runs/reproduce] [--threads 1]
    python -m experiments.reproduce repeat NAME [...]
    python -m experiments.reproduce publish NAME MODEL [...]
    python -m experiments.reproduce page

``run`` works through the suite in order and writes each record to ``experiments/results/reproduce`` as it ends. It may
be killed at any moment and started again, and several may run side by side: each takes what no other is working on.
``repeat`` trains and tests NAME anew and fails unless every figure equals the record's. ``publish`` puts the model of
the run NAME into the package as MODEL, in half precision, after testing it again as it is there.
"""

from __future__ import annotations

import argparse
import fcntl
import fnmatch
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from experiments.reproduce.suite import RESULTS, Experiment, suite


@contextmanager
def claimed(folder: Path) -> Iterator[bool]:
    """Hold the folder for this process; false where another has it. The kernel lets go when a process dies."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def wanted(only: str) -> list[Experiment]:
    """Return the experiments whose names match."""
    return [experiment for experiment in suite() if fnmatch.fnmatch(experiment.name, only)]


def run(args: argparse.Namespace) -> int:
    """Work until nothing is left; a run that fails is told of and left out. Return the number of failures."""
    failed: set[str] = set()
    while True:
        left = [e for e in wanted(args.only) if not e.done and e.name not in failed]
        for experiment in left:
            with claimed(args.out / "locks" / experiment.name.replace("/", "-")) as mine:
                if not mine or experiment.done:
                    continue
                print(f":: {experiment.name}", flush=True)
                words = ["one", experiment.name, "--data", args.data, "--out", str(args.out)]
                words += ["--threads", str(args.threads)]
                if subprocess.run([sys.executable, "-m", "experiments.reproduce", *words], check=False).returncode:
                    print(f":: {experiment.name} failed", flush=True)
                    failed.add(experiment.name)
                break  # what can be run may have changed
        else:
            return len(failed)


def one(args: argparse.Namespace) -> int:
    """Run one experiment in this process and write its record."""
    from experiments.reproduce.execute import perform, write

    (experiment,) = wanted(args.name)
    record = perform(experiment, args.data, args.out, args.out / experiment.name, args.threads)
    write(record, experiment.record)
    if "error" in record:
        print(f"{experiment.name}: stopped, {record['error']}", flush=True)
        return 0
    validation, test = record["validation"]["best"], record.get("test")
    line = f"{experiment.name}: validation MAE {validation['val_mae']:.2f}, bias {validation['val_bias']:+.2f}"
    if test:
        line += f"; test MAE {test['counting']['mae']:.2f}, bias {test['counting']['bias']:+.2f}"
    print(line, flush=True)
    return 0


def repeat(args: argparse.Namespace) -> int:
    """Train and test a recorded experiment again; return 1 unless all figures are equal."""
    from experiments.reproduce.execute import perform

    (experiment,) = wanted(args.name)
    before = json.loads(experiment.record.read_text(encoding="utf-8"))
    folder = Path(tempfile.mkdtemp())
    try:
        after = json.loads(json.dumps(perform(experiment, args.data, args.out, folder, before["threads"])))
    finally:
        shutil.rmtree(folder)
    differing = [part for part in ("error",) if before.get(part) != after.get(part)]
    logs = before.get("log", []), after.get("log", [])
    if len(logs[0]) != len(logs[1]) or any(a[key] != b[key] for a, b in zip(*logs) for key in a.keys() & b.keys()):
        differing.append("log")
    for part in ("validation", "test"):
        one, other = before.get(part, {}), after.get(part, {})
        common = (one.keys() & other.keys()) - {"cpu_seconds"}  # what is recorded has grown over time
        if any(one[key] != other[key] for key in common):
            differing.append(part)
    print(f"{args.name}: " + (f"differs in {', '.join(differing)}" if differing else "every figure is the same"))
    return 1 if differing else 0


def publish(args: argparse.Namespace) -> int:
    """Write the model of a run into the package and test it there."""
    from experiments.reproduce.publish import publish_model

    (experiment,) = wanted(args.name)
    print(publish_model(experiment, args.model, args.data, args.out))
    return 0


def page(args: argparse.Namespace) -> int:  # noqa: ARG001
    """Write tables and plots from the records."""
    from experiments.reproduce.page import write_page

    write_page()
    return 0


def show(args: argparse.Namespace) -> int:
    """Print the experiments that can be run or have been."""
    for experiment in wanted(args.only):
        print("done" if experiment.done else "    ", experiment.name)
    return 0


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(dest="action", required=True)
    for name, function in (("list", show), ("run", run), ("one", one), ("repeat", repeat), ("publish", publish)):
        action = actions.add_parser(name)
        action.set_defaults(function=function)
        if name in ("one", "repeat", "publish"):
            action.add_argument("name")
            if name == "publish":
                action.add_argument("model")
        else:
            action.add_argument("--only", default="*", metavar="PATTERN")
        action.add_argument("--data", default="../shared/data")
        action.add_argument("--out", type=Path, default=Path("runs/reproduce"))
        action.add_argument("--threads", type=int, default=1)
    actions.add_parser("page").set_defaults(function=page)
    args = parser.parse_args()
    return int(args.function(args))


if __name__ == "__main__":
    assert RESULTS.parent.is_dir(), "run from a checkout: the records belong to it"
    sys.exit(main())
