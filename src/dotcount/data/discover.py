"""Finding out how a folder of images is annotated: pair images with annotation files, or with rows of one file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

from dotcount.data.explain import nothing_found
from dotcount.data.formats.base import FORMATS, Format, Sidecar, Table, annotation_bytes, sidecars, tables
from dotcount.data.formats.csv import is_manifest
from dotcount.data.formats.object_masks import ObjectMasks
from dotcount.data.images import is_image, unreadable_kind
from dotcount.data.layout import Dots, Entry, Layout, ReadDots, no_dots, split_of
from dotcount.data.listing import list_files
from dotcount.data.mentions import as_layout, find_mentions, table_layout
from dotcount.data.pairing import ROLE, group, marks_a_part, pair, split_masks
from dotcount.data.records import LeftOut
from dotcount.data.resolver import fold
from dotcount.errors import AnnotationError, DataError

_TEXT = frozenset((".csv", ".tsv", ".txt"))
_BLANK = 64  # bytes up to which a text file may be blank


@dataclass(frozen=True)
class Found:
    """The files below a root by what they are: images, pictures that annotate images, all others."""

    root: Path
    images: list[Path]
    masks: list[Path]
    others: list[Path]
    left_out: list[LeftOut]

    def of_format(self, format: Format, forced: bool) -> list[Path]:
        """Return the files that are of a format; with ``forced`` all that have its ending."""
        pictures = isinstance(format, Sidecar) and format.pictures
        named = [f for f in (self.masks if pictures else self.others) if f.suffix.lower() in format.suffixes]
        helpers = format.helpers if isinstance(format, Sidecar) else ()
        named = [f for f in named if not is_manifest(self.root / f) and f.name not in helpers]
        if forced:
            return named
        if isinstance(format, Sidecar):
            return [f.relative_to(self.root) for f in format.among([self.root / f for f in named])]
        return [f for f in named if format.recognises(self.root / f)]


def look(root: Path) -> Found:
    """Return what lies below a folder.

    Raises
    ------
    DataError
        If there is no image.
    """
    listing = list_files(root)
    left_out = list(listing.left_out)
    pictures, others = [], []
    for file in listing.files:
        kind = None if is_image(file) else unreadable_kind(root / file)
        if is_image(file):
            pictures.append(file)
        elif kind is not None:
            left_out.append(LeftOut(file.as_posix(), kind))
        else:
            others.append(file)
    images, masks = split_masks(pictures)
    partly = "a segmentation of the Cell Tracking Challenge, which need not mark all objects; man_track in TRA does"
    left_out += [LeftOut(f.as_posix(), partly) for f in masks if marks_a_part(f)]
    masks = [f for f in masks if not marks_a_part(f)]
    if not images:
        examples = [f"{each.path} ({each.reason})" for each in left_out[:3]]
        more = f"; left out: {', '.join(examples)}{', ...' if len(left_out) > 3 else ''}" if examples else ""
        if not listing.files and not examples:
            raise DataError(f"{root} is empty; give a folder with images and their dots")
        number = len(listing.files)
        raise DataError(f"{root} holds {number} files but no image; give the folder that holds the images{more}")
    return Found(root, images, masks, others, left_out)


def discover(root: Path, format: str = "auto") -> Layout:
    """Recognise how the images below a folder are annotated.

    Raises
    ------
    DataError
        If there is no image, or nothing that goes with the images is an annotation of a known format.
    """
    found = look(root)
    chosen = None if format == "auto" else FORMATS.create(format)
    layout, used = _layout(found, chosen)
    if layout is None:
        lone = [
            LeftOut(f.as_posix(), "a picture that looks like a mask, of no known kind or name") for f in found.masks
        ]
        raise DataError(nothing_found(root, found.images, found.others, chosen, [*found.left_out, *lone]))
    return replace(layout, left_out=[*found.left_out, *layout.left_out, *_unused(found, layout.format, used)])


def recognise(found: Found, chosen: Format | None = None) -> tuple[Format, list[Path]] | None:
    """Return the first format that fits the files, and those of them that are of it; ``None`` where none fits.

    Parameters
    ----------
    found
        What lies below a folder.
    chosen
        The format that the files have to be of; absent: any.
    """
    forced = chosen is not None
    listing = [table for table in tables() if table.priority >= 0] if chosen is None else [chosen]
    for table in listing:
        if isinstance(table, Table) and (lists := found.of_format(table, forced)):
            return table, lists
    for sidecar in sidecars() if chosen is None else [chosen]:
        if isinstance(sidecar, Sidecar):
            if sidecar.pictures and not pair(found.images, found.masks):
                continue  # before all masks are looked into, which takes a while
            files = found.of_format(sidecar, forced)
            if files and pair(found.images, files):
                return sidecar.over([found.root / f for f in files]), files
    last = [table for table in tables() if table.priority < 0] if chosen is None else []
    return next(((table, lists) for table in last if (lists := found.of_format(table, forced=False))), None)


def _layout(found: Found, chosen: Format | None) -> tuple[Layout | None, list[Path]]:
    """Return the first layout that fits, and the annotation files that belong to it."""
    recognised = recognise(found, chosen)
    if recognised is None:
        return _object_masks(found) if chosen is None or isinstance(chosen, ObjectMasks) else (None, [])
    format, files = recognised
    if isinstance(format, Table):
        return table_layout(found.root, found.images, files, format), files
    assert isinstance(format, Sidecar)
    endings = {f.suffix.lower() for f in files}
    candidates = found.masks if format.pictures else found.others
    alike = [f for f in candidates if f.suffix.lower() in endings and not is_manifest(found.root / f)]
    return _sidecar_layout(found.root, found.images, files, alike, format), alike


def _object_masks(found: Found) -> tuple[Layout | None, list[Path]]:
    """Return the layout of images whose objects have a mask each, and these masks."""
    format = ObjectMasks()
    grouped = group(found.images, [f for f in found.masks if f.suffix.lower() in format.suffixes])
    if not grouped:
        return None, []
    entries = []
    for image in found.images:
        masks = [found.root / mask for mask in grouped.get(image, ())]
        read = partial(format.read_all, masks) if masks else None
        entries.append(Entry(found.root / image, image.as_posix(), read, split_of(image)))
    taken = [mask for masks in grouped.values() for mask in masks]
    lost = sorted(set(found.masks) - set(taken))
    unmatched = [f"mask {found.root / mask} has no image; restore the image or remove the mask" for mask in lost]
    summary = f"one mask for each object, {len(taken)} of {len(grouped)} images"
    return Layout(format.name, entries, unmatched, summary=summary), found.masks


def _unused(found: Found, format: str, used: Iterable[Path]) -> list[LeftOut]:
    """Return annotation files that were not read, because what was recognised does not need them."""
    taken = set(used)
    left_out = []
    for other in (*tables(), *sidecars()):
        if other.name == format:
            continue
        pictures = isinstance(other, Sidecar) and other.pictures
        files = [f for f in ([] if pictures else found.of_format(other, forced=False)) if f not in taken]
        if files and isinstance(other, Sidecar):
            files = sorted(set(pair(found.images, files).values()))
        taken.update(files)
        reason = f"{other.title}, while {format} was read; name the format to read it instead"
        left_out += [LeftOut(f.as_posix(), reason) for f in files]
    reason = f"pictures that look like masks of images, while {format} was read"
    return left_out + [LeftOut(f.as_posix(), reason) for f in found.masks if f not in taken]


def _sidecar_layout(
    root: Path, images: list[Path], annotations: list[Path], alike: list[Path], format: Sidecar
) -> Layout:
    """Pair images with files; a damaged file looks like none of the format, but its name says what it was."""
    paired = pair(images, alike) | pair(images, annotations)
    labelled = {image.parent for image in paired} if format.absent == "zero" else {image.parent for image in images}
    beside: dict[Path, set[str]] = defaultdict(set)
    for image in images:
        beside[image.parent].add(image.name)
    entries = []
    for image in images:
        read: ReadDots | None = None
        if image in paired:
            read = partial(read_file, format, root / paired[image], image, beside[image.parent])
        elif image.parent not in labelled:
            read = partial(_unlabelled, format, root / image)
        entries.append(Entry(root / image, image.as_posix(), read, split_of(image)))
    unmatched = []
    left_out = []
    for file in sorted(set(annotations) - set(paired.values())):
        rival = next((paired[i] for i in pair(images, [file])), None)
        if not (format.pictures and rival) and not format.recognises(root / file):  # a note beside the images
            left_out.append(LeftOut(file.as_posix(), f"neither of an image nor {format.title}"))
            continue
        why = "has no image; restore the image or remove the annotation"
        if rival is not None:
            why = f"is of an image that {rival} is of as well; keep one"
        unmatched.append(f"annotation {root / file} {why}")
    taken: dict[Path, Path] = {}
    for image, file in paired.items():
        first = taken.setdefault(file, image)
        if first != image:
            unmatched.append(f"annotation {root / file} fits {first} and {image}; name it {image.name}{file.suffix}")
    return Layout(format.name, entries, unmatched, format.absent, summary=format.summary, left_out=left_out)


def read_file(format: Sidecar, path: Path, image: Path, beside: Collection[str], width: int, height: int) -> Dots:
    """Return the dots of one image; a text file of nothing but blanks is one of no dots.

    Raises
    ------
    AnnotationError
        If it can't be read, or names another image than its own that lies ``beside`` that.
    """
    if path.suffix.lower() in _TEXT and _is_blank(path):
        return no_dots(width, height)
    stated = format.image_of(path)
    name = PurePosixPath(stated.replace("\\", "/")).name if stated else ""
    if name in beside and fold(Path(name).stem) != fold(image.stem):
        raise AnnotationError(
            f"annotation {path} goes with image {image} by its name, but states that it is of {name}, which is there "
            "as well; rename the file, or correct the name in it"
        )
    return format.read(path, width, height)


def _unlabelled(format: Sidecar, image: Path, _width: int, _height: int) -> Dots:
    """Refuse an image of a folder that has no annotation at all, where a missing one means no objects."""
    raise AnnotationError(
        f"image {image} has no {format.title.split(' ')[0]} file, nor has any other image of its folder; "
        "move the folder away, or give images without objects an empty file"
    )


def _is_blank(path: Path) -> bool:
    small = path.is_file() and path.stat().st_size <= _BLANK
    return small and not annotation_bytes(path).removeprefix(b"\xef\xbb\xbf").strip()


def file_layout(path: Path, format: Table) -> Layout:
    """Read one annotation file that names its images.

    They lie in its folder or below; if none that it names is there, in ``images/`` beside its folder, or anywhere below
    the folder above if its own is called ``annotations``, ``labels`` or the like.

    Raises
    ------
    DataError
        If no image that the file names is found.
    """
    first: DataError | None = None
    places = [(path.parent, path.parent)]
    above = path.absolute().parent.parent
    beside = next((above / name for name in ("images", "imgs") if (above / name).is_dir()), None)
    if ROLE.fullmatch(path.absolute().parent.name):
        places.append((above, above))
    elif beside is not None:
        places.append((above, beside))
    for root, searched in places:
        try:
            found = look(searched)
        except DataError as error:
            first = first or error
            continue
        images = [(searched / image).relative_to(root) for image in found.images]
        mentions = find_mentions(root, images, [_relative(path, root)], format)
        if mentions.by_image or (root, searched) == places[-1]:
            layout = as_layout(mentions, images, format.name)
            named = [entry for entry in layout.entries if entry.read is not None]
            return Layout(
                layout.format, named, layout.unmatched, summary=layout.summary, left_out=found.left_out, root=root
            )
    raise DataError(f"no image that {path} could name is found: {first}; put the list beside its images")


def _relative(path: Path, root: Path) -> Path:
    return path.relative_to(root) if path.is_relative_to(root) else path.absolute().relative_to(root)


def image_entries(root: Path) -> tuple[Sequence[Entry], list[LeftOut]]:
    """Return every picture below a folder as an entry without dots, and what was left out.

    Raises
    ------
    DataError
        If there is none.
    """
    found = look(root)
    pictures = sorted([*found.images, *found.masks])
    return [Entry(root / f, f.as_posix(), None, split_of(f)) for f in pictures], found.left_out
