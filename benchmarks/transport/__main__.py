"""Run the benchmark, write the JSON, the plot and the tables of the documentation page.

    python -m benchmarks.transport [--quick] [--only compare scaling batches training] [--resume] [--page]

Sections that are not run keep their figures in the JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable
from pathlib import Path

from benchmarks.transport import compare, page, scaling, training
from benchmarks.transport.measure import machine

SECTIONS = ("compare", "scaling", "batches", "training")
RESULTS = Path(__file__).parents[1] / "results" / "transport.json"
CERTIFICATES = RESULTS.with_name("transport_certificates.json")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transport", description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--quick", action="store_true", help="few problems, for a look; nothing is written")
    parser.add_argument("--page", action="store_true", help="only rewrite the page and the plot from the JSON")
    parser.add_argument("--resume", action="store_true", help="keep the comparisons that the JSON already has")
    arguments = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if not arguments.page:
        for name in arguments.only:
            start = time.perf_counter()
            old = results.get(name, {}).get("records", []) if arguments.resume and name == "compare" else []
            results[name] = {"machine": machine(), "records": list(old)}
            for record in _run(name, arguments.quick, {_case(r) for r in old}):
                results[name]["records"].append(record)
                results[name]["seconds"] = round(time.perf_counter() - start, 1)
                if not arguments.quick:
                    _write(results)
    if not arguments.quick:
        found = json.loads(CERTIFICATES.read_text()) if CERTIFICATES.exists() else None
        page.write(results if found is None else {**results, "certificates": found})


def _case(record: dict) -> tuple[float, int, int, str]:
    return record["epsilon"], record["n"], record["m"], record["phase"]


def _run(name: str, quick: bool, done: set) -> Iterable[dict]:
    if name == "compare":
        return compare.compare(quick, done, print)
    if name == "scaling":
        return scaling.scaling(print)
    if name == "batches":
        return scaling.batches(print)
    return training.training_steps(print)


def _write(results: dict) -> None:
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    part = RESULTS.with_suffix(".part")
    part.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
    part.replace(RESULTS)


if __name__ == "__main__":
    main()
