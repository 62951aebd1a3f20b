"""Files of tools and data sets that are not read here: what they are, and the way out. For error messages alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from dotcount.data.formats.base import head
from dotcount.data.formats.columns import plain
from dotcount.data.formats.delimited import Sheet, first_rows
from dotcount.data.formats.structured import peek_json

_COCO = "export the project as COCO JSON"
_CSV = "write a csv with the columns image, x, y"

# Keys that an object of the file has, all of them, and what has such keys; the more particular first.
_JSON: tuple[tuple[tuple[str, ...], str], ...] = (
    (("item", "annotations", "version"), f"Darwin JSON of V7: {_COCO}"),
    (("metadata", "instances"), f"SuperAnnotate's JSON: {_COCO}"),
    (("data_row", "projects"), f"Labelbox's NDJSON: convert it to COCO JSON, or {_CSV}"),
    (("External ID", "Label"), f"Labelbox's JSON: convert it to COCO JSON, or {_CSV}"),
    (("externalId", "labels"), f"Kili's JSON: {_COCO}, YOLO or Pascal VOC"),
    (("data_title", "data_units"), f"Encord's JSON: {_COCO}"),
    (("info", "categories", "items"), "Datumaro's JSON: convert it with `datum convert -f coco_instances`"),
    (("imgHeight", "imgWidth", "objects"), "polygons of Cityscapes: convert them to COCO JSON"),
    (("name", "labels", "attributes"), "JSON of BDD100K: convert it to COCO JSON with Scalabel's to_coco"),
    (("assets", "name"), "VoTT's JSON: export the project as csv"),
    (("labels", "type", "annotations"), "JSON of IBM Cloud Annotations: convert it to COCO JSON"),
    (("class", "filename", "annotations"), f"Sloth's JSON: {_CSV}"),
    (("people", "version"), "poses of OpenPose: they are predictions; " + _CSV),
    (("filename", "annotations", "metadata"), f"Dataloop's JSON: {_COCO} or YOLO"),
    (("task_id", "response"), f"Scale's JSON: {_CSV}"),
    (("source-ref",), "a manifest of SageMaker Ground Truth: convert it to COCO JSON"),
    (("image_url", "label"), f"JSON lines of Azure Machine Learning: {_COCO}"),
    (("imageGcsUri",), f"JSON lines of Vertex AI: {_CSV}"),
    (("file_name", "objects"), f"metadata of a Hugging Face image folder: convert it to COCO JSON, or {_CSV}"),
    (("ID", "gtboxes"), "annotations of CrowdHuman: convert them to COCO JSON"),
    (("image", "prefix", "suffix"), f"text for a language model: {_COCO} instead"),
    (("image", "spans"), f"JSON lines of Prodigy: {_CSV}, from the accepted examples"),
    (("image", "answer"), f"JSON lines of Prodigy: {_CSV}, from the accepted examples"),
)
_ENDS = (".json", ".jsonl", ".ndjson", ".manifest", ".odgt", ".txt")
_XML = (
    ("<ASAP_Annotations", "XML of ASAP: export the annotations as GeoJSON with QuPath"),
    ("<ndpviewstate", "annotations of Hamamatsu's NDP.view, in nm: export them as GeoJSON with QuPath"),
    ("plugins.kernel.roi", "XML of Icy: export the table of ROIs, as csv with the columns image, x, y"),
    ("<box top=", f"XML of dlib: convert it to Pascal VOC, or {_CSV}"),
)
_RUN_LENGTHS = f"masks as run lengths: write them as mask images, or {_CSV}"
_TABLES: tuple[tuple[tuple[str, ...], str], ...] = (
    (("encodedpixels",), _RUN_LENGTHS),
    (("rle",), _RUN_LENGTHS),
    (("annotation", "celltype"), _RUN_LENGTHS),
    (("subjectdata", "annotations"), f"classifications of Zooniverse: aggregate those of each image, then {_CSV}"),
    (("centeroftheobject0",), f"ilastik's table of objects, without the image: {_CSV} (the centre's _0 is x, _1 is y)"),
    (("wkt",), "places of a map as WKT: export GeoJSON, and convert the coordinates to px"),
    (("trackid", "spotid"), "tracks, not objects: export the spots of each frame"),
)
_NUMBERS = r"-?\d+(\.\d+)?"
_LINES: tuple[tuple[str, str], ...] = (
    (r"imagesource:.*", "DOTA's turned boxes: convert them to YOLO OBB"),
    (rf"({_NUMBERS} ){{8}}\S*[A-Za-z]\S*( \d)?", "DOTA's turned boxes: convert them to YOLO OBB"),
    (rf"\w+( {_NUMBERS}){{14,15}}", f"labels of KITTI: convert them to COCO JSON, or {_CSV}"),
    (rf"({_NUMBERS},){{7}}{_NUMBERS},?", f"boxes of VisDrone: convert them to COCO JSON, or {_CSV}"),
    (rf"({_NUMBERS},){{8,9}}{_NUMBERS}", f"tracks of MOTChallenge: {_CSV}, for the frames to count"),
    (r"\S+\.(jpe?g|png)( \d+,\d+,\d+,\d+,\d+)+", "boxes of a Keras YOLO: export the project as COCO JSON"),
    (r"# PASCAL Annotation Version.*", "annotations of PASCAL before VOC: convert them to Pascal VOC XML"),
    (r"Position", "Imaris's table of positions, in µm: divide them by the size of a pixel, as csv with image, x, y"),
    (r"version https://git-lfs.*", "a pointer of Git LFS, not the file itself: fetch it with `git lfs pull`"),
    (r"<(!DOCTYPE )?html.*", "a web page, not a table: download the file itself"),
)
_OUTLINES = "outlines of Cellpose: save its masks as PNG or TIFF, or its ROIs as zip"
_ZIP = "a spreadsheet or an archive under another name: save it as csv"
_WIDER = f"boxes of WIDER FACE: convert them to COCO JSON, or {_CSV}"
_COUNTS = f"counts of images without the places of objects, which are needed: {_CSV}, a row for each object"


def tool_of(path: Path) -> str | None:
    """Return what a file is and the way out, where it is of a tool or a data set that is not read; never raises.

    Examples
    --------
    >>> from pathlib import Path
    >>> _ = Path("a.txt").write_text("2 2 8 2 8 8 2 8 plane 0")
    >>> tool_of(Path("a.txt"))
    "DOTA's turned boxes: convert them to YOLO OBB"
    """
    suffix = path.suffix.lower()
    start = head(path)
    if suffix in (".xml", ".ndpa", ".kml"):
        return next((what for mark, what in _XML if mark in start), None)
    if suffix in _ENDS and start.lstrip()[:1] in ("{", "["):
        return _of_json(path, start)
    if suffix in (".csv", ".tsv", ".txt"):
        return _of_text(path, start)
    return "coordinates of landmarks: " + _CSV if suffix == ".pts" else None


def _of_json(path: Path, start: str) -> str | None:
    entry: Any = None
    if path.suffix.lower() in (".json", ".txt"):
        entry = peek_json(path)
    else:
        try:
            entry = json.loads(start.lstrip().partition("\n")[0])
        except (ValueError, RecursionError):
            keys = re.findall(r'"([^"\\]{1,40})"\s*:', start.partition("\n")[0])
            entry = dict.fromkeys(keys)  # a long line, of which the beginning was read
    if isinstance(entry, list) and entry:
        entry = entry[0]
    if not isinstance(entry, dict):
        return None
    return next((what for keys, what in _JSON if set(keys) <= set(entry)), None)


def _of_text(path: Path, start: str) -> str | None:
    if _is_zip(path):
        return _ZIP
    if path.stem.endswith("_cp_outlines"):
        return _OUTLINES
    lines = [line.strip() for line in start.splitlines() if line.strip()][:3]
    if not lines:
        return None
    for pattern, what in _LINES:
        if re.fullmatch(pattern, lines[0]):
            return what
    if len(lines) == 3 and re.fullmatch(r"\S+\.jpg", lines[0]) and lines[1].isdecimal() and len(lines[2].split()) == 10:
        return _WIDER
    sheet = first_rows(path)
    names = {plain(cell)[0] for cell in sheet.rows[0]} if sheet.rows else set()
    found = next((what for keys, what in _TABLES if set(keys) <= names), None)
    return found or (_COUNTS if _is_of_counts(sheet) else None)


def _is_of_counts(sheet: Sheet) -> bool:
    """Return whether rows are the name of an image and one number, with or without a header."""
    if not sheet.rows or any(len(row) != 2 for row in sheet.rows):
        return False
    last = sheet.rows[-1]
    return bool(re.search(r"\.(jpe?g|png|tiff?|bmp)$", last[0], re.I)) and last[1].isdecimal()


def _is_zip(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PK\x03\x04"
    except OSError:
        return False
