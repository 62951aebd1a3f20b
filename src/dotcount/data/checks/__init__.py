"""A doctor for data: what is wrong with images and dots, what they look like in figures, and a corrected copy."""

from __future__ import annotations

from dotcount.data.checks.finding import Finding
from dotcount.data.checks.repair import repair
from dotcount.data.checks.report import DataCheck, check
from dotcount.data.checks.statistics import Statistics, Suggestions, statistics, suggest

__all__ = ["DataCheck", "Finding", "Statistics", "Suggestions", "check", "repair", "statistics", "suggest"]
