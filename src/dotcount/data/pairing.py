"""Files that go with images by folder and name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from dotcount.data.resolver import OME, fold

# Folders that say what kind of file they hold, not which images: left out when files of two folders are paired.
ROLE = re.compile(
    r"(images?|imgs?|jpegimages|pics|photos|points?|dots?|ann|annotations?|labels?|gts?|ground[-_]?truth|masks?"
    r"|csvs?|jsons?|xmls?|mats?|rois?|txts?|geojsons?|coords?|centroids?)[-_]?(csv|txt|json|xml|part)?[-_]?(\d*)",
    re.IGNORECASE,
)
_MASK_FOLDER = re.compile(
    r"(points?|dots?|ann|annotations?|labels?|gts?|ground[-_]?truth|masks?|segmentations?|instances?)([-_]?\d*)", re.I
)
# As Cellpose, StarDist, ilastik and others name the masks that they write beside an image.
_MASK_WORDS = (
    r"(cp[-_ ])?masks?|dots?|gt|(star)?dist[-_ ]labels?|label[-_ ]?(image|img|mask|map)s?|labels?|instances?"
    r"|object[-_ ]identities|simple[-_ ]segmentation|segmentations?|seg"
)
_MASK_NAME = re.compile(rf"^((gt|masks?|labels?)[-_])|[-_ ]?({_MASK_WORDS})$", re.I)
_AFFIX = re.compile(
    rf"^((gt|masks?|labels?)[-_])|[-_ ]?({_MASK_WORDS}|points?|cells?|ann|annotations?|rois?|img|image|rgb)$", re.I
)
# What follows the name of an image in that of the mask of one of its objects.
_NUMBER = re.compile(r"[-_ ]((mask|object|obj|instance|inst|cell|nucleus|leaf|roi|label|id)[-_ ]?)?\d+", re.I)


def _place(relative: Path) -> tuple[str, ...]:
    """Return the folders that say which images a file belongs to; of ``points_2`` only the 2 does."""
    place = []
    folders = relative.parts[:-1]
    if folders[-1:] == ("TRA",) and folders[-2:-1] and folders[-2].endswith("_GT"):
        folders = (*folders[:-2], folders[-2].removesuffix("_GT"))
    for part in folders:
        role = ROLE.fullmatch(part)
        word = role.group(3) if role else fold(part)
        if word:
            place.append(word)
    return tuple(place)


def _keys(name: str) -> tuple[str, str]:
    """Return the ways in which a stem names an image: as it stands, and without words like ``dots`` or ``GT_``."""
    return fold(name), fold(_AFFIX.sub("", name))


def pair(images: Sequence[Path], annotations: Sequence[Path]) -> dict[Path, Path]:
    """Return the annotation of each image, paired by folder and name.

    ``images/a.png`` goes with ``a.csv`` in the same folder or a sibling, with ``a.png.csv``, and, where nothing else
    fits, with names that differ by words like ``dots`` or ``GT_``: ``001cell.png`` and ``001dots.png``.
    """
    literal: dict[tuple[tuple[str, ...], str], Path] = {}
    exact: dict[tuple[tuple[str, ...], str], Path] = {}
    loose: dict[tuple[tuple[str, ...], str], Path] = {}
    for path in annotations:
        place = _place(path)
        literal.setdefault((place, path.stem), path)
        exact.setdefault((place, fold(path.stem)), path)
        if (tracked := _TRACKED.fullmatch(path.stem)) and tracked[1] == "track":
            exact.setdefault((place, f"t{tracked[2]}"), path)
        loose.setdefault((place, _keys(path.stem)[1]), path)
    paired = {}
    for image in images:
        place = _place(image)
        whole, stem = fold(image.name), image.stem
        match = (
            literal.get((place, image.name))
            or exact.get((place, whole))
            or literal.get((place, stem))
            or exact.get((place, fold(stem)))
            or exact.get((place, fold(stem).removesuffix(OME)))
            or loose.get((place, fold(stem)))
            or loose.get((place, _keys(stem)[1]))
        )
        if match is not None:
            paired[image] = match
    return paired


# Names of masks that are of no image in particular: numbers, with or without a word, and sums of bits.
_OF_NO_IMAGE = re.compile(r"([a-z]+[-_ ]?)?\d+|[0-9a-f]{6,}", re.I)
# Marks of the Cell Tracking Challenge: 01_GT/TRA/man_track000.tif is of 01/t000.tif.
_TRACKED = re.compile(r"man_(track|seg)_?(\d{3,}).*", re.I)


def marks_a_part(mask: Path) -> bool:
    """Return whether a mask is one of the Cell Tracking Challenge that need not mark every object of its image."""
    tracked = _TRACKED.fullmatch(mask.stem)
    return tracked is not None and tracked[1].lower() == "seg"


def group(images: Sequence[Path], masks: Sequence[Path]) -> dict[Path, list[Path]]:
    """Return the masks of each image where every object has a mask of its own.

    They lie in a folder beside that of their only image (``x/images/a.png``, ``x/masks/*.png``), in a folder called as
    the image (``masks/a/*.png``), or are called as the image with a number (``masks/a_1.png``, ``a_mask_02.png``).
    """
    named = {(_place(image), fold(image.stem)): image for image in images}
    only: dict[tuple[str, ...], Path | None] = {}
    for image in images:
        place = _place(image)
        only[place] = None if place in only else image
    strange = {_place(mask) for mask in masks if not _OF_NO_IMAGE.fullmatch(mask.stem)}
    only = {p: i for p, i in only.items() if i and (p not in strange or (p and p[-1] == fold(i.stem)))}
    found: dict[Path, list[Path]] = {}
    for mask in masks:
        place, stem = _place(mask), fold(mask.stem)
        image_of = only.get(place) or (named.get((place[:-1], place[-1])) if place else None)
        if image_of is None:
            cuts = (k for k in range(len(stem) - 1, 0, -1) if _NUMBER.fullmatch(stem, k))
            image_of = next((named[place, stem[:k]] for k in cuts if (place, stem[:k]) in named), None)
        if image_of is not None:
            found.setdefault(image_of, []).append(mask)
    return found


def split_masks(pictures: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Return the images proper and the pictures that annotate them (dot masks, instance masks).

    A picture annotates another if it lies in a folder called ``masks``, ``dots``, ``labels`` or the like while others
    do not, or if its name is another's with a word like ``_dots`` or ``_mask`` added.
    """
    beside = [
        p
        for p in pictures
        if not any(_MASK_FOLDER.fullmatch(part) for part in p.parts[:-1]) and not _TRACKED.fullmatch(p.stem)
    ]
    if not beside:
        beside = list(pictures)
    named = [p for p in beside if not _MASK_NAME.search(p.stem)]
    plain = {(p.parent, key) for p in named for key in (p.stem.lower(), _AFFIX.sub("", p.stem).lower())}
    images: list[Path] = []
    among = set(beside)
    masks = [p for p in pictures if p not in among]
    for path in beside:
        annotates = _MASK_NAME.search(path.stem) and (path.parent, _AFFIX.sub("", path.stem).lower()) in plain
        (masks if annotates else images).append(path)
    return images, masks
