"""MATLAB files with dots: v5 and v7.3 (HDF5).

Known variables are ``image_info{1}.location`` (ShanghaiTech, NWPU), ``annPoints`` (UCF-QNRF, UCF_CC_50) and
``points``; else the one (n, 2) numeric array of the file. Coordinates are taken as positions; a benchmark that numbers
pixels converts in its own reader.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dotcount.data.formats.base import FORMATS, Sidecar
from dotcount.data.formats.mat5 import read_mat5
from dotcount.data.formats.structured import size_of
from dotcount.data.layout import Dots
from dotcount.data.records import Record
from dotcount.errors import AnnotationError

_MAX_VISITS = 10_000
_MAX_BYTES = 256_000_000
_NAMES = ("annPoints", "image_info", "points", "location", "dots", "coords", "xy")


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

    def read(self, path: Path, width: int, height: int, /) -> Dots:
        """Return the dots of one image."""
        return read_mat_points(path, width, height)

    def write(self, path: Path, record: Record) -> None:
        """Write v5 with the positions as ``annPoints`` and the size of the image as ``imageSize`` (width, height)."""
        import scipy.io

        size = size_of(record)
        assert record.points is not None
        content = {"annPoints": record.points.xy, "imageSize": np.array([size])}
        if record.classes:
            content["classes"] = np.array(record.classes, dtype=object)
        scipy.io.savemat(path, content, appendmat=False)


def read_mat_points(path: Path, _width: int = 0, _height: int = 0) -> Dots:
    """Return the dots of a ``.mat`` file as its columns x, y stand; AnnotationError if there are none to be found."""
    variables = _load(path)
    for name in sorted(variables, key=lambda n: (_NAMES.index(n) if n in _NAMES else len(_NAMES), n)):
        found = _points_in(variables[name])
        if found is not None:
            return Dots(found)
    known = ", ".join(variables) or "none"
    raise AnnotationError(
        f"annotation {path} holds no (n, 2) array of dots (variables: {known}); save one as annPoints"
    )


def _load(path: Path) -> dict[str, Any]:
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
        if item.attrs.get("MATLAB_empty", 0):
            return np.zeros((0, 2))
        return np.asarray(item).T  # MATLAB stores columns first

    try:
        with h5py.File(path, "r") as file:
            return {name: value(file[name], file) for name in file if not name.startswith("#")}
    except Exception as error:  # h5py passes on whatever the HDF5 library reports
        detail = " ".join(str(error).split())[:100] or type(error).__name__
        raise AnnotationError(
            f"annotation {path} is not a readable .mat v7.3 file ({detail}); save it again"
        ) from error


def _points_in(value: Any) -> np.ndarray | None:
    """Search structs and cells for the array of dots, ``location`` first."""
    if isinstance(value, dict):
        names = sorted(value, key=lambda n: (_NAMES.index(n) if n in _NAMES else len(_NAMES), n))
        return _first(value[n] for n in names if n != "number") if names else None
    if isinstance(value, list):
        return _first(value)
    if not isinstance(value, np.ndarray):
        return None
    if value.dtype.kind in "iuf" and value.ndim == 2 and (value.shape[1] == 2 or value.size == 0):
        return value.astype(np.float64).reshape(-1, 2)
    return None


def _first(values: Any) -> np.ndarray | None:
    return next((found for found in map(_points_in, values) if found is not None), None)
