"""Finding out how a folder of images is annotated: pair images with annotation files, or with rows of one file."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from pathlib import Path

from dotcount.data.formats.base import FORMATS, Format, Listed, Sidecar, Table, sidecars, tables
from dotcount.data.formats.csv import read_manifest
from dotcount.data.images import is_image
from dotcount.data.layout import Entry, Layout, no_dots, split_of
from dotcount.errors import DataError

MANIFEST = "images.csv"

# Folders that say what kind of file they hold, not which images: left out when files of two folders are paired.
_ROLE = re.compile(
    r"(images?|imgs?|jpegimages|pics|photos|points?|dots?|ann|annotations?|labels?|gt|ground[-_]?truth|masks?"
    r"|csvs?|jsons?|xmls?|mats?|rois?|txts?|geojsons?|coords?|centroids?)[-_]?(csv|txt|json|xml|part)?[-_]?(\d*)",
    re.IGNORECASE,
)
_MASK_FOLDER = re.compile(
    r"(points?|dots?|ann|annotations?|labels?|gt|ground[-_]?truth|masks?|segmentations?|instances?)([-_]?\d*)", re.I
)
_MASK_NAME = re.compile(r"[-_]?(dots?|masks?|gt|labels?|instances?|seg)$", re.I)
_AFFIX = re.compile(
    r"^(gt[-_])|[-_]?(dots?|points?|cells?|ann|annotations?|masks?|gt|labels?|instances?|seg|rois?|img|image)$", re.I
)


def list_files(root: Path) -> list[Path]:
    """Return every file below ``root``, relative to it, sorted; hidden files and folders are left out."""
    found = []
    for top, folders, files in os.walk(root):
        folder = Path(top)
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        found += [(folder / name).relative_to(root) for name in sorted(files) if not name.startswith(".")]
    return sorted(found)


def _place(relative: Path) -> tuple[str, ...]:
    """Return the folders that say which images a file belongs to; of ``points_2`` only the 2 does."""
    place = []
    for part in relative.parts[:-1]:
        role = _ROLE.fullmatch(part)
        word = role.group(3) if role else part.lower()
        if word:
            place.append(word)
    return tuple(place)


def _keys(name: str) -> tuple[str, str]:
    """Return the ways in which a stem names an image: as it stands, and without words like ``dots`` or ``GT_``."""
    return name.lower(), _AFFIX.sub("", name).lower()


def pair(images: Sequence[Path], annotations: Sequence[Path]) -> dict[Path, Path]:
    """Return the annotation of each image, paired by folder and name.

    ``images/a.png`` goes with ``a.csv`` in the same folder or a sibling, with ``a.png.csv``, and, where nothing else
    fits, with names that differ by words like ``dots`` or ``GT_``: ``001cell.png`` and ``001dots.png``.
    """
    exact: dict[tuple[tuple[str, ...], str], Path] = {}
    loose: dict[tuple[tuple[str, ...], str], Path] = {}
    for path in annotations:
        place = _place(path)
        exact.setdefault((place, path.stem.lower()), path)
        loose.setdefault((place, _keys(path.stem)[1]), path)
    paired = {}
    for image in images:
        place = _place(image)
        whole, stem = image.name.lower(), image.stem
        match = exact.get((place, whole)) or exact.get((place, stem.lower())) or loose.get((place, _keys(stem)[1]))
        if match is not None:
            paired[image] = match
    return paired


def split_masks(pictures: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Return the images proper and the pictures that annotate them (dot masks, instance masks).

    A picture annotates another if it lies in a folder called ``masks``, ``dots``, ``labels`` or the like while others
    do not, or if its name is another's with a word like ``_dots`` or ``_mask`` added.
    """
    beside = [p for p in pictures if not any(_MASK_FOLDER.fullmatch(part) for part in p.parts[:-1])]
    if not beside:
        beside = list(pictures)
    plain = {(p.parent, _AFFIX.sub("", p.stem).lower()) for p in beside if not _MASK_NAME.search(p.stem)}
    images: list[Path] = []
    masks = [p for p in pictures if p not in set(beside)]
    for path in beside:
        annotates = _MASK_NAME.search(path.stem) and (path.parent, _AFFIX.sub("", path.stem).lower()) in plain
        (masks if annotates else images).append(path)
    return images, masks


