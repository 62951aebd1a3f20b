import os
from pathlib import Path

import pytest

from dotcount.errors import DataError
from dotcount.files import mark_output
from dotcount.prediction.sources import OWN, find, natural_key


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def names(listing):
    return [name for _, name in listing.files]


def left_out(listing):
    return {item.name.rsplit("/", 1)[-1]: item.kind for item in listing.left_out}


def test_folder_in_natural_order_with_subfolders(tmp_path):
    touch(tmp_path, "img_10.jpg", "img_2.JPG", "b/img_1.png", "b/note.txt", ".hidden.png", ".cache/x.png")
    assert names(find([tmp_path])) == ["b/img_1.png", "img_2.JPG", "img_10.jpg"]


def test_names_stay_unique_over_several_sources(tmp_path):
    touch(tmp_path, "a/1.png", "b/1.png", "c/1.png")
    found = find([tmp_path / "a", tmp_path / "b", str(tmp_path / "c" / "*.png")])
    assert names(found) == ["a/1.png", "b/1.png", "c/1.png"]


def test_an_image_named_twice_counts_once(tmp_path):
    touch(tmp_path, "1.png", "2.png")
    assert names(find([tmp_path / "2.png", tmp_path])) == ["2.png", "1.png"]


def test_relative_paths(tmp_path, monkeypatch):
    touch(tmp_path, "d/x y.png", "d/é.png")
    monkeypatch.chdir(tmp_path)
    assert names(find(["d/x y.png"])) == ["x y.png"]
    assert names(find(["d/*.png"])) == ["x y.png", "é.png"]
    assert find(["d/x y.png"]).files[0][0] == Path("d/x y.png")


def test_a_file_with_magic_characters_is_a_file(tmp_path):
    touch(tmp_path, "a[1].png")
    assert names(find([tmp_path / "a[1].png"])) == ["a[1].png"]


@pytest.mark.parametrize(
    ("source", "message"), [("gone.png", "does not exist"), ("*.gif", "matches no file"), ("empty", "holds no image")]
)
def test_nothing_found_is_an_error(tmp_path, monkeypatch, source, message):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=message):
        find([source])


def test_natural_key_orders_numbers_by_value():
    assert sorted(["b2", "a10", "a9", "A1", "10", "9", ""], key=natural_key) == ["", "9", "10", "A1", "a9", "a10", "b2"]


def test_what_is_left_out_is_said_with_the_way_out(tmp_path):
    touch(tmp_path, "a.png", "b.HEIC", "c/d.oib", "e.vsi", "f.nrrd", "g.ndpi", "h.flv", "notes.txt", "dots.csv")
    found = find(tmp_path)
    assert names(found) == ["a.png"]
    assert set(left_out(found)) == {"b.HEIC", "d.oib", "e.vsi", "f.nrrd", "g.ndpi", "h.flv"}
    assert all(item.remedy for item in found.left_out)
    (tmp_path / "a.png").unlink()
    with pytest.raises(DataError, match=r"holds no image.*\.mp4"):
        find(tmp_path)


def test_what_is_no_regular_file_is_left_out(tmp_path):
    touch(tmp_path, "a.png")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nothing.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    found = find(tmp_path)
    assert names(found) == ["a.png"]
    assert set(left_out(found)) == {"pipe.png", "gone.png", "zero.png"}


def test_own_results_are_passed_over_and_said(tmp_path):
    touch(tmp_path, "a.png", "counts/overlays/a.png.jpg", "counts/counts.csv", "counts/new.png", "run/x.png")
    mark_output(tmp_path / "counts", "predictions", "dotcount predict", ["overlays", "counts.csv"])
    mark_output(tmp_path / "run", "run", "dotcount train")
    found = find(tmp_path)
    assert names(found) == ["a.png", "counts/new.png"]
    assert left_out(found) == {"counts": OWN, "run": OWN}
    found = find(str(tmp_path / "**" / "*.[jp]*g"))
    assert names(found) == ["a.png", "counts/new.png"]
    with pytest.raises(DataError, match="results that dotcount wrote"):
        find(tmp_path / "run")
    with pytest.raises(DataError, match="only results that dotcount wrote"):
        find(str(tmp_path / "counts" / "overlays" / "*"))
    mark_output(tmp_path / "run", "data", "dotcount data synth")
    assert "run/x.png" in names(find(tmp_path))


def test_linked_folders_are_searched_and_loops_end(tmp_path):
    touch(tmp_path, "photos/a.png", "elsewhere/b.png")
    (tmp_path / "photos" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "photos" / "loop").symlink_to(tmp_path / "photos")
    assert names(find(tmp_path / "photos")) == ["a.png", "more/b.png"]


def test_names_that_are_no_utf8_become_text_and_stay_unique(tmp_path):
    for name in (b"caf\xe9.png", b"caf\\xe9.png"):
        (Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))).write_bytes(b"x")
    found = names(find(tmp_path))
    assert sorted(found) == ["caf\\xe9.png", "caf\\xe9.png~2"]


def test_the_nearest_path_is_suggested(tmp_path):
    touch(tmp_path, "Photos/a.png")
    with pytest.raises(DataError, match=r"Did you mean '.*/Photos'"):
        find(tmp_path / "photos")
    with pytest.raises(DataError, match=r"Did you mean '.*/Photos'"):
        find(tmp_path / "Fotos" / "a.png")


def test_masks_of_images_are_left_out_unless_named(tmp_path):
    touch(tmp_path, "a.tif", "a_cp_masks.tif", "images/b.png", "masks/b.png", "masks/other.png", "lone_mask.png")
    found = find(tmp_path)
    assert names(found) == ["a.tif", "images/b.png", "lone_mask.png", "masks/other.png"]
    assert {Path(item.name).relative_to(tmp_path).as_posix() for item in found.left_out} == {
        "a_cp_masks.tif",
        "masks/b.png",
    }
    assert "look like masks" in found.note
    assert names(find([tmp_path / "a_cp_masks.tif"])) == ["a_cp_masks.tif"]
    assert names(find(tmp_path / "masks")) == ["b.png", "other.png"]


def test_masks_of_single_objects_and_thumbnails_are_not_counted(tmp_path):
    """As the Data Science Bowl and the Cell Tracking Challenge lay masks out, and as Synology's disks keep previews."""
    touch(tmp_path, "7c/images/7c.png", "7c/masks/0a1b2c.png", "7c/masks/3d4e5f.png", "@eaDir/a.png/THUMB_M.png")
    touch(tmp_path, "01/t000.tif", "01_GT/TRA/man_track000.tif", "01_GT/SEG/man_seg000.tif")
    found = find([tmp_path])
    assert names(found) == ["01/t000.tif", "7c/images/7c.png"]
    assert "4 pictures that look like masks" in found.note
