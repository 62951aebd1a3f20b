from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dotcount.data import Record
from dotcount.data.formats.columns import Columns, find_columns
from dotcount.data.formats.csv import CsvSidecar, CsvTable, read_manifest, write_manifest
from dotcount.data.formats.delimited import Sheet
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
    for text in ("picnic\nx\n", "image,count\nx,many\n"):
        path.write_text(text)
        with pytest.raises(AnnotationError, match="needs a column image"):
            read_manifest(path)


def columns_of(*rows: str) -> Columns | None:
    return find_columns(Sheet(Path("a.csv"), ",", [row.split(",") for row in rows], [0] * len(rows)))


def test_columns_of_foreign_headers() -> None:
    assert columns_of("a,b") is None
    assert columns_of("width,height,count") is None
    columns = columns_of("id,y,x,label")
    assert columns is not None
    assert (columns.place, columns.label) == ((2, 1), 3)


def table(tmp_path: Path, text: str | bytes, name: str = "dots.csv") -> dict[str, list[list[float]]]:
    """Return the dots of each image of 200 x 100 px that a csv names."""
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert CsvTable().recognises(path)
    assert not CsvSidecar().recognises(path)
    return {key: listed.read(200, 100).xy.tolist() for key, listed in CsvTable().read(path)}


@pytest.mark.parametrize(
    ("text", "xy"),
    [
        ("sep=;\nimage;x;y\na.png;10,5;20,25\n", [[10.5, 20.25]]),
        ('"sep=,"\r\nimage,x,y\r\na.png,10.5,20.25\r\n', [[10.5, 20.25]]),
        ("image\tx\ty\na.png\t10,5\t20,25\n", [[10.5, 20.25]]),
        ("image|x|y\na.png|10.5|20.25\n", [[10.5, 20.25]]),
        ("Image Name;X Coord;Y Coord\na.png;10,5;20,25\n", [[10.5, 20.25]]),
        ("x (px),y (px),file\n10.5,20.25,a.png\n", [[10.5, 20.25]]),
        ("image,x_norm,y_norm\na.png,0.5,0.25\n", [[100, 25]]),
        ("image,x_percent,y_percent\na.png,50,25\n", [[100, 25]]),
        ("image,x [%],y [%]\na.png,50,25\n", [[100, 25]]),
        ("image_path,xmin,ymin,xmax,ymax,label\na.png,1,1,11,12,Tree\n", [[6, 6.5]]),
        ("filename,width,height,class,xmin,ymin,xmax,ymax\na.png,200,100,car,1,1,11,12\n", [[6, 6.5]]),
        ("label_name,bbox_x,bbox_y,bbox_width,bbox_height,image_name,image_width,image_height\n"
         "cell,1,2,10,20,a.png,200,100\n", [[6, 12]]),
        ("a.png,1,1,11,12,Tree\na.png,2,1,12,12,Tree\n", [[6, 6.5], [7, 6.5]]),
        ("cell,10,20,a.png,200,100\n", [[10.5, 20.5]]),
        ("a.png,10.5,20,cell\n", [[10.5, 20]]),
        ("image,width,height,x,y\na.png,200,100,10.5,20\n", [[10.5, 20]]),
        ("Label,centroid-0,centroid-1,image\n1,20.25,10.5,a.png\n", [[11, 20.75]]),
        (" ,Label,Area,X,Y\n1,a.png,0,10.5,20\n2,a.png:0001-0002,0,30,40\n", [[10.5, 20], [30, 40]]),
        ("name,x,y\na.png,10.5,20\n", [[10.5, 20]]),
        ("image,x,y\na.png,0,1\na.png,1,1\n", [[0.5, 1.5], [1.5, 1.5]]),
        ("image,x_px,y_px\na.png,0.25,0.75\n", [[0.25, 0.75]]),
        ("image,x,y,z\na.png,1.5,2,0\na.png,3,4,0\n", [[1.5, 2], [3, 4]]),
        ("# image x y\na.png 1.5 2\n", [[1.5, 2]]),
        ("image,x,y\na.png,,\n", []),
        ("a.png,,,,,\n", []),
    ],
)  # fmt: skip
def test_tables_that_people_have(tmp_path: Path, text: str, xy: list) -> None:
    assert table(tmp_path, text) == {"a.png": xy}


