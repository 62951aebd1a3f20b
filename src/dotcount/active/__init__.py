"""Which images to annotate next: pure functions over predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dotcount.lazy import lazy_names

if TYPE_CHECKING:
    from dotcount.active.ranking import Outlook, expected_error, order, outlook

_HOME = {"ranking": ("Outlook", "expected_error", "order", "outlook")}

__all__ = ["Outlook", "expected_error", "order", "outlook"]

__getattr__ = lazy_names(__name__, _HOME)
