"""Check ShanghaiTech B as it is and with planted faults: what is found, what is wrongly found, and how long it takes.

python -m benchmarks.data_check [DATA]     DATA holds ShanghaiTech/part_B; writes benchmarks/results/data_check.json
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from dotcount.data import open_collection
from dotcount.data.checks import DataCheck, check
from tests.data import faults

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks/results/data_check.json"


def main() -> None:
    """Check both and write what was found."""
    source = (Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT.parent / "shared/data") / "ShanghaiTech/part_B"
    original, seconds = timed(source)
    with tempfile.TemporaryDirectory() as folder:
        damaged = faults.copy(source, Path(folder) / "part_B")
        wanted = faults.plant(damaged)
        report, again = timed(damaged)
    record = {
        "machine": {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "images": len(original.collection),
        "seconds": seconds,
        "errors_on_the_original": len(original.errors),
        "totals": [f.message for f in original.findings if f.kind == "totals"],
        "planted": {what: found(report, fault) for what, fault in wanted.items()},
        "seconds_with_faults": again,
        "errors_beside_the_planted": extra(report, wanted),
    }
    print(json.dumps(record, indent=1))
    RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def timed(folder: Path) -> tuple[DataCheck, float]:
    """Return the report and the seconds of opening and checking."""
    started = time.perf_counter()
    report = check(open_collection(folder, strict=False))
    return report, round(time.perf_counter() - started, 2)


def found(report: DataCheck, fault: faults.Fault) -> str | None:
    """Return the finding that tells of a fault."""
    for finding in report.findings:
        if (
            finding.kind in fault.kinds
            and fault.name in f"{finding.name} {' '.join(finding.related)} {finding.message}"
        ):
            return f"{finding.severity}: {finding.kind}"
    return None


def extra(report: DataCheck, wanted: dict[str, faults.Fault]) -> list[Any]:
    """Return errors that no planted fault explains."""
    explained = {fault.name for fault in wanted.values()}
    return [f.message for f in report.errors if f.name not in explained and not any(n in f.message for n in explained)]


if __name__ == "__main__":
    main()
