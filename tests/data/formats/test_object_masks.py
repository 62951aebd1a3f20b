"""Masks of one object each, and other layouts of masks that data sets have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from dotcount.data import open_collection
from dotcount.errors import AnnotationError, DataError

from ..layouts import picture

SIZE = (60, 40)
FIRST, SECOND = (2, 2, 8, 8), (20, 10, 30, 14)
CENTRES = [[5.0, 5.0], [25.0, 12.0]]
Box = tuple[int, int, int, int]


def mask(path: Path, *boxes: Box, values: tuple[int, ...] = (255, 255), dtype: type = np.uint8) -> None:
    pixels = np.zeros(SIZE[::-1], dtype)
    for (x0, y0, x1, y1), value in zip(boxes, values):
        pixels[y0:y1, x0:x1] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, pixels) if path.suffix == ".tif" else Image.fromarray(pixels).save(path)


def dots(root: Path) -> dict[str, list[list[float]]]:
    found = open_collection(root)
    return {r.name: [] if r.points is None else sorted(r.points.xy.tolist()) for r in found.records}


def test_a_folder_of_masks_beside_its_image(tmp_path: Path) -> None:
    for name, boxes in (("0f3a", (FIRST, SECOND)), ("1b77", (SECOND,))):
        picture(tmp_path / f"train/{name}/images/{name}.png", *SIZE)
        for k, box in enumerate(boxes):
            mask(tmp_path / f"train/{name}/masks/{k}c5d{name}.png", box)
    found = open_collection(tmp_path)
    assert found.format == "object_masks"
    assert "3 of 2 images" in found.summary
    assert dots(tmp_path) == {"train/0f3a/images/0f3a.png": CENTRES, "train/1b77/images/1b77.png": CENTRES[1:]}


@pytest.mark.parametrize("name", ["masks/a/{}.png", "masks/a_{}.png", "masks/a_mask_0{}.png", "a/masks/{}.png"])
def test_masks_called_as_their_image(tmp_path: Path, name: str) -> None:
    image = tmp_path / ("images/a.png" if name.startswith("masks") else "a/images/a.png")
    picture(image, *SIZE)
    mask(tmp_path / name.format(1), FIRST)
    mask(tmp_path / name.format(2), SECOND)
    assert dots(tmp_path) == {image.relative_to(tmp_path).as_posix(): CENTRES}


def test_masks_of_images_that_are_not_there_are_not_of_another(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.png", *SIZE)
    mask(tmp_path / "masks/north.png", FIRST, SECOND)
    mask(tmp_path / "masks/south.png", SECOND)
    with pytest.raises(DataError, match="look"):
        open_collection(tmp_path)


def test_masks_of_classes_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "a/images/a.png", *SIZE)
    mask(tmp_path / "a/masks/1.png", FIRST, SECOND)
    mask(tmp_path / "a/masks/2.png", (40, 2, 44, 6), (50, 20, 55, 25))
    with pytest.raises(AnnotationError, match="2 masks of one image hold 4 separate regions"):
        open_collection(tmp_path)


@pytest.mark.parametrize(
    ("boxes", "values", "why"),
    [
        ((), (), "marks nothing"),
        ((FIRST, SECOND), (1, 2), "holds several values"),
        (((0, 0, 60, 40),), (255,), "marks all of it"),
    ],
)
def test_masks_that_are_not_of_one_object_are_refused(
    tmp_path: Path, boxes: tuple[Box, ...], values: tuple[int, ...], why: str
) -> None:
    picture(tmp_path / "a/images/a.png", *SIZE)
    mask(tmp_path / "a/masks/1.png", FIRST)
    mask(tmp_path / "a/masks/2.png", *boxes, values=values)
    with pytest.raises(AnnotationError, match=rf"2\.png {why}"):
        open_collection(tmp_path)


def test_masks_of_several_kinds_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "a/images/a.png", *SIZE)
    mask(tmp_path / "a/masks/nucleus_1.png", FIRST)
    mask(tmp_path / "a/masks/cell_1.png", (0, 0, 12, 12))
    with pytest.raises(AnnotationError, match=r"several kinds by their names \(cell, nucleus\)"):
        open_collection(tmp_path)


def test_masks_that_repeat_each_other_or_are_inverted_are_refused(tmp_path: Path) -> None:
    for name in "abcd":
        picture(tmp_path / f"{name}/images/{name}.png", *SIZE)
        mask(tmp_path / f"{name}/masks/1.png", FIRST)
    mask(tmp_path / "a/masks/2.png", FIRST)
    mask(tmp_path / "b/labels/2.png", SECOND)
    mask(tmp_path / "c/masks/2.png", (0, 0, 60, 40), SECOND, values=(255, 0))
    said = [str(record.error) for record in open_collection(tmp_path, strict=False).records]
    for text, why in zip(said, ("mark the same pixels", "keep one folder", "it may be inverted")):
        assert why in text


def test_an_image_without_masks_was_not_looked_at(tmp_path: Path) -> None:
    for name in "ab":
        picture(tmp_path / f"{name}/images/{name}.png", *SIZE)
    mask(tmp_path / "a/masks/1.png", FIRST)
    with pytest.raises(DataError, match=r"b\.png has no dots"):
        open_collection(tmp_path)


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    picture(tmp_path / "a/images/a.png", 40, 60)
    mask(tmp_path / "a/masks/1.png", FIRST)
    with pytest.raises(AnnotationError, match="60 x 40 px, its image 40 x 60"):
        open_collection(tmp_path)


def test_leaves_by_their_labels(tmp_path: Path) -> None:
    picture(tmp_path / "plant001_rgb.png", *SIZE)
    mask(tmp_path / "plant001_label.png", FIRST, SECOND, values=(1, 2))
    assert dots(tmp_path) == {"plant001_rgb.png": CENTRES}


def test_cells_by_the_marks_of_their_tracks(tmp_path: Path) -> None:
    """The segmentations of the Cell Tracking Challenge may leave cells out, the marks of its tracks do not."""
    for time in range(2):
        path = tmp_path / f"01/t{time:03}.tif"
        path.parent.mkdir(exist_ok=True)
        tifffile.imwrite(path, np.random.default_rng(time).integers(0, 4000, SIZE[::-1], dtype=np.uint16))
        mask(tmp_path / f"01_GT/TRA/man_track{time:03}.tif", FIRST, SECOND, values=(1, 7), dtype=np.uint16)
    mask(tmp_path / "01_GT/SEG/man_seg000.tif", FIRST, values=(1,), dtype=np.uint16)
    (tmp_path / "01_GT/TRA/man_track.txt").write_text("1 0 1 0\n7 0 1 0\n")
    assert dots(tmp_path) == {"01/t000.tif": CENTRES, "01/t001.tif": CENTRES}
    found = open_collection(tmp_path)
    assert [each.path for each in found.left_out] == ["01_GT/SEG/man_seg000.tif"]
