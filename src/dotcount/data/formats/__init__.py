"""Annotation formats, one file a format; importing this package registers them all."""

from __future__ import annotations

from dotcount.data.formats import (
    cell_counter,
    coco,
    csv,
    cvat,
    dotdotgoose,
    geojson,
    imagej,
    jsonl,
    label_studio,
    labelme,
    masks,
    mat,
    napari,
    qupath,
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
    "cell_counter",
    "coco",
    "csv",
    "cvat",
    "dotdotgoose",
    "geojson",
    "imagej",
    "jsonl",
    "label_studio",
    "labelme",
    "masks",
    "mat",
    "napari",
    "qupath",
    "sidecars",
    "tables",
    "via",
    "voc",
    "yolo",
]
