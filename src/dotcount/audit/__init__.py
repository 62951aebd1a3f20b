"""Annotations looked at twice: which dots a model disagrees with, and what would put them right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dotcount.lazy import lazy_names

if TYPE_CHECKING:
    from dotcount.audit.correction import own_format, write_corrected
    from dotcount.audit.exchange import exchanged
    from dotcount.audit.explanation import TransportMap, transport_map, transport_settings
    from dotcount.audit.folds import Fold, deal, record_folds
    from dotcount.audit.judging import audit_settings, examine, fit, reach_of
    from dotcount.audit.suspicions import KINDS, ImageAudit, Suspicion, ranked
    from dotcount.audit.table import read_decisions, write_suspicions
    from dotcount.audit.whole import Audit, audit, usual_spacing

# Imported on first use: the transport needs torch, whose import takes seconds.
_HOME = {
    "correction": ("own_format", "write_corrected"),
    "exchange": ("exchanged",),
    "explanation": ("TransportMap", "transport_map", "transport_settings"),
    "folds": ("Fold", "deal", "record_folds"),
    "judging": ("audit_settings", "examine", "fit", "reach_of"),
    "suspicions": ("KINDS", "ImageAudit", "Suspicion", "ranked"),
    "table": ("read_decisions", "write_suspicions"),
    "whole": ("Audit", "audit", "usual_spacing"),
}

__all__ = [
    "KINDS",
    "Audit",
    "Fold",
    "ImageAudit",
    "Suspicion",
    "TransportMap",
    "audit",
    "audit_settings",
    "deal",
    "examine",
    "exchanged",
    "fit",
    "own_format",
    "ranked",
    "reach_of",
    "read_decisions",
    "record_folds",
    "transport_map",
    "transport_settings",
    "usual_spacing",
    "write_corrected",
    "write_suspicions",
]

__getattr__ = lazy_names(__name__, _HOME)
