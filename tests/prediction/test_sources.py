from pathlib import Path

import pytest

from dotcount.errors import DataError
from dotcount.prediction.sources import expand, natural_key


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def names(sources):
    return [source.name for source in sources]


def test_folder_in_natural_order_with_subfolders(tmp_path):
    touch(tmp_path, "img_10.jpg", "img_2.JPG", "b/img_1.png", "b/note.txt", ".hidden.png", ".cache/x.png")
    assert names(expand([tmp_path])) == ["b/img_1.png", "img_2.JPG", "img_10.jpg"]


def test_names_stay_unique_over_several_sources(tmp_path):
    touch(tmp_path, "a/1.png", "b/1.png", "c/1.png")
    found = expand([tmp_path / "a", tmp_path / "b", str(tmp_path / "c" / "*.png")])
    assert names(found) == ["a/1.png", "b/1.png", "c/1.png"]


def test_an_image_named_twice_counts_once(tmp_path):
    touch(tmp_path, "1.png", "2.png")
    assert names(expand([tmp_path / "2.png", tmp_path])) == ["2.png", "1.png"]


def test_relative_paths(tmp_path, monkeypatch):
    touch(tmp_path, "d/x y.png", "d/é.png")
    monkeypatch.chdir(tmp_path)
    assert names(expand(["d/x y.png"])) == ["x y.png"]
    assert names(expand(["d/*.png"])) == ["x y.png", "é.png"]
    assert expand(["d/x y.png"])[0].path == Path("d/x y.png")


def test_a_file_with_magic_characters_is_a_file(tmp_path):
    touch(tmp_path, "a[1].png")
    assert names(expand([tmp_path / "a[1].png"])) == ["a[1].png"]


@pytest.mark.parametrize(
    ("source", "message"), [("gone.png", "does not exist"), ("*.gif", "matches no file"), ("empty", "holds no image")]
)
def test_nothing_found_is_an_error(tmp_path, monkeypatch, source, message):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=message):
        expand([source])


def test_natural_key_orders_numbers_by_value():
    assert sorted(["b2", "a10", "a9", "A1", "10", "9", ""], key=natural_key) == ["", "9", "10", "A1", "a9", "a10", "b2"]
