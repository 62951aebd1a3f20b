"""Pictures and the self-contained HTML report."""

from dotcount.report.html import Report, render, write_report
from dotcount.report.overlay import overlay, save_overlay

__all__ = ["Report", "overlay", "render", "save_overlay", "write_report"]
