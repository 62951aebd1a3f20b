"""Every picture and every page: reports, data checks, overlays, the paper's figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dotcount.lazy import lazy_names

if TYPE_CHECKING:
    from dotcount.report.audit_page import write_audit_page
    from dotcount.report.check_page import write_check_page
    from dotcount.report.figures_paper import (
        located_figure,
        map_picture,
        points_picture,
        save_figure,
        transport_figure,
    )
    from dotcount.report.html import Report, render, write_report
    from dotcount.report.overlay import overlay, save_overlay

# Imported on first use: a data check's page needs no torch, whose import takes seconds.
_HOME = {
    "audit_page": ("write_audit_page",),
    "check_page": ("write_check_page",),
    "figures_paper": ("located_figure", "map_picture", "points_picture", "save_figure", "transport_figure"),
    "html": ("Report", "render", "write_report"),
    "overlay": ("overlay", "save_overlay"),
}

__all__ = [
    "Report",
    "located_figure",
    "map_picture",
    "overlay",
    "points_picture",
    "render",
    "save_figure",
    "save_overlay",
    "transport_figure",
    "write_audit_page",
    "write_check_page",
    "write_report",
]

__getattr__ = lazy_names(__name__, _HOME)