def test_names_in_another_encoding(tmp_path: Path) -> None:
    assert list(table(tmp_path, "image,x,y\nZellé.png,1.5,2\n".encode("latin-1"))) == ["Zellé.png"]


def test_a_row_without_numbers_says_that_the_image_holds_nothing(tmp_path: Path) -> None:
    assert table(tmp_path, "image,x,y,class\na.png,10.5,20,bird\nb.png,,,\n") == {"a.png": [[10.5, 20]], "b.png": []}


def test_names_that_a_spreadsheet_would_run_read_back(tmp_path: Path) -> None:
    names = ["=cmd()", "+1+1.png", "-a.png", "@x.png", "'=b.png", "-5"]
    records = [Record(Path("x"), n, Points(np.array([[1.5, 2]]), 100, 80), classes=("=1+1",)) for n in names]
    CsvTable().write(tmp_path / "dots.csv", records)
    assert "\n=" not in (tmp_path / "dots.csv").read_text()
    found = CsvTable().read(tmp_path / "dots.csv")
    assert [name for name, _ in found] == names
    assert {listed.read(100, 80).classes for _, listed in found} == {("=1+1",)}


@pytest.mark.parametrize("xy", [[[0.5, 0.25]], [[0.5, 0.25], [0.1, 0.9]], [[1, 0.0], [0.3, 0.3]]])
def test_positions_within_the_first_pixel_are_written_so_that_they_read_back(tmp_path: Path, xy: list) -> None:
    record = Record(Path("x"), "a.png", Points(np.array(xy), 200, 100))
    CsvTable().write(tmp_path / "dots.csv", [record])
    assert table(tmp_path, (tmp_path / "dots.csv").read_bytes()) == {"a.png": xy}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,x,y\na.png,0.5,0.25\na.png,0.1,0.9\n", "lie between 0 and 1.*x_share, y_share"),
        ("image,x,y,width,height\na.png,10,20,5,5\n", "width and height 5 x 5 beside x and y"),
        ("image,x,y\na.png,1.5,2\n,3,4\n", r"a row at \(3, 4\) names no image"),
        ("image,x,y,image_width,image_height\na.png,1,2,64,48\na.png,1,2,32,24\n", "more than one size"),
        ("image,x,y\na.png,1.5,\n", "line 2: 'a.png,1.5,' holds no numbers"),
        ("image,x,y\na.png,1_0,5\n", "holds no numbers"),
        ("image,x,y,z\na.png,1.5,2,0\na.png,3,4,1\n", "points in 2 planes"),
        (" ,Label,X,Y,Slice\n1,a.png,1.5,2,1\n2,a.png,3,4,2\n", "points in 2 planes"),
    ],
)
def test_what_is_unclear_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(AnnotationError, match=message) as caught:
        table(tmp_path, text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,x_um,y_um\n1,5,6\n", "in um; export them in px"),
        ("Image,Centroid X µm,Centroid Y µm\na,5,6\n", "in µm; export them in px"),
        ("image,lon,lat\na.png,8.5,47.1\n", "map coordinates"),
        ("image,x,z\na.png,8.5,47.1\n", "of x and y only one is there"),
    ],
)
def test_what_comes_near_is_explained(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    for format in (CsvTable(), CsvSidecar()):
        assert not format.recognises(tmp_path / "a.csv")
        assert message in (format.objection(tmp_path / "a.csv") or "")


def test_a_column_called_name_in_the_file_of_one_image_is_of_the_object(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,name,x,y\n1,cell 1,10.5,20\n")
    assert CsvSidecar().read(path, 64, 48).xy.tolist() == [[10.5, 20]]
    path.write_text("image,x,y\na.png,1.5,2\nb.png,3,4\n")
    with pytest.raises(AnnotationError, match="names 2 images"):
        CsvSidecar().read(path, 64, 48)
