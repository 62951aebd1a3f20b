"""Pictures and the self-contained HTML report."""

from dotcount.report.explanation import TransportMap, transport_map, transport_settings
from dotcount.report.figures_paper import located_figure, map_picture, points_picture, save_figure, transport_figure
from dotcount.report.html import Report, render, write_report
from dotcount.report.overlay import overlay, save_overlay

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
    "write_report",
]
