"""Annotations looked at twice: which dots a model disagrees with, and what would put them right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dotcount.lazy import lazy_names

if TYPE_CHECKING:
    from dotcount.audit.explanation import TransportMap, transport_map, transport_settings
    from dotcount.audit.folds import Fold, deal, record_folds
    from dotcount.audit.judging import audit_settings, examine, fit, reach_of
    from dotcount.audit.suspicions import KINDS, ImageAudit, Suspicion, ranked

# Imported on first use: the transport needs torch, whose import takes seconds.
_HOME = {
    "judging": ("audit_settings", "examine", "fit", "reach_of"),
    "folds": ("Fold", "deal", "record_folds"),
    "suspicions": ("KINDS", "ImageAudit", "Suspicion", "ranked"),
    "explanation": ("TransportMap", "transport_map", "transport_settings"),
}

__all__ = [
    "KINDS",
    "Fold",
    "ImageAudit",
    "Suspicion",
    "TransportMap",
    "audit_settings",
    "deal",
    "examine",
    "fit",
    "ranked",
    "reach_of",
    "record_folds",
    "transport_map",
    "transport_settings",
]

__getattr__ = lazy_names(__name__, _HOME)
