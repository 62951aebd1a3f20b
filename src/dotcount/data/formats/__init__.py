"""Annotation formats, one file a format with ``@FORMATS.register("name")``; the folder is searched."""

from __future__ import annotations

from dotcount.data.formats.base import FORMATS, Format, Listed, Sidecar, Table, sidecars, tables
from dotcount.registry import import_folder

import_folder(__name__)

__all__ = ["FORMATS", "Format", "Listed", "Sidecar", "Table", "sidecars", "tables"]
