"""What speaks against the rows of a table being objects at the places that its columns seem to name."""

from __future__ import annotations

from collections import Counter

from dotcount.data.formats.columns import PX, Columns, image_of, plain
from dotcount.data.formats.delimited import Sheet, as_number, is_number
from dotcount.errors import AnnotationError

# Columns whose values come again where several rows are of one object: corners of its outline, or moments of its path.
_OF_ONE = ("polygon", "shape", "path", "contour", "outline", "track", "trajectory")
_OF_ONE_NAMES = frozenset(name + end for name in _OF_ONE for end in ("", "id", "index", "number", "no", "n°", "nr"))
_OF_ONE_NAMES |= {"tid", "particle", "particleid", "cellid", "objectid", "nucleusid", "instanceid", "spotid"}
# How many objects a row stands for, or its image holds.
_COUNTS = frozenset(
    [
        "count",
        "counts",
        "number",
        "num",
        "quantity",
        "abundance",
        "numberofobjects",
        "objectcount",
        "ncells",
        "nobjects",
    ]
)
_VERTEX_NAMES = frozenset("vertex" + end for end in ("", "id", "index", "number", "no"))
# Who placed the dot: what several people saw in one image is no sum of objects.
_PEOPLE = frozenset(
    [
        "annotator",
        "annotatedby",
        "annotatorid",
        "user",
        "userid",
        "username",
        "rater",
        "raterid",
        "observer",
        "observerid",
        "reader",
        "readerid",
        "expert",
        "labeler",
        "labeller",
        "labeledby",
        "labelledby",
        "coder",
        "worker",
        "workerid",
        "volunteer",
        "reviewer",
        "classificationid",
    ]
)
# Which part of a larger image the place is in, so that its origin may be that of the part.
_PARTS = frozenset(
    [
        "tile",
        "tileid",
        "tilex",
        "tiley",
        "tileindex",
        "patch",
        "patchid",
        "patchx",
        "patchy",
        "patchindex",
        "cropid",
        "cropx",
        "cropy",
    ]
)
# Whether the row is to be counted at all.
_KEPT = frozenset(["valid", "isvalid", "keep", "kept", "accepted", "isaccepted", "confirmed", "approved", "isobject"])
_DROPPED = frozenset(
    [
        "deleted",
        "isdeleted",
        "rejected",
        "isrejected",
        "excluded",
        "exclude",
        "discarded",
        "ignore",
        "ignored",
        "isgroupof",
        "isdepiction",
    ]
)
_NO = frozenset(("0", "0.0", "false", "no", "n", "f", ""))
# Numbers that stand for images whose names are in another table.
_IMAGE_NUMBERS = frozenset(
    ["imagenumber", "imageno", "imagenr", "imageindex", "imgnumber", "imgno", "imgindex", "imagenum", "metadataimage"]
)


def require_one_meaning(sheet: Sheet, columns: Columns) -> None:
    """Refuse rows that can be read in two ways.

    Numbers such as 1.250 beside 3,5; a unit that is stated and is not px; two places of one object; corners of outlines
    or points of paths; counts without any place; dots of several people, tiles or images; rows that are marked as none.

    Raises
    ------
    AnnotationError
        With the file, and what would make it clear.
    """
    _require_one_decimal_mark(sheet, columns)
    if columns.header:
        _require_px(sheet, columns)
        _require_objects(sheet, columns)
        _require_places(sheet, columns)
        _require_one_source(sheet, columns)
        _require_kept(sheet, columns)
        _require_counts(sheet, columns)
    _require_one_place(sheet, columns)


def _rows(sheet: Sheet, columns: Columns) -> range:
    return range(int(columns.header), len(sheet.rows))


def _require_one_decimal_mark(sheet: Sheet, columns: Columns) -> None:
    rows = _rows(sheet, columns)
    if sheet.mark != ",":
        numbers = [sheet.text(k, column) for k in rows for column in columns.place]
        comma, point = (next((n for n in numbers if mark in n), None) for mark in ",.")
        if comma is not None and point is not None:
            raise AnnotationError(
                f"annotation {sheet.path} has numbers with a comma and with a point, such as {comma} and {point}; "
                "write all with a decimal point, and without marks for thousands"
            )


def _require_px(sheet: Sheet, columns: Columns) -> None:
    rows = _rows(sheet, columns)
    if columns.unit == "auto":
        names = [plain(cell)[0] for cell in sheet.rows[0]]
        column = next((names.index(n) for n in ("unit", "units") if n in names), None)
        odd = next((u for k in rows if (u := sheet.text(k, column)) and plain(f"x {u}")[1] not in PX), None)
        if odd is not None:
            raise AnnotationError(
                f"annotation {sheet.path} states the unit {odd[:20]!r}; convert the coordinates to px of the image"
            )


def _require_objects(sheet: Sheet, columns: Columns) -> None:
    """Refuse rows of which several are of one object."""
    names = [plain(cell)[0] for cell in sheet.rows[0]]
    for column, name in enumerate(names):
        if name in _VERTEX_NAMES and len(sheet.rows) > 2:
            raise AnnotationError(
                f"annotation {sheet.path} has a column {sheet.rows[0][column]!r}: its rows are corners of outlines; "
                "write one row for each object, at its centre"
            )
        if name not in _OF_ONE_NAMES or column == columns.label:
            continue
        seen: dict[tuple[str, str], int] = {}
        for k in _rows(sheet, columns):
            value = sheet.text(k, column)
            first = seen.setdefault((image_of(sheet.text(k, columns.image), columns), value), k)
            if value and first != k and is_number(value, sheet.mark):
                raise AnnotationError(
                    f"annotation {sheet.path}, lines {sheet.lines[first]} and {sheet.lines[k]}: two rows have "
                    f"{sheet.rows[0][column]} {value}; they may be of one object, as corners or at several times; "
                    "write one row for each object, or leave out that column if each row is one"
                )


