"""The reader agrees with scipy's on sound files, and says no to damaged ones, some of which crash scipy's."""

from __future__ import annotations

import io
import random
import struct

import numpy as np
import pytest
import scipy.io
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from dotcount.data.formats.mat5 import read_mat5


def saved(variables: dict, **options: object) -> bytes:
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, variables, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kind", ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
@pytest.mark.parametrize("shape", [(0, 0), (0, 2), (1, 1), (1, 2), (7, 2), (3, 4, 5)])
def test_numbers_of_every_type(shape: tuple[int, ...], kind: str, compressed: bool) -> None:
    values = np.arange(int(np.prod(shape))).reshape(shape).astype(kind)
    found = read_mat5(saved({"xy": values, "other": 3.5}, do_compression=compressed))
    np.testing.assert_array_equal(found["xy"], values)
    assert found["xy"].shape == shape
    assert found["other"].tolist() == [[3.5]]


def test_structs_and_cells() -> None:
    cell = np.empty((1, 2), dtype=object)
    cell[0, 0] = {"location": np.eye(2), "deep": {"er": 5}}
    cell[0, 1] = np.ones((3, 2))
    rows = np.zeros((2,), dtype=[("a", object), ("b", object)])
    rows[0] = 1.0, 2.0
    rows[1] = 3.0, 4.0
    found = read_mat5(saved({"info": cell, "rows": rows}))
    first, second = found["info"]
    assert first["location"].tolist() == np.eye(2).tolist()
    assert first["deep"]["er"].tolist() == [[5]]
    assert second.shape == (3, 2)
    assert [row["b"].tolist() for row in found["rows"]] == [[[2.0]], [[4.0]]]


def test_what_holds_no_numbers_is_passed_over() -> None:
    sparse = scipy.sparse.csc_matrix(np.eye(3))
    found = read_mat5(saved({"word": "text", "sparse": sparse, "xy": np.ones((2, 2)), "flag": np.array([True])}))
    assert (found["word"], found["sparse"], found["flag"]) == (None, None, None)
    assert found["xy"].shape == (2, 2)


def test_the_other_byte_order() -> None:
    """Made by hand: scipy writes only the order of its machine."""

    def element(kind: int, body: bytes) -> bytes:
        return struct.pack(">2I", kind, len(body)) + body + bytes(-len(body) % 8)

    matrix = element(6, struct.pack(">2I", 6, 0)) + element(5, struct.pack(">2i", 1, 2)) + element(1, b"xy")
    matrix += element(9, struct.pack(">2d", 1.5, 2.5))
    header = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(">H", 0x0100) + b"MI"
    assert read_mat5(header + element(14, matrix))["xy"].tolist() == [[1.5, 2.5]]


def test_a_variable_that_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from dotcount.data.formats import mat5

    data = saved({"xy": np.zeros((5000, 2))}, do_compression=True)
    monkeypatch.setattr(mat5, "_MAX_UNPACKED", 1000)
    with pytest.raises(ValueError, match="unpacks to more"):
        read_mat5(data)


@pytest.mark.parametrize("data", [b"", b"x" * 200, bytes(128)])
def test_other_content_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="no MATLAB v5 header"):
        read_mat5(data)


INFO = np.empty((1, 1), dtype=object)
INFO[0, 0] = {"location": np.random.default_rng(0).random((5, 2)), "number": 5}
SOUND = [saved({"image_info": INFO}, do_compression=c) for c in (False, True)]


@given(st.integers(0, 2**32), st.booleans())
def test_damaged_content_raises_value_error_only(seed: int, compressed: bool) -> None:
    rng = random.Random(seed)
    data = bytearray(SOUND[compressed])
    for _ in range(rng.randint(1, 6)):
        place = rng.randrange(128, len(data))
        if rng.random() < 0.5:
            data[place] = rng.randrange(256)
        else:
            data[place : place + 4] = struct.pack("<I", rng.choice([0, 1, 14, 15, 2**31, 2**32 - 1]))
    try:
        read_mat5(bytes(data[: rng.randint(128, len(data))] if rng.random() < 0.3 else data))
    except ValueError as error:
        assert "\n" not in str(error)  # noqa: PT017


@pytest.mark.parametrize("kind", [3, 16, 17, 200], ids=["object", "function", "opaque", "unknown"])
def test_objects_are_passed_over_and_never_built(kind: int) -> None:
    """A class instance, a function handle and what else MATLAB saves hold no dots; their bytes are not interpreted."""

    def element(number: int, body: bytes) -> bytes:
        return struct.pack("<2I", number, len(body)) + body + bytes(-len(body) % 8)

    head = element(6, struct.pack("<2I", kind, 0)) + element(5, struct.pack("<2i", 1, 1)) + element(1, b"evil")
    thing = element(14, head + element(1, b"os.system") + element(2, b"__reduce__"))
    dots = saved({"annPoints": np.ones((2, 2))})
    found = read_mat5(dots + thing)
    assert found["evil"] is None
    assert found["annPoints"].shape == (2, 2)
