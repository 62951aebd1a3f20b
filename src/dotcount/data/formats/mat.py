"""MATLAB files with dots: v5 and v7.3 (HDF5).

Dots are an (n, 2) array, a cell or struct array with a pair for each dot, or columns ``x`` and ``y``. Known variables
and fields are taken first, such as ``image_info{1}.location`` (ShanghaiTech, NWPU), ``annPoints`` (UCF-QNRF,
UCF_CC_50), ``points`` and ``gt``; else the one array of the file that could hold dots. Where there are several the file
is refused: which of them are dots is not to be guessed. An empty array means no objects where its name is known or
nothing else is there. Coordinates are taken as positions; a benchmark that numbers pixels converts in its own reader.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dotcount.data.formats.base import FORMATS, Sidecar, require_size
from dotcount.data.formats.mat5 import read_mat5
from dotcount.data.formats.structured import size_of, stated_size
from dotcount.data.layout import Dots
from dotcount.data.records import Record
from dotcount.errors import AnnotationError

_MAX_VISITS = 10_000
_MAX_BYTES = 256_000_000
_NAMES = ("annpoints", "location", "points", "dots", "coords", "xy", "gt", "centers", "centres", "centroids") + (
    "coordinates",
    "locations",
    "positions",
    "annotation",
    "annotations",
    "detection",
    "detections",
)


@FORMATS.register("mat")
class Mat(Sidecar):
    """MATLAB files, one for each image."""

    name = "mat"
    title = "MATLAB .mat"
    suffixes = (".mat",)

    def recognises(self, path: Path) -> bool:
        """Return whether the file has the signature of MATLAB v5 or of HDF5."""
        try:
            with path.open("rb") as file:
                start = file.read(128)
        except OSError:
            return False
        return start.startswith((b"MATLAB 5.0", b"MATLAB 7.3", b"\x89HDF\r\n\x1a\n"))

    def objection(self, path: Path) -> str | None:  # noqa: ARG002 - whatever else ends so
        """Return how to save the file so that it can be read."""
        return "it is neither of version 5 nor of 7.3; save it with save(FILE, 'annPoints', '-v7')"

    def read(self, path: Path, width: int, height: int, /) -> Dots:
        """Return the dots of one image."""
        variables = read_variables(path)
        stated = np.ravel(variables.get("imageSize", ()))
        if stated.size == 2 and stated.dtype.kind in "iuf":
            across, down = sorted(float(v) for v in stated)  # by whom it was written decides which comes first
            if (across, down) != (min(width, height), max(width, height)):
                require_size(path, stated_size(*stated), (width, height))
        labels = variables.get("inst_map")
        if isinstance(labels, np.ndarray) and labels.ndim == 2 and labels.dtype.kind in "iuf":
            return _centres(labels, path, (width, height))
        return _dots(variables, path)

    def write(self, path: Path, record: Record) -> None:
        """Write v5 with the positions as ``annPoints`` and the size of the image as ``imageSize`` (width, height)."""
        import scipy.io

        size = size_of(record)
        assert record.points is not None
        content = {"annPoints": record.points.xy, "imageSize": np.array([size])}
        if record.classes:
            content["classes"] = np.array(record.classes, dtype=object)
        scipy.io.savemat(path, content, appendmat=False)


def _centres(labels: np.ndarray, path: Path, size: tuple[int, int]) -> Dots:
    """Return the centres of mass of the values of a label map, as CoNSeP and Lizard have it in ``inst_map``."""
    from scipy import ndimage

    require_size(path, (labels.shape[1], labels.shape[0]), size)
    used = np.unique(labels)
    if not np.isfinite(used).all() or (used % 1 != 0).any() or used.min(initial=0) < 0:
        raise AnnotationError(f"annotation {path}: inst_map has values that are no labels, such as {used[-1]:g}")
    used = used[used > 0]
    centres = ndimage.center_of_mass(labels > 0, labels, used) if len(used) else []
    return Dots(np.array(centres).reshape(-1, 2)[:, ::-1] + 0.5)


def read_mat_points(path: Path, _width: int = 0, _height: int = 0) -> Dots:
    """Return the dots of a ``.mat`` file as its columns x, y stand; AnnotationError if there are none to be found."""
    return _dots(read_variables(path), path)


@dataclass(frozen=True)
class _Candidate:
    """An array that could hold the dots: where it stands, its own name, and its values."""

    place: str
    name: str
    xy: np.ndarray

    @property
    def rank(self) -> int:
        """Place in the list of known names."""
        return _NAMES.index(self.name.lower()) if self.name.lower() in _NAMES else len(_NAMES)


def _dots(variables: Mapping[str, Any], path: Path) -> Dots:
    try:
        found = [c for c in _candidates(dict(variables), "", "") if c.name != "imageSize"]
    except ValueError as error:
        raise AnnotationError(f"annotation {path}: {error}; save one for each dot in both") from error
    known = [c for c in found if c.rank < len(_NAMES)]
    filled = [c for c in known or found if len(c.xy)]
    if not known and len(filled) == 1 and len(filled[0].xy) == 1 and len(found) > 1:
        filled = found  # a pair of numbers beside an empty array may be anything
    others = [c for c in found if c.rank == len(_NAMES) and len(c.xy) > 1]  # any may be the dots
    if not filled and not others and (known or len(found) == 1):
        return Dots(np.zeros((0, 2)))
    if filled and all(np.array_equal(c.xy, filled[0].xy, equal_nan=True) for c in filled):
        return Dots(filled[0].xy)
    if not found:
        held = ", ".join(f"{name}{_shape(value)}" for name, value in variables.items())[:200] or "none"
        raise AnnotationError(
            f"annotation {path} holds no (n, 2) array of dots (variables: {held}); save one as annPoints, a row x, y "
            "for each dot"
        )
    places = ", ".join(f"{c.place} ({len(c.xy)} x 2)" for c in sorted(found, key=lambda c: c.rank))[:200]
    raise AnnotationError(
        f"annotation {path} holds several arrays that could be the dots: {places}; save the dots as annPoints only"
    )


def _candidates(value: Any, place: str, name: str) -> Iterator[_Candidate]:
    """Yield the arrays within structs and cells that could be dots."""
    if isinstance(value, dict):
        columns = {key.lower(): _column(item) for key, item in value.items() if key.lower() in ("x", "y")}
        x, y = columns.get("x"), columns.get("y")
        if x is not None and y is not None and len(x) != len(y):
            raise ValueError(f"x holds {len(x)} numbers and y {len(y)}")
        if x is not None and y is not None:
            yield _Candidate(f"{place}.x, y".lstrip("."), "x, y", np.stack([x, y], axis=1))
            value = {key: item for key, item in value.items() if key.lower() not in ("x", "y")}
        for key, item in value.items():
            if key.lower() not in ("x", "y"):  # of which one alone is no place
                yield from _candidates(item, f"{place}.{key}".lstrip("."), key)
    elif isinstance(value, list):
        if not value:
            yield _Candidate(place, name, np.zeros((0, 2)))
        sizes = [item.size if _is_numeric(item) else -1 for item in value]
        if len(value) > 1 and set(sizes) == {2}:
            yield _Candidate(place, name, np.stack([np.ravel(item).astype(np.float64) for item in value]))
        elif len(value) > 1 and all(isinstance(item, dict) and item.keys() == value[0].keys() for item in value):
            yield from _candidates({key: [item[key] for item in value] for key in value[0]}, place, name)
        else:
            for k, item in enumerate(value, start=1):
                yield from _candidates(item, f"{place}{{{k}}}", name)
    elif _is_numeric(value) and (value.shape[1] == 2 or value.size == 0):
        yield _Candidate(place, name, value.astype(np.float64).reshape(-1, 2))


def _shape(value: Any) -> str:
    return f" ({' x '.join(map(str, value.shape))})" if isinstance(value, np.ndarray) else ""


def _is_numeric(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "iuf" and value.ndim == 2


def _column(value: Any) -> np.ndarray | None:
    """Return the numbers of a row, of a column or of a list with one in each place; ``None`` where there are others."""
    items = value if isinstance(value, list) else [value]
    if not all(_is_numeric(item) and min(item.shape) == 1 for item in items) or (
        len(items) > 1 and any(i.size > 1 for i in items)
    ):
        return None
    return np.concatenate([np.ravel(item).astype(np.float64) for item in items]) if items else None


def read_variables(path: Path) -> dict[str, Any]:
    """Return what a ``.mat`` file holds: structs as dictionaries, cells and struct arrays as lists."""
    try:
        with path.open("rb") as file:
            start = file.read(128)
            if b"MATLAB 7.3" in start or start[:8] == b"\x89HDF\r\n\x1a\n":
                return _load_hdf5(path)
            return read_mat5(start + file.read())
    except OSError as error:
        raise AnnotationError(f"annotation {path}: {error.strerror or error}; check the path") from error
    except (ValueError, MemoryError, OverflowError) as error:
        raise AnnotationError(f"annotation {path} is not a readable .mat file ({error}); save it again") from error


def _load_hdf5(path: Path) -> dict[str, Any]:
    import h5py

    visits = 0

    def value(item: Any, file: Any, depth: int = 0) -> Any:
        nonlocal visits
        visits += 1
        if depth > 6 or visits > _MAX_VISITS:  # references may lead in circles
            return None
        if isinstance(item, h5py.Group):
            return {name: value(item[name], file, depth + 1) for name in item if not name.startswith("#")}
        if item.dtype == h5py.ref_dtype:  # a cell array
            return [value(file[ref], file, depth + 1) for ref in np.asarray(item).ravel() if ref]
        if item.nbytes > _MAX_BYTES:  # chunks that were never written take no room in the file
            raise ValueError(f"{item.name} unpacks to more than {_MAX_BYTES // 10**6} MB")
        if item.attrs.get("MATLAB_class", b"double") in (b"char", b"logical", b"function_handle"):
            return None
        if item.attrs.get("MATLAB_empty", 0):
            return np.zeros((0, 0))
        return np.asarray(item).T  # MATLAB stores columns first

    try:
        with h5py.File(path, "r") as file:
            return {name: value(file[name], file) for name in file if not name.startswith("#")}
    except Exception as error:  # h5py passes on whatever the HDF5 library reports
        detail = " ".join(str(error).split())[:100] or type(error).__name__
        raise AnnotationError(
            f"annotation {path} is not a readable .mat v7.3 file ({detail}); save it again"
        ) from error