def discover(root: Path, format: str = "auto") -> Layout:
    """Recognise how the images below a folder are annotated.

    Raises
    ------
    DataError
        If there is no image, or nothing that goes with the images is an annotation of a known format.
    """
    files = list_files(root)
    images, masks = split_masks([f for f in files if is_image(f)])
    if not files:
        raise DataError(f"{root} is empty; give a folder with images and their dots")
    if not images:
        raise DataError(f"{root} holds {len(files)} files but no image; give the folder that holds the images")
    others = [f for f in files if not is_image(f)]
    chosen = None if format == "auto" else FORMATS.create(format)
    for table in tables() if chosen is None else [chosen]:
        if isinstance(table, Table):
            lists = _of_format(root, others, table, forced=chosen is not None)
            if lists:
                return table_layout(root, images, lists, table)
    for sidecar in sidecars() if chosen is None else [chosen]:
        if isinstance(sidecar, Sidecar):
            candidates = masks if sidecar.pictures else others
            found = _of_format(root, candidates, sidecar, forced=chosen is not None)
            if found and pair(images, found):
                sidecar = sidecar.over([root / f for f in found])
                endings = {f.suffix.lower() for f in found}
                alike = [f for f in candidates if f.suffix.lower() in endings and f.name != MANIFEST]
                return _sidecar_layout(root, images, found, alike, sidecar)
    wanted = f"of the format {format!r}" if chosen is not None else f"of a known format ({', '.join(FORMATS)})"
    raise DataError(
        f"{root} holds {len(images)} images but no dots {wanted}; "
        "add a csv with the columns image, x, y, or name the format"
    )


def _of_format(root: Path, files: Iterable[Path], format: Format, forced: bool) -> list[Path]:
    named = [f for f in files if f.suffix.lower() in format.suffixes and f.name != MANIFEST]
    if isinstance(format, Sidecar) and not forced:
        return [f.relative_to(root) for f in format.among([root / f for f in named])]
    return [f for f in named if forced or format.recognises(root / f)]


def _sidecar_layout(
    root: Path, images: list[Path], annotations: list[Path], alike: list[Path], format: Sidecar
) -> Layout:
    """Pair images with files; a damaged file looks like none of the format, but its name says what it was."""
    paired = pair(images, alike) | pair(images, annotations)
    entries = [
        Entry(root / i, i.as_posix(), partial(format.read, root / paired[i]) if i in paired else None, split_of(i))
        for i in images
    ]
    lost = sorted(set(annotations) - set(paired.values()))
    unmatched = [f"annotation {root / f} has no image; restore the image or remove the annotation" for f in lost]
    taken: dict[Path, Path] = {}
    for image, file in paired.items():
        first = taken.setdefault(file, image)
        if first != image:
            unmatched.append(f"annotation {root / file} fits {first} and {image}; name it {image.name}{file.suffix}")
    return Layout(format.name, entries, unmatched, format.absent, summary=format.summary)


def table_layout(root: Path, images: Sequence[Path], lists: Sequence[Path], format: Table) -> Layout:
    """Return the layout of images whose dots stand in one or more tables.

    A name in a table is looked up as a path from the table's folder, then from the root, then as a bare file name
    (without suffix, if need be) below the table's folder, where only one image has it.
    """
    found: dict[Path, Listed] = {}
    unmatched: list[str] = []
    known = frozenset(images)
    for table in lists:
        below = [i for i in images if i.is_relative_to(table.parent)]
        names = _names(below)
        for name, listed in _rows(root, table, format):
            image = _lookup(name, table.parent, known, names)
            if image is None:
                unmatched.append(f"annotation {root / table} names image {name!r}, which is not there; restore it")
            elif image in found:
                unmatched.append(f"annotation {root / table} lists image {name!r} a second time; keep one list")
            else:
                found[image] = listed
    entries = []
    for image in images:
        row = found.get(image)
        split = (row.split if row else None) or split_of(image)
        labels = row.labels if row else {}
        entries.append(Entry(root / image, image.as_posix(), row.read if row else None, split, labels))
    return Layout(format.name, entries, unmatched)


def _rows(root: Path, table: Path, format: Table) -> list[tuple[str, Listed]]:
    rows = list(format.read(root / table))
    listed = {name for name, _ in rows}
    manifest = root / table.parent / MANIFEST
    if manifest.is_file():
        for name, count in read_manifest(manifest).items():
            if name not in listed and count == 0:
                rows.append((name, Listed(no_dots)))
    return rows


def _names(images: Sequence[Path]) -> dict[str, list[Path]]:
    names: dict[str, list[Path]] = defaultdict(list)
    for image in images:
        names[image.name].append(image)
        names[image.stem].append(image)
    return names


def _lookup(name: str, folder: Path, known: AbstractSet[Path], names: Mapping[str, list[Path]]) -> Path | None:
    plain = Path(name.replace("\\", "/"))
    for candidate in (folder / plain, plain, folder / "images" / plain):
        if candidate in known:
            return candidate
    same = names.get(plain.name, [])
    return same[0] if len(same) == 1 else None
