"""A doctor for data: what is wrong with images and dots, what they look like in figures, and a corrected copy."""

from __future__ import annotations

from dotcount.data.checks.finding import Finding
from dotcount.data.checks.page import write_page
from dotcount.data.checks.repair import repair
from dotcount.data.checks.report import Report, check
from dotcount.data.checks.statistics import Statistics, Suggestions, statistics, suggest

__all__ = ["Finding", "Report", "Statistics", "Suggestions", "check", "repair", "statistics", "suggest", "write_page"]
