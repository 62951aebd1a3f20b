from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dotcount.data import Record
from dotcount.data.formats.csv import CsvSidecar, CsvTable, find_columns, read_manifest, write_manifest
from dotcount.errors import AnnotationError
from dotcount.points import Points

coordinates = st.lists(st.tuples(st.floats(0, 99), st.floats(0, 79)), max_size=8)


@given(st.lists(coordinates, min_size=1, max_size=4), st.booleans())
def test_what_is_written_is_read_exactly(
    tmp_path_factory: pytest.TempPathFactory, images: list[list[tuple[float, float]]], classes: bool
) -> None:
    path = tmp_path_factory.mktemp("csv") / "dots, ü.CSV"
    records = [
        Record(Path("x"), f"a b/ü,{k}.png", Points(np.array(xy), 100, 80), classes=("cell",) * len(xy) * classes)
        for k, xy in enumerate(images)
    ]
    CsvTable().write(path, records)
    found = dict(CsvTable().read(path))
    assert list(found) == [r.name for r in records if r.count]
    for record in records:
        if record.count:
            dots = found[record.name].read(100, 80)
            np.testing.assert_array_equal(dots.xy, record.points.xy)  # type: ignore[union-attr]
            assert dots.classes == record.classes
        CsvSidecar().write(path, record)
        np.testing.assert_array_equal(CsvSidecar().read(path, 100, 80).xy, record.points.xy)  # type: ignore[union-attr]


def test_ten_thousand_dots(tmp_path: Path) -> None:
    xy = np.random.default_rng(0).random((10_000, 2)) * 500
    CsvTable().write(tmp_path / "d.csv", [Record(Path("x"), "x.png", Points(xy, 500, 500))])
    np.testing.assert_array_equal(dict(CsvTable().read(tmp_path / "d.csv"))["x.png"].read(500, 500).xy, xy)


@pytest.mark.parametrize(
    ("text", "xy"),
    [
        ("x,y\n1.5,2\n", [[1.5, 2]]),
        ("X;Y\n1,5;2,25\n", [[1.5, 2.25]]),
        ("x\ty\n1.5\t2\n", [[1.5, 2]]),
        ("y,x\n2,1.5\n", [[1.5, 2]]),
        ("id, Column ,Row,score\n1,1.5,2,0.9\n", [[1.5, 2]]),
        ("1.5,2\n3,4\n", [[1.5, 2], [3, 4]]),
        ("\ufeffx,y\r\n1.5,2\r\n\r\n", [[1.5, 2]]),
        ("x,y\n3,4\n5,6\n", [[3.5, 4.5], [5.5, 6.5]]),
        ("x_px,y_px\n3,4\n", [[3, 4]]),
        ("x,y\n", []),
        ("  1.5  2\n30 4.25 \n", [[1.5, 2], [30, 4.25]]),
    ],
    ids=["plain", "semicolon", "tab", "swapped", "extra", "bare", "mark", "indices", "positions", "none", "blanks"],
)
def test_dialects(tmp_path: Path, text: str, xy: list) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode())
    assert CsvSidecar().recognises(path)
    assert not CsvTable().recognises(path)
    np.testing.assert_array_equal(CsvSidecar().read(path, 10, 10).xy, np.array(xy, dtype=float).reshape(-1, 2))


def test_utf16_as_spreadsheets_export_it(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("image\tx\ty\nä.png\t1.5\t2\n".encode("utf-16"))
    assert CsvTable().recognises(path)
    assert dict(CsvTable().read(path))["ä.png"].read(5, 5).xy.tolist() == [[1.5, 2.0]]


def test_whole_numbers_are_judged_over_the_whole_table(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("image,x,y\na,3,4\nb,1.5,2\n")
    assert dict(CsvTable().read(path))["a"].read(9, 9).xy.tolist() == [[3.0, 4.0]]
    path.write_text("filename,x,y,label\na,3,4,cat\nb,1,2,dog\n")
    dots = dict(CsvTable().read(path))["a"].read(9, 9)
    assert dots.xy.tolist() == [[3.5, 4.5]]
    assert dots.classes == ("cat",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "starts with 'nothing'"),
        ("name,value\na,1\n", "starts with 'name,value'"),
        ("x,y\n1,2\nfoo,3\n", r"line 3: 'foo,3' holds no numbers"),
        ("x,y\n1\n", "line 2"),
        ('x,y\n"1,2\n', "not valid csv|holds no numbers"),
    ],
)
def test_damaged_csv_names_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(AnnotationError, match=message) as caught:
        CsvSidecar().read(path, 10, 10)
    assert "a.csv" in str(caught.value)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"x,y\n\xff\xfe\x00\x80")
    with pytest.raises(AnnotationError, match="not UTF-8"):
        CsvSidecar().read(path, 10, 10)
    with pytest.raises(AnnotationError, match="No such file"):
        CsvSidecar().read(tmp_path / "missing.csv", 10, 10)


@given(st.binary(max_size=200))
def test_garbage_raises_only_our_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "a.csv"
    path.write_bytes(data)
    for format in (CsvTable(), CsvSidecar()):
        format.recognises(path)
        try:
            format.read(path, 10, 10) if isinstance(format, CsvSidecar) else format.read(path)
        except AnnotationError as error:
            assert "\n" not in str(error)  # noqa: PT017


def test_manifest_lists_images_without_dots(tmp_path: Path) -> None:
    path = tmp_path / "images.csv"
    write_manifest(path, [Record(Path("x"), "x.png", Points.empty(4, 3)), Record(Path("y"), "y.png")])
    assert path.read_text() == "image,width,height,count\nx.png,4,3,0\n"
    assert read_manifest(path) == {"x.png": 0}
    path.write_text("Filename\nx\n")
    assert read_manifest(path) == {"x": 0}
    for text in ("picture\nx\n", "image,count\nx,many\n"):
        path.write_text(text)
        with pytest.raises(AnnotationError, match="needs a column image"):
            read_manifest(path)


def test_columns_of_foreign_headers() -> None:
    assert find_columns(["a", "b"]) is None
    assert find_columns(["width", "height", "count"]) is None
    columns = find_columns(["id", "y", "x", "label"])
    assert columns is not None
    assert (columns.y, columns.x, columns.label) == (1, 2, 3)
