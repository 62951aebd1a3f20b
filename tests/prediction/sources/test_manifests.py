import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dotcount.errors import DataError
from dotcount.files import csv_line
from dotcount.prediction import find
from dotcount.prediction.sources.manifests import names_in
from tests.prediction.oracles import write_dotted


@pytest.fixture
def images(tmp_path):
    return [write_dotted(tmp_path / "images" / f"{name}.png", [(1, 1)]) for name in "cab"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.txt", "images/c.png\n\nimages/a.png\n"),
        ("list.csv", "plot,Image\n1,images/c.png\n2,images/a.png\n"),
        ("list.csv", "\ufeffpath\nimages/c.png\nimages/a.png\n"),
    ],
)
def test_a_list_names_images_in_its_order(tmp_path, images, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8")
    listing = find(tmp_path / name)
    assert [frame.name for frame in listing] == ["c.png", "a.png"]
    assert all(frame.load().error is None for frame in listing)


def test_an_image_that_is_not_there_is_an_error_of_its_own(tmp_path, images):
    (tmp_path / "list.txt").write_text("images/a.png\nimages/gone.png\n")
    good, gone = list(find(tmp_path / "list.txt"))
    assert good.load().error is None
    assert "gone.png" in gone.load().error


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [("a.csv", b"x,y\n1,2\n", "no column of paths"), ("a.txt", b"\n", "names no image"), ("a.txt", b"\xff", "UTF-8")],
)
def test_a_list_that_is_none_is_told(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=words):
        find(tmp_path / name)


@pytest.mark.parametrize("dictionary", [True, False])
def test_a_parquet_table_names_images_in_its_order(tmp_path, images, dictionary):
    paths = pa.array(["images/c.png", None, "images/a.png"])
    table = pa.table({"plot": [1, 2, 3], "Image": paths.dictionary_encode() if dictionary else paths})
    pq.write_table(table, tmp_path / "list.parquet")
    assert [frame.name for frame in find(tmp_path / "list.parquet")] == ["c.png", "a.png"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (pa.table({"x": ["a.png"]}), "no column of paths"),
        (pa.table({"image": [{"bytes": b"", "path": "a.png"}]}), "holds struct<.*no texts"),
        (pa.table({"image": pa.array([], pa.string())}), "names no image"),
        (b"PAR1 cut off", "can't be read"),
    ],
)
def test_a_parquet_table_that_lists_nothing_is_told(tmp_path, content, words):
    path = tmp_path / "a.parquet"
    path.write_bytes(content) if isinstance(content, bytes) else pq.write_table(content, path)
    with pytest.raises(DataError, match=words):
        find(path)


def test_without_pyarrow_the_pip_line_is_told(tmp_path, monkeypatch):
    pq.write_table(pa.table({"image": ["a.png"]}), tmp_path / "a.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"pip install 'dotcount\[tables\]'"):
        find(tmp_path / "a.parquet")


def test_a_table_that_was_written_here_is_a_list_whatever_the_names(tmp_path):
    names = ["=1.png", "-a.png", "'=b.png", "c.png"]
    (tmp_path / "counts.csv").write_text(csv_line("image", "count") + "".join(csv_line(name, 1.0) for name in names))
    assert names_in(tmp_path / "counts.csv") == names
