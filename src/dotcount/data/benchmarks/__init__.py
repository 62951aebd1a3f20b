"""Public benchmarks, one file a family; importing this package registers them all."""

from __future__ import annotations

from dotcount.data.benchmarks import cells, jhu, nwpu, shanghaitech, trees, ucf
from dotcount.data.benchmarks.base import BENCHMARKS, Benchmark, Totals

__all__ = ["BENCHMARKS", "Benchmark", "Totals", "cells", "jhu", "nwpu", "shanghaitech", "trees", "ucf"]
