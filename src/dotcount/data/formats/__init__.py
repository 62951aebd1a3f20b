"""Annotation formats, one file a format; importing this package registers them all."""

from __future__ import annotations

from dotcount.data.formats import csv
from dotcount.data.formats.base import FORMATS, Format, Listed, Sidecar, Table, sidecars, tables

__all__ = ["FORMATS", "Format", "Listed", "Sidecar", "Table", "csv", "sidecars", "tables"]
