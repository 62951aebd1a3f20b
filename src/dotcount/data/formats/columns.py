"""What the columns of a table of objects mean: image, place, class, stated size, and the unit of the place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from dotcount.data.formats.delimited import Sheet, is_number
from dotcount.data.images import is_image

Unit = Literal["auto", "positions", "centres", "shares", "percent"]
"""``auto``: whole numbers are pixels, others positions; ``positions``: px from the corner; ``centres``: px from the
centre of the first pixel; ``shares`` and ``percent`` of the image."""

IMAGE_NAMES = ("image", "imagepath", "imagename", "imagefile", "imagefilename", "imagetitle", "imageid", "filename") + (
    ("filepath", "file", "path", "img", "imgname", "imgpath", "slide", "photo", "picture")
)
_WEAK_IMAGE_NAMES = ("name", "label", "title", "id", "source", "url")  # as often of the object as of the image
CLASS_NAMES = ("class", "label", "category", "type", "classname", "labelname", "classification", "species")
_PLACES = tuple(
    (name.replace("*", "x"), name.replace("*", "y"))
    for name in (
        *("*", "*coord", "*coordinate", "*pos", "*position", "pos*", "position*", "coord*", "c*", "*c", "*center"),
        *("*centre", "center*", "centre*", "centroid*", "*centroid", "point*", "*point", "location*", "*loc", "*pixel"),
    )
) + (("column", "row"), ("col", "row"))
# Counted from the centre of the first pixel: scikit-image's tables of regions, CellProfiler.
_CENTRES = (
    ("centroid1", "centroid0"),
    ("locationcenterx", "locationcentery"),
    ("areashapecenterx", "areashapecentery"),
)
_BOXES = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x1", "y1", "x2", "y2"),
    ("x0", "y0", "x1", "y1"),
    ("left", "top", "right", "bottom"),
    ("bboxxmin", "bboxymin", "bboxxmax", "bboxymax"),
    ("minx", "miny", "maxx", "maxy"),
)
_SIDED_BOXES = (("bboxx", "bboxy", "bboxwidth", "bboxheight"), ("left", "top", "width", "height"))
_SIZES = (("imagewidth", "imageheight"), ("imgwidth", "imgheight"))
_SIDES = (("width", "height"), ("w", "h"))
_PLANE = re.compile(
    r"((slice|frame|plane|page|time|timepoint|zslice|zplane|layer|stack)(no|nr|n°|number|num|idx|index|id|s|sec|ms|min|h)?"
    r"|z|t|positionz|posz|ts|tsec)([\[(].*[\])])?"
)
_MAP = ("lon", "long", "longitude", "lat", "latitude", "lng", "easting", "northing", "utmx", "utmy", "pointx_m")
_KNOWN_UNITS: dict[Unit | None, tuple[str, ...]] = {
    "auto": ("px", "pixel", "pixels", "pix"),
    "shares": ("norm", "normalized", "normalised", "rel", "relative", "frac", "fraction", "share", "shares"),
    "percent": ("%", "percent", "pct", "percentage"),
    None: ("µm", "μm", "um", "micron", "microns", "nm", "mm", "cm", "m", "inch", "in", "deg"),
}
PX = (None, *_KNOWN_UNITS["auto"])
_UNITS = {name: unit for unit, names in _KNOWN_UNITS.items() for name in names}
_WITH_UNIT = re.compile(r"(?P<name>.*?)[\s_\-]*[\s_\-(\[]\s*(?P<unit>[a-zµμ%]+)\s*[)\]]?")


def _is_image(name: str) -> bool:
    return is_image(Path(name.replace("\\", "/")))


@dataclass(frozen=True)
class Columns:
    """Where in a row the values stand.

    ``place`` holds the columns of x and y, or of the corners of a box; ``sided``: of a corner and the sides of a box.
    ``sides`` are columns called width and height that may be of the image or of the object; ``plane``: of a stack.
    ``rival`` are other columns that may be x and y.
    """

    place: tuple[int, ...]
    unit: Unit = "auto"
    sided: bool = False
    image: int | None = None
    weak: bool = False
    label: int | None = None
    size: tuple[int, int] | None = None
    sides: tuple[int, int] | None = None
    plane: int | None = None
    header: bool = True
    imagej: bool = False
    rival: tuple[int, int] | None = None


def plain(name: str) -> tuple[str, str | None]:
    """Return the name of a column without case, blanks and unit, and the unit.

    Examples
    --------
    >>> plain("Centroid X µm"), plain("X (px)"), plain("x_norm"), plain("Image Name")
    (('centroidx', 'µm'), ('x', 'px'), ('x', 'norm'), ('imagename', None))
    """
    text = name.strip().lower().lstrip("#").strip().strip('"')
    found = _WITH_UNIT.fullmatch(text)
    unit = found["unit"] if found is not None and found["unit"] in _UNITS and found["name"] else None
    if unit is not None and found is not None:
        text = found["name"]
    return re.sub(r"[\s_\-.:]", "", text), unit


def find_columns(sheet: Sheet) -> Columns | None:
    """Return what the columns of a sheet mean, or ``None`` where it holds no places of objects.

    Without a header: two numbers, or a name with two (x and y), or with four between the name and a class (a box).
    """
    if not sheet.rows:
        return None
    found = _bare(sheet) or _named(sheet)
    if found is not None and found.weak and found.image is not None and not _names_images(sheet, found):
        label = None if found.imagej else _find([plain(cell)[0] for cell in sheet.rows[0]], CLASS_NAMES)
        found = replace(found, image=None, label=label)
    if found is not None and found.header and found.image is None:
        named = replace(found, image=_image_column(sheet))
        return named if named.image is not None and _names_images(sheet, named) else found
    return found


def _image_column(sheet: Sheet) -> int | None:
    """Return the first column that holds names of images and nothing else, whatever it is called: ``Bild``."""
    for column in range(len(sheet.rows[0])):
        names = (sheet.text(k, column) for k in range(1, len(sheet.rows)))
        if (first := next(names, "")) and _is_image(first) and all(not name or _is_image(name) for name in names):
            return column
    return None


def _names_images(sheet: Sheet, columns: Columns) -> bool:
    """Return whether a column that may be of the image or of the object names images, other than that beside it."""
    assert columns.image is not None
    names = {image_of(sheet.text(k, columns.image), columns) for k in range(1, len(sheet.rows))}
    stems = {Path(name.replace("\\", "/")).stem.lower() for name in names}
    return bool(names) and all(map(_is_image, names)) and stems != {sheet.path.stem.lower()}


def image_of(name: str, columns: Columns) -> str:
    """Return the name of the image in a cell: ImageJ's labels have the slice and the selection after a colon."""
    return name.split(":", 1)[0] if columns.imagej else name


