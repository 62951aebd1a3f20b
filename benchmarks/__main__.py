"""Run the speed benchmarks one after the other and rewrite their results: ``make bench``.

Needs a quiet machine. Trainings on real data are apart: ``python -m experiments.real``.
"""

from __future__ import annotations

import subprocess
import sys

COMMANDS = (
    ["-m", "benchmarks.transport"],
    ["benchmarks/models/cost.py"],
    ["-m", "benchmarks.losses"],
    ["benchmarks/evaluation_speed.py", "--out", "benchmarks/results/evaluation_speed.json"],
    ["benchmarks/loader.py"],
    ["-m", "benchmarks.data_check"],
    ["-m", "benchmarks.prediction.speed"],
    ["benchmarks/annotate_page.py"],
    ["benchmarks/annotate_session.py"],
    ["-m", "benchmarks.web"],
    ["benchmarks/peaks_accuracy.py", "--out", "benchmarks/results/peaks_accuracy.json"],
)


def main() -> int:
    """Run all; the exit code is that of the first that failed, after the others have had their turn."""
    codes = []
    for words in COMMANDS:
        print("::", " ".join(words), flush=True)
        codes.append(subprocess.run([sys.executable, *words], check=False).returncode)
    return next((code for code in codes if code), 0)


if __name__ == "__main__":
    sys.exit(main())
