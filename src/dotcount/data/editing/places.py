"""Which file the dots of each image of a folder stand in, or will."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from dotcount.data.benchmarks import BENCHMARKS
from dotcount.data.discover import Found, look, recognise
from dotcount.data.editing.containers import Container, SidecarContainer, TableContainer
from dotcount.data.editing.keeping import holds
from dotcount.data.explain import nothing_found
from dotcount.data.formats.base import FORMATS, Format, Sidecar, Table
from dotcount.data.pairing import pair
from dotcount.data.records import LeftOut
from dotcount.errors import DataError, UsageError

DEFAULT = "csv"
_COPY = "`dotcount data convert` writes a copy in another format, such as csv, which can be changed"


@dataclass(frozen=True)
class Places:
    """Images, relative to ``root``, and where their dots are; ``fresh``: no dots have been made yet."""

    root: Path
    format: Format
    images: list[str]
    containers: list[Container]
    fresh: bool
    left_out: list[LeftOut] = field(default_factory=list)


def find_places(root: Path, format: str = "auto") -> Places:
    """Recognise the format of the dots below a folder; a folder of images alone gets a table in csv.

    Raises
    ------
    DataError
        If there is no image, or files that may be annotations are of no known format.
    UsageError
        If the format can't be written, or would lose the places of dots.
    """
    if not root.is_dir():
        remedy = "give the folder of the images" if root.exists() else "check the path"
        raise DataError(f"{root} is no folder; {remedy}")
    chosen = None if format == "auto" else FORMATS.create(format)
    if chosen is None:
        known = next((name for name in BENCHMARKS if BENCHMARKS.create(name).recognises(root)), None)
        if known is not None:
            raise UsageError(f"{root} is the benchmark {known}, which is read as published; {_COPY}")
    found = look(root)
    recognised = recognise(found, chosen)
    if recognised is None:
        return _fresh(found, chosen)
    _require_writable(recognised[0], root)
    images = [image.as_posix() for image in found.images]
    containers = _containers(found, *recognised)
    return Places(root, recognised[0], images, containers, False, found.left_out)


def _require_writable(format: Format, root: Path) -> None:
    if not holds(format.name).places:
        why = "keeps less of a dot than its place" if format.writable else "can only be read"
        raise UsageError(f"{root} is annotated in the format {format.name!r}, which {why}; {_COPY}")


def _fresh(found: Found, chosen: Format | None) -> Places:
    """Return the places of a folder without dots."""
    suspects = [f for f in found.others if any(f.suffix.lower() in FORMATS.create(n).suffixes for n in FORMATS)]
    if chosen is None and (suspects or found.masks):
        raise DataError(nothing_found(found.root, found.images, found.others, chosen, found.left_out))
    format = chosen or FORMATS.create(DEFAULT)
    _require_writable(format, found.root)
    images = [image.as_posix() for image in found.images]
    return Places(found.root, format, images, _containers(found, format, []), True, found.left_out)


def _containers(found: Found, format: Format, files: Sequence[Path]) -> list[Container]:
    if isinstance(format, Table):
        paths = sorted(files) or [Path(format.filename)]
        return [TableContainer(found.root, found.root / path, format, []) for path in paths]
    assert isinstance(format, Sidecar)
    paired = pair(found.images, files)
    taken: dict[Path, Path] = {}
    containers: list[Container] = []
    for image in found.images:
        path = paired.get(image) or _place(image, paired, format)
        if path in taken:
            raise DataError(f"images {taken[path]} and {image} would share the file {path}; rename one")
        taken[path] = image
        containers.append(SidecarContainer(found.root, found.root / path, format, [image.as_posix()]))
    return containers


def _place(image: Path, paired: dict[Path, Path], format: Sidecar) -> Path:
    """Return where the dots of an image go: as those of an image beside it, else where the format's own tools look."""
    for other, file in paired.items():
        if other.parent == image.parent:
            for part in (other.name, other.stem):
                if part in file.name:
                    place = file.with_name(file.name.replace(part, image.name if part == other.name else image.stem))
                    if pair([image], [place]):
                        return place
    return Path(format.place(PurePosixPath(image.as_posix())))


def nearest(image: str, containers: Sequence[Container]) -> Container:
    """Return the table whose folder is closest above an image that none lists."""
    path = PurePosixPath(image)

    def above(container: Container) -> int:
        folder = PurePosixPath(container.path.parent.relative_to(container.root).as_posix())
        return len(folder.parts) if path.is_relative_to(folder) else -1

    return max(containers, key=above)
