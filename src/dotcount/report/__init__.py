"""Every picture and every page: reports, data checks, overlays, the paper's figures."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dotcount.report.check_page import write_check_page
    from dotcount.report.explanation import TransportMap, transport_map, transport_settings
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
    "check_page": ("write_check_page",),
    "explanation": ("TransportMap", "transport_map", "transport_settings"),
    "figures_paper": ("located_figure", "map_picture", "points_picture", "save_figure", "transport_figure"),
    "html": ("Report", "render", "write_report"),
    "overlay": ("overlay", "save_overlay"),
}

__all__ = [
    "Report",
    "TransportMap",
    "located_figure",
    "map_picture",
    "overlay",
    "points_picture",
    "render",
    "save_figure",
    "save_overlay",
    "transport_figure",
    "transport_map",
    "transport_settings",
    "write_check_page",
    "write_report",
]


def __getattr__(name: str) -> Any:
    for module, names in _HOME.items():
        if name in names:
            return getattr(import_module(f"dotcount.report.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