def _require_one_source(sheet: Sheet, columns: Columns) -> None:
    """Refuse dots that several people placed in one image, that lie in several tiles of it, or in several images."""
    for column, name in enumerate(plain(cell)[0] for cell in sheet.rows[0]):
        number = name in _IMAGE_NUMBERS and columns.image is None
        if column in (columns.image, columns.label) or not (name in _PEOPLE or name in _PARTS or number):
            continue
        seen: dict[str, tuple[str, int]] = {}
        for k in _rows(sheet, columns):
            value = sheet.text(k, column)
            first, line = seen.setdefault(image_of(sheet.text(k, columns.image), columns), (value, sheet.lines[k]))
            if first == value:
                continue
            if number:
                why = "the dots are of several images; add a column with their names"
            elif name in _PEOPLE:
                why = "an object may be there once for each person; keep the rows of one, or put them together"
            else:
                why = "the places may be within parts of the image; write them within the whole, without that column"
            raise AnnotationError(
                f"annotation {sheet.path}, lines {line} and {sheet.lines[k]}: the column {sheet.rows[0][column]!r} has "
                f"{first[:20]!r} and {value[:20]!r} in one image: {why}"
            )


def _require_kept(sheet: Sheet, columns: Columns) -> None:
    """Refuse rows of which some are marked as no objects."""
    for column, name in enumerate(plain(cell)[0] for cell in sheet.rows[0]):
        if column == columns.label or not (name in _KEPT or name in _DROPPED):
            continue
        for k in _rows(sheet, columns):
            if (sheet.text(k, column).lower() in _NO) == (name in _KEPT):
                raise AnnotationError(
                    f"annotation {sheet.path}, line {sheet.lines[k]}: {sheet.text(k, column)[:20]!r} in the column "
                    f"{sheet.rows[0][column]!r} may say that the row is no object; remove such rows and that column"
                )


def _require_counts(sheet: Sheet, columns: Columns) -> None:
    """Refuse rows that stand for several objects, and counts of images that are not the number of their rows."""
    rows = [k for k in _rows(sheet, columns) if any(sheet.text(k, c) for c in columns.place)]
    number = Counter(image_of(sheet.text(k, columns.image), columns) for k in rows)
    for column, name in enumerate(plain(cell)[0] for cell in sheet.rows[0]):
        if name not in _COUNTS or column == columns.label:
            continue
        stated = [(k, as_number(v, sheet.mark)) for k in rows if is_number(v := sheet.text(k, column), sheet.mark)]
        values: dict[str, list[float]] = {}
        for k, value in stated:
            values.setdefault(image_of(sheet.text(k, columns.image), columns), []).append(value)
        every = [value for _, value in stated]
        if _numbers_rows(every) or all(len(own) > 1 and _numbers_rows(own) for own in values.values()):
            continue
        for k, value in stated:
            found = number[image_of(sheet.text(k, columns.image), columns)]
            if value not in (1, found):
                raise AnnotationError(
                    f"annotation {sheet.path}, line {sheet.lines[k]}: {value:g} in the column "
                    f"{sheet.rows[0][column]!r}, while the image has {found} rows; "
                    "write one row for each object, or leave out that column"
                )


def _numbers_rows(values: list[float]) -> bool:
    """Return whether values count the rows on, from 0 or 1."""
    return values in (list(range(len(values))), list(range(1, len(values) + 1)))


def _require_places(sheet: Sheet, columns: Columns) -> None:
    """Refuse a table that counts: not one row has a place, while other columns hold numbers."""
    rows = _rows(sheet, columns)
    if not rows or columns.image is None or any(sheet.text(k, c) for k in rows for c in columns.place):
        return
    known = {columns.image, columns.label, columns.plane, *columns.place, *(columns.size or ()), *(columns.sides or ())}
    for column in set(range(len(sheet.rows[0]))) - known:
        odd = next(
            (v for k in rows if is_number(v := sheet.text(k, column), sheet.mark) and as_number(v, sheet.mark) > 0),
            None,
        )
        if odd is not None:
            raise AnnotationError(
                f"annotation {sheet.path} has no place in any row, and numbers such as {odd} in the column "
                f"{sheet.rows[0][column]!r}; counts alone do not say where objects are: export their places"
            )


def _require_one_place(sheet: Sheet, columns: Columns) -> None:
    rows = _rows(sheet, columns)
    if columns.rival is None:
        return
    for k in rows:
        there = [(sheet.text(k, a), sheet.text(k, b)) for a, b in zip(columns.place, columns.rival)]
        if all(map(all, there)) and any(
            abs(sheet.number(k, a) - sheet.number(k, b)) > 1 for a, b in zip(columns.place, columns.rival)
        ):
            one, other = (", ".join(sheet.rows[0][c] for c in place) for place in (columns.place, columns.rival))
            raise AnnotationError(
                f"annotation {sheet.path} states two places of one object, in {one} and in {other}, which differ in "
                f"line {sheet.lines[k]}; leave out the columns that are not its place"
            )