def _bare(sheet: Sheet) -> Columns | None:
    """Return the columns of a sheet without header, by the kinds of the cells in its first row."""
    first = sheet.rows[0]
    kinds = "".join("n" if is_number(cell, sheet.mark) else "-" if not cell else "t" for cell in first)
    if kinds == "nn":
        return Columns((0, 1), header=False)
    if kinds == "nnt":
        return Columns((0, 1), label=2, header=False)
    if kinds in ("tnn", "tnnt"):
        return Columns((1, 2), image=0, label=3 if len(kinds) == 4 else None, header=False)
    if kinds in ("tnnnnt", "t-----") and _is_image(first[0]):  # RetinaNet
        return Columns((1, 2, 3, 4), image=0, label=5, header=False)
    if kinds == "tnntnn" and _is_image(first[3]):  # makesense.ai, points
        return Columns((1, 2), image=3, label=0, size=(4, 5), header=False)
    if kinds == "tnnnntnn" and _is_image(first[5]):  # makesense.ai, boxes
        return Columns((1, 2, 3, 4), sided=True, image=5, label=0, size=(6, 7), header=False)
    return None


def _named(sheet: Sheet) -> Columns | None:
    cells = sheet.rows[0]
    named = [plain(cell) for cell in cells]
    names = [name for name, _ in named]
    place, unit, sided = _place(cells, names, [unit for _, unit in named])
    if place is None:
        return None
    imagej = names[:2] == ["", "label"]
    image = _find(names, IMAGE_NAMES) if not imagej else names.index("label")
    weak = image is None or imagej
    if image is None:
        image = _find(names, _WEAK_IMAGE_NAMES)
    # ImageJ's results start with an unnamed number, and their Label is the image, not a class.
    label = _find(names, [n for n in CLASS_NAMES if not (weak and image is not None and names[image] == n)])
    size = next((_pair(names, pair) for pair in _SIZES if _pair(names, pair)), None)
    own_box = imagej or "bx" in names or sided
    sides = None if own_box else next((_pair(names, pair) for pair in _SIDES if _pair(names, pair)), None)
    plane = next((k for k, name in enumerate(names) if _PLANE.fullmatch(name) and k not in (*place, image)), None)
    rival = _rival(named, place) if len(place) == 2 else None
    return Columns(place, unit, sided, image, weak, label, size, sides, plane, True, imagej, rival)


