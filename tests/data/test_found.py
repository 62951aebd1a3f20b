"""Files that once ended in something else than one clear error; found by ``python -m tests.data.fuzz``."""

from __future__ import annotations

from pathlib import Path

import pytest

from dotcount.data import open_collection
from dotcount.errors import AnnotationError

from . import layouts


@pytest.mark.parametrize(
    "content",
    [
        b"0003 1 1\n\x000001 0 0\n",  # ValueError: embedded null byte
        b"0003 1 1\n\xf0\x28\x8c 0 0\n",  # UnicodeDecodeError
        b"0003 1 1\n" + b"9" * 300 + b" 0 0\n",  # OSError: file name too long
        b"../../0003 1 1\n",  # would be written outside the folder of a converted copy
        b".. 1 1\n",
    ],
    ids=["null", "not text", "too long", "upwards", "parent"],
)
@pytest.mark.parametrize("layout", ["nwpu", "urban_trees"])
def test_lists_hold_plain_names(tmp_path: Path, layout: str, content: bytes) -> None:
    getattr(layouts, layout)(tmp_path / "set")
    name = {"nwpu": "train.txt", "urban_trees": "train_socal.txt"}[layout]
    (tmp_path / "set" / name).write_bytes(content)
    with pytest.raises(AnnotationError, match=name.replace(".", r"\.")) as caught:
        open_collection(tmp_path / "set", strict=False)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b'image,split\n"a\rb",c\n"' + b"x" * 200_000 + b'",train\n',  # csv.Error: field larger than field limit
        b'image,split\n"a"b\x00\n' + b"y" * 200_000,
    ],
    ids=["long", "longer"],
)
@pytest.mark.parametrize("name", ["splits.csv", "images.csv"])
def test_tables_beside_the_images_are_csv(tmp_path: Path, name: str, content: bytes) -> None:
    layouts.picture(tmp_path / "a.png")
    (tmp_path / "dots.csv").write_text("image,x,y\na.png,1,2\n")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AnnotationError, match=name.replace(".", r"\.")) as caught:
        open_collection(tmp_path, strict=False)
    assert "\n" not in str(caught.value)
