"""What was found where nothing was recognised: for the error, and for ``dotcount data info``."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dotcount.data.formats.base import Format, Sidecar, head, read_text, sidecars, tables
from dotcount.data.formats.structured import peek_json
from dotcount.data.images import is_image, unreadable_kind
from dotcount.data.listing import list_files
from dotcount.data.pairing import pair, split_masks
from dotcount.data.records import LeftOut, describe_left_out
from dotcount.data.tools import tool_of
from dotcount.errors import AnnotationError, DataError

_SHOWN = 6
_TRIED = 50  # files of one ending that are looked into
_HINTS = {
    ".xlsx": "a spreadsheet: save it as csv",
    ".xls": "a spreadsheet: save it as csv",
    ".ods": "a spreadsheet: save it as csv",
    ".numbers": "a spreadsheet: export it as csv",
    ".npy": "a NumPy array: write it as csv with the columns x, y",
    ".npz": "NumPy arrays: write them as csv with the columns x, y",
    ".pkl": "a pickle, which is not safe to open: write it as csv with the columns image, x, y",
    ".parquet": "a Parquet table: write it as csv with the columns image, x, y",
    ".kmz": "an archive of KML: unpack it",
    ".qpdata": "QuPath's own data: export the objects as GeoJSON",
    ".qpproj": "a QuPath project: export the objects as GeoJSON",
    ".tfrecord": "TFRecord: export it as COCO JSON",
    ".record": "TFRecord: export it as COCO JSON",
    ".zip": "an archive: unpack it",
    ".tar": "an archive: unpack it",
    ".gz": "an archive: unpack it",
    ".7z": "an archive: unpack it",
    ".rar": "an archive: unpack it",
}


@dataclass(frozen=True)
class Evidence:
    """What one format makes of the files: how many have its ending, how many are of it, and why one is not."""

    format: str
    files: int
    recognised: int
    file: Path
    objection: str
    near: bool


def counted(files: Iterable[Path]) -> str:
    """Return the number of files by ending, the most frequent first: ``12 .png, 1 .csv``."""
    number = Counter(f.suffix.lower() or "without ending" for f in files).most_common()
    rest = sum(n for _, n in number[_SHOWN:])
    return ", ".join([f"{n:,} {kind}" for kind, n in number[:_SHOWN]] + ([f"{rest:,} others"] if rest else []))


def evidence(root: Path, images: Sequence[Path], files: Sequence[Path]) -> list[Evidence]:
    """Return what each format that has files of its ending says about them, near misses first."""
    found = []
    for format in (*tables(), *sidecars()):
        named = [f for f in files if f.suffix.lower() in format.suffixes][:_TRIED]
        if not named or (isinstance(format, Sidecar) and format.pictures):
            continue
        recognised = [f for f in named if format.recognises(root / f)]
        said = [(f, text) for f in named if f not in recognised and (text := format.objection(root / f))]
        if recognised:
            lost = isinstance(format, Sidecar) and not pair(images, recognised)
            why = "none goes with an image by its name; call the file as its image" if lost else "it can be read"
            found.append(Evidence(format.name, len(named), len(recognised), recognised[0], why, lost))
        elif said:
            found.append(Evidence(format.name, len(named), 0, *said[0], near=True))
        else:
            found.append(Evidence(format.name, len(named), 0, named[0], f"it is no {format.title}", near=False))
    return sorted(found, key=lambda e: not e.near)


@dataclass(frozen=True)
class FormatSurvey:
    """What lies at a place, and what each format makes of it.

    ``files`` are the numbers by ending; ``unknown`` describes files that no format knows.
    """

    images: int
    files: str
    evidence: list[Evidence]
    unknown: list[str]
    left_out: list[LeftOut]


def survey(root: Path) -> FormatSurvey:
    """Return what lies below a folder, or beside an annotation file, for people whose data is not recognised.

    Raises
    ------
    DataError
        If there is nothing at the path, or nothing but results of this package.
    """
    if not root.exists():
        raise DataError(f"{root} does not exist; check the path")
    listing = list_files(root if root.is_dir() else root.parent)
    images, masks = split_masks([f for f in listing.files if is_image(f)])
    kinds = {f: unreadable_kind(f) for f in listing.files if not is_image(f)}
    others = [f for f, kind in kinds.items() if kind is None]
    unreadable = [LeftOut(f.as_posix(), kind) for f, kind in kinds.items() if kind is not None]
    found = evidence(listing.root, images, others)
    known = {e.file for e in found if e.near or e.recognised}
    unknown = [described(listing.root / f, f) for f in sorted(others, key=_promise) if f not in known]
    number = counted(listing.files) + (f" ({len(masks)} look like masks of images)" if masks else "")
    return FormatSurvey(
        len(images), number, found, [t for t in unknown if t][:_SHOWN], [*listing.left_out, *unreadable]
    )


def nothing_found(
    root: Path, images: Sequence[Path], files: Sequence[Path], chosen: Format | None, left_out: Sequence[LeftOut]
) -> str:
    """Return the error for images without dots: what lies there, what it nearly was, and what to do."""
    if chosen is not None:
        wanted = f"of the format {chosen.name!r}"
        named = [f for f in files if f.suffix.lower() in chosen.suffixes]
        said = next((f"; {f}: {text}" for f in named if (text := chosen.objection(root / f))), "")
        ends = f"; its files end in {' or '.join(chosen.suffixes)}" if not named else said
        return f"{root} holds {len(images)} images but no dots {wanted}{ends}; name another format, or auto"
    text = f"{root} holds {len(images)} images but no dots of a known format"
    for file in files[:_TRIED]:
        if (tool := tool_of(root / file)) is not None:
            return f"{text}: {file} is {tool}"
    near = next((e for e in evidence(root, images, files) if e.near), None)
    if near is not None:
        return f"{text}: {near.file} is nearly {near.format}: {near.objection}"
    unknown = [described(root / f, f) for f in sorted(files, key=_promise)[:2]]
    beside = f" (beside them: {counted(files)})" if files else " (beside them: nothing)"
    known = f"; {'; '.join(t for t in unknown if t)}" if any(unknown) else ""
    if left_out:
        beside += f"; {describe_left_out(left_out)}"
    remedy = "add a csv with the columns image, x, y; `dotcount data info` tells what was looked at"
    return f"{text}{beside}{known}; {remedy}"


def _promise(file: Path) -> tuple[bool, str]:
    known = {suffix for format in (*tables(), *sidecars()) for suffix in format.suffixes} | set(_HINTS)
    return file.suffix.lower() not in known, file.as_posix()


def described(path: Path, shown: Path) -> str:
    """Return what a file of no known format is, as far as can be seen; empty if it can't be."""
    suffix = path.suffix.lower()
    if (tool := tool_of(path)) is not None:
        return f"{shown} is {tool}"
    if suffix in _HINTS:
        return f"{shown} is {_HINTS[suffix]}"
    if suffix in (".csv", ".tsv", ".txt"):
        return _header(path, shown)
    if suffix in (".json", ".geojson"):
        content = peek_json(path)
        if isinstance(content, list) and content:
            content = content[0]
        if isinstance(content, dict):
            keys = ", ".join(map(repr, list(content)[:_SHOWN]))
            return f"{shown} is JSON with the keys {keys}"
        return f"{shown} is no JSON that can be read" if content is None else ""
    if suffix == ".xml":
        first = next((line for line in head(path).splitlines() if line.startswith("<") and line[1:2].isalpha()), "")
        return f"{shown} is XML that begins with {first[:60]}" if first else ""
    return ""


def _header(path: Path, shown: Path) -> str:
    try:
        lines = [line for line in read_text(path, "latin-1").splitlines() if line.strip()][:2]
        mark = max(",;\t", key=lambda m: lines[0].count(m)) if lines else ","
        cells = next(csv.reader(lines[:1], delimiter=mark), [])
    except (AnnotationError, csv.Error):
        return ""
    if not cells:
        return f"{shown} is empty"
    return f"{shown} begins with {', '.join(map(repr, [c.strip()[:30] for c in cells[:_SHOWN]]))}"
