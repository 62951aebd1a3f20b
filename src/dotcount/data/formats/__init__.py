"""Annotation formats, one file a format; importing this package registers them all."""

from __future__ import annotations

from dotcount.data.formats import (
    coco,
    csv,
    cvat,
    geojson,
    imagej,
    jsonl,
    label_studio,
    labelme,
    masks,
    mat,
    napari,
    via,
    voc,
    yolo,
)
from dotcount.data.formats.base import FORMATS, Format, Listed, Sidecar, Table, sidecars, tables

__all__ = [
    "FORMATS",
    "Format",
    "Listed",
    "Sidecar",
    "Table",
    "coco",
    "csv",
    "cvat",
    "geojson",
    "imagej",
    "jsonl",
    "label_studio",
    "labelme",
    "masks",
    "mat",
    "napari",
    "sidecars",
    "tables",
    "via",
    "voc",
    "yolo",
]