def _rival(named: Sequence[tuple[str, str | None]], place: Sequence[int]) -> tuple[int, int] | None:
    """Return other columns that may be x and y in px."""
    for x, y in _PLACES:
        found = next(((named.index((x, u)), named.index((y, u))) for u in PX if {(x, u), (y, u)} <= set(named)), None)
        if found is not None and not set(found) & set(place):
            return found
    return None


def _place(
    cells: Sequence[str], names: Sequence[str], units: Sequence[str | None]
) -> tuple[tuple[int, ...] | None, Unit, bool]:
    """Return the columns of the place, its unit and whether it is a box given by a corner and its sides."""
    for sided, known in ((False, _BOXES), (True, _SIDED_BOXES)):
        for box in known:
            if box[0] == "x1" and "x3" in names:  # corners of an outline
                return None, "auto", False
            if all(name in names for name in box):
                place = tuple(names.index(name) for name in box)
                unit = _unit_of(units, place)
                return (place if unit is not None else None), unit or "auto", sided
    for pair in _CENTRES:
        if all(name in names for name in pair):
            return (names.index(pair[0]), names.index(pair[1])), "centres", False
    raw = [cell.strip().lower() for cell in cells]
    if "x_px" in raw and "y_px" in raw:
        return (raw.index("x_px"), raw.index("y_px")), "positions", False
    for x, y in _PLACES:
        if x in names and y in names:
            if _is_double(names, units, x, y):
                return None, "auto", False
            found = _with_known_unit(names, units, x, y)
            unit = _unit_of(units, found) if found else None
            return (found if unit is not None else None), unit or "auto", False
    if "xm" in names and "ym" in names and units[names.index("xm")] is None:  # ImageJ's centres of mass
        return (names.index("xm"), names.index("ym")), "auto", False
    return None, "auto", False


def _is_double(names: Sequence[str], units: Sequence[str | None], x: str, y: str) -> bool:
    """Return whether two columns have one name and one unit, so that it is unclear which is meant."""
    found = [pair for pair in zip(names, units) if pair[0] in (x, y)]
    return len(set(found)) < len(found)


def _with_known_unit(names: Sequence[str], units: Sequence[str | None], x: str, y: str) -> tuple[int, int] | None:
    """Return the columns of x and y; of several, in px and in µm, those whose unit can be used."""
    xs = [k for k, name in enumerate(names) if name == x]
    ys = [k for k, name in enumerate(names) if name == y]
    pairs = [(a, b) for a in xs for b in ys if units[a] == units[b]]
    return next((pair for pair in pairs if _unit_of(units, pair)), None)


def _unit_of(units: Sequence[str | None], place: Sequence[int]) -> Unit | None:
    """Return the unit that all columns of a place have; ``None`` if they differ or it is none of images."""
    found = {units[k] for k in place}
    unit = next(iter(found))
    if len(found) > 1:
        return None
    return "auto" if unit is None else _UNITS[unit]


def _find(names: Sequence[str], known: Sequence[str]) -> int | None:
    return next((names.index(k) for k in known if k in names), None)


def _pair(names: Sequence[str], pair: tuple[str, str]) -> tuple[int, int] | None:
    return (names.index(pair[0]), names.index(pair[1])) if all(name in names for name in pair) else None


def why_not(sheet: Sheet) -> str | None:
    """Return why a sheet that nearly holds places of objects does not; ``None`` if it is something else."""
    if not sheet.rows or find_columns(sheet) is not None:
        return None
    named = [plain(cell) for cell in sheet.rows[0]]
    names = [name for name, _ in named]
    if any(name in _MAP for name in names):
        return "its columns are map coordinates; convert them to px of the image, in columns called x and y"
    if any(x in names and y in names and _is_double(names, [u for _, u in named], x, y) for x, y in _PLACES):
        return "columns of x and y are there twice; leave out those that are not the places of objects"
    if {"x1", "y1", "x2", "y2", "x3", "y3"} <= set(names):
        return "its columns are the corners of outlines; write one row for each object, with x and y of its centre"
    physical = [unit for name, unit in named if unit in _UNITS and _UNITS[unit] is None and name.strip("xy") != name]
    if physical:
        return f"its coordinates are in {physical[0]}; export them in px, or divide them by the size of a pixel"
    if any(x in names for x, _ in _PLACES) != any(y in names for _, y in _PLACES):
        return f"of x and y only one is there; it begins with {', '.join(sheet.rows[0][:6])}"
    return None
