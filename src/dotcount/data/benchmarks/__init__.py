"""Public benchmarks, one file a family with ``@BENCHMARKS.register("name")``; the folder is searched."""

from __future__ import annotations

from dotcount.data.benchmarks.base import BENCHMARKS, Benchmark, Totals
from dotcount.registry import import_folder

import_folder(__name__)

__all__ = ["BENCHMARKS", "Benchmark", "Totals"]
