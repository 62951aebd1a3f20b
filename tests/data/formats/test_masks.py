"""What kind of masks a folder holds is decided over all of them, and is told; what could be two kinds is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from dotcount.data import Collection, open_collection
from dotcount.data.formats import FORMATS, Sidecar
from dotcount.errors import AnnotationError, DataError

from ..layouts import picture

SIDE = 96


def folder_of(root: Path, masks: dict[str, np.ndarray], name: str = "masks/{}.png") -> Path:
    """Write noise images and their masks."""
    for stem, mask in masks.items():
        picture(root / f"images/{stem}.png", mask.shape[1], mask.shape[0])
        path = root / name.format(stem)
        path.parent.mkdir(exist_ok=True, parents=True)
        Image.fromarray(mask).save(path)
    return root


def squares(values: list[int], side: int = 6, step: int = 12, dtype: type = np.uint8) -> np.ndarray:
    """Squares of these values in rows, parted by background where ``step`` is larger than ``side``."""
    mask = np.zeros((SIDE, SIDE), dtype=dtype)
    across = SIDE // step
    for k, value in enumerate(values):
        y, x = step * (k // across), step * (k % across)
        mask[y : y + side, x : x + side] = value
    return mask


def counts(collection: Collection) -> dict[str, int | None]:
    return {record.image.stem: record.count for record in collection.records}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("step", [12, 6])
def test_labels_count_by_value_touching_or_not(tmp_path: Path, dtype: type, step: int) -> None:
    masks = {
        "a": squares(list(range(1, 13)), step=step, dtype=dtype),
        "b": squares(list(range(1, 4)), step=step, dtype=dtype),
        "one": squares([1], dtype=dtype),
        "none": squares([], dtype=dtype),
    }
    found = open_collection(folder_of(tmp_path, masks))
    assert found.format == "instance_mask"
    assert counts(found) == {"a": 12, "b": 3, "one": 1, "none": 0}
    assert "each value is one object" in found.note


@pytest.mark.parametrize("value", [1, 255])
def test_blobs_count_by_region(tmp_path: Path, value: int) -> None:
    masks = {"a": squares([value] * 64, side=7), "b": squares([value] * 2, side=7), "none": squares([])}
    found = open_collection(folder_of(tmp_path, masks))
    assert (found.format, counts(found)) == ("component_mask", {"a": 64, "b": 2, "none": 0})
    points = next(r.points for r in found.records if r.image.stem == "b")
    assert points is not None
    assert points.xy.tolist() == [[3.5, 3.5], [15.5, 3.5]]


def nuclei(rng: np.random.Generator, number: int) -> tuple[np.ndarray, int]:
    """Touching discs, coloured with the fewest values that part neighbours, as nucleus sets have it."""
    y, x = np.mgrid[:SIDE, :SIDE]
    colours = np.zeros((SIDE, SIDE), dtype=np.uint8)
    placed = 0
    for _ in range(number):
        cx, cy, radius = rng.integers(5, SIDE - 5), rng.integers(5, SIDE - 5), rng.integers(3, 7)
        disc = ((x - cx) ** 2 + (y - cy) ** 2 < radius**2) & (colours == 0)
        if ndimage.label(disc, np.ones((3, 3)))[1] != 1 or disc.sum() < 8:
            continue
        near = set(colours[ndimage.binary_dilation(disc, np.ones((3, 3)))].tolist())
        colours[disc] = next(v for v in range(1, 20) if v not in near)
        placed += 1
    return colours, placed


@pytest.mark.parametrize("look", ["grey", "red channel", "colours"])
def test_few_values_part_touching_nuclei(tmp_path: Path, look: str) -> None:
    rng = np.random.default_rng(3)
    masks, expected = {}, {}
    for k in range(6):
        values, expected[str(k)] = nuclei(rng, 8 * k)
        if look == "red channel":
            mask = np.zeros((SIDE, SIDE, 4), dtype=np.uint8)
            mask[..., 0], mask[..., 3] = values, 255
        elif look == "colours":
            palette = rng.integers(1, 256, (20, 3))
            palette[0] = 0
            mask = palette[values].astype(np.uint8)
        else:
            mask = values
        masks[str(k)] = mask
    found = open_collection(folder_of(tmp_path, masks))
    assert (found.format, counts(found)) == ("component_mask", expected)
    assert f"mark {sum(expected.values())} regions" in found.note


def test_touching_marks_of_one_pixel_count_apart_whatever_else_their_file_holds(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    masks = {}
    for k in range(4):
        mask = np.zeros((SIDE, SIDE), dtype=np.uint8)
        mask.ravel()[rng.choice(mask.size, 60, replace=False)] = 255
        masks[str(k)] = mask
    masks["pair"] = np.zeros((SIDE, SIDE), dtype=np.uint8)
    masks["pair"][10, 10:12] = 255  # alone it looks like one blob of two pixels
    found = open_collection(folder_of(tmp_path, masks))
    assert (found.format, found.n_dots) == ("dot_mask", 242)


def test_a_bright_ground_is_seen_over_the_folder(tmp_path: Path) -> None:
    masks = {k: 255 - squares([255] * n, side=4) for k, n in (("a", 3), ("b", 20), ("none", 0))}
    found = open_collection(folder_of(tmp_path, masks))
    assert counts(found) == {"a": 3, "b": 20, "none": 0}
    assert "dark marks on a bright ground" in found.note


def test_bright_and_dark_grounds_in_one_folder_are_refused(tmp_path: Path) -> None:
    masks = {
        "a": squares([255] * 5, side=4),
        "b": squares([255] * 2, side=4),
        "turned": 255 - squares([255] * 3, side=4),
    }
    root = folder_of(tmp_path, masks)
    for format in ("auto", "component_mask", "dot_mask"):
        with pytest.raises(AnnotationError, match=r"turned\.png has dark marks on a bright ground, or none"):
            open_collection(root, format=format)


def test_an_object_that_fills_its_picture_is_one(tmp_path: Path) -> None:
    y, x = np.mgrid[:SIDE, :SIDE]
    full = (((x - 48) ** 4 + (y - 48) ** 4 < 50**4) * 255).astype(np.uint8)
    assert (full > 0).mean() > 0.9
    masks = {"a": squares([255] * 5, side=9), "b": squares([255] * 2, side=9), "full": full}
    assert counts(open_collection(folder_of(tmp_path, masks))) == {"a": 5, "b": 2, "full": 1}


@pytest.mark.parametrize(
    ("values", "why"),
    [([1, 2, 3, 1, 4, 5], r"6 if each connected region"), ([*range(1, 51), 1, 2, 3, 4, 5, 6, 7, 8], r"58 if each")],
    ids=["few", "many"],
)
def test_values_that_come_again_now_and_then_are_refused(tmp_path: Path, values: list[int], why: str) -> None:
    root = folder_of(tmp_path, {"a": squares(values)})
    with pytest.raises(AnnotationError, match=rf"two ways: .*{why}.*instance_mask .*component_mask"):
        open_collection(root)
    assert open_collection(root, format="instance_mask").n_dots == len(set(values))
    assert open_collection(root, format="component_mask").n_dots == len(values)


def test_labels_beyond_255_in_eight_bits_are_refused(tmp_path: Path) -> None:
    values = [k % 255 + 1 for k in range(260)]
    mask = np.zeros((SIDE, SIDE), dtype=np.uint8)
    for k, value in enumerate(values):
        mask[5 * (k // 19) : 5 * (k // 19) + 4, 5 * (k % 19) : 5 * (k % 19) + 4] = value
    with pytest.raises(AnnotationError, match="values up to 255 begin again in 8 bits"):
        open_collection(folder_of(tmp_path, {"a": mask}))


def test_outlines_around_objects_are_refused(tmp_path: Path) -> None:
    mask = squares([2] * 9, side=10)
    for k in range(9):
        y, x = 12 * (k // 8) + 2, 12 * (k % 8) + 2
        mask[y : y + 6, x : x + 6] = 1
    with pytest.raises(AnnotationError, match="lie within those of another, as in outlines"):
        open_collection(folder_of(tmp_path, {"a": mask}))


def test_crumbs_of_a_label_do_not_make_it_two(tmp_path: Path) -> None:
    mask = squares(list(range(1, 31)), side=9)
    mask[10, :60:5] = 7
    found = open_collection(folder_of(tmp_path, {"a": mask}))
    assert (found.format, found.n_dots) == ("instance_mask", 30)


def test_smooth_edges_and_compression_are_no_labels(tmp_path: Path) -> None:
    discs = squares([255] * 20, side=7)
    smooth = ndimage.gaussian_filter(discs.astype(float), 0.6).astype(np.uint8)
    found = open_collection(folder_of(tmp_path / "smooth", {"a": smooth}))
    assert (found.format, found.n_dots) == ("component_mask", 20)
    Image.fromarray(discs).save(tmp_path / "lossy.jpg", quality=80)
    again = np.asarray(Image.open(tmp_path / "lossy.jpg"))
    assert open_collection(folder_of(tmp_path / "again", {"a": again})).n_dots == 20


def test_labels_in_a_jpeg_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.png", SIDE, SIDE)
    (tmp_path / "masks").mkdir()
    Image.fromarray(squares([k * 20 for k in range(1, 13)], side=9)).save(tmp_path / "masks/a.jpg", quality=95)
    with pytest.raises(AnnotationError, match="save it without loss"):
        open_collection(tmp_path, format="instance_mask")


@pytest.mark.parametrize(
    "name",
    ["{}_cp_masks.tif", "{}_Object Identities.png", "{}_masks.png", "{}-label.tif", "{}_seg.png", "GT_{}_mask.png"],
)
def test_masks_beside_images_under_the_names_of_tools(tmp_path: Path, name: str) -> None:
    folder_of(tmp_path, {"a": squares(list(range(1, 13)), dtype=np.uint16)}, f"images/{name}")
    found = open_collection(tmp_path)
    assert (found.format, counts(found)) == ("instance_mask", {"a": 12})


def test_whole_numbers_in_floats_are_labels_and_no_data_is_background(tmp_path: Path) -> None:
    import tifffile

    labels = squares([1, 2, 3, 4], dtype=np.float32)
    picture(tmp_path / "images/a.png", SIDE, SIDE)
    (tmp_path / "masks").mkdir()
    declared = [(42113, "s", 0, "0", True)]
    tifffile.imwrite(tmp_path / "masks/a.tif", labels, extratags=declared)
    found = open_collection(tmp_path)
    assert (found.format, found.n_dots) == ("instance_mask", 4)
    tifffile.imwrite(tmp_path / "masks/a.tif", labels.astype(np.uint16), extratags=declared)
    assert open_collection(tmp_path).n_dots == 4


def test_a_photo_is_no_mask(tmp_path: Path) -> None:
    noise = picture(tmp_path / "a.png", SIDE, SIDE)
    for name in ("dot_mask", "instance_mask", "component_mask"):
        reader = FORMATS.create(name)
        assert isinstance(reader, Sidecar)
        assert not reader.recognises(noise)
        with pytest.raises(AnnotationError, match="is no mask"):
            reader.read(noise, SIDE, SIDE)


def test_a_map_of_distances_is_not_an_empty_mask(tmp_path: Path) -> None:
    distances = ndimage.distance_transform_edt(squares([1, 1, 1, 1], side=9) > 0).astype(np.uint8)
    folder_of(tmp_path, {"a": distances})
    with pytest.raises(DataError, match="looks like a mask, of no known kind"):
        open_collection(tmp_path)


def test_255_beside_low_labels_may_be_what_is_ignored(tmp_path: Path) -> None:
    mask = squares([1, 2, 3, 4])
    mask[80:, 80:] = 255
    folder_of(tmp_path, {"a": mask, "b": squares([1, 2, 3])})
    with pytest.raises(AnnotationError, match="the value 255 beside values up to 4 may be an object, or what is to be"):
        open_collection(tmp_path)
    assert open_collection(tmp_path, format="instance_mask").n_dots == 8


def test_255_beside_1_may_be_what_is_ignored(tmp_path: Path) -> None:
    """Pascal VOC's border of one class: it is no object of its own."""
    folder_of(tmp_path, {"a": squares([1, 255]), "b": squares([1, 1, 255])})
    with pytest.raises(AnnotationError, match="the value 255 beside values up to 1 may be an object, or what is to be"):
        open_collection(tmp_path)


def test_labels_that_reach_255_are_labels(tmp_path: Path) -> None:
    folder_of(tmp_path, {"a": squares([255, *range(192, 255)])})
    assert open_collection(tmp_path).n_dots == 64


def test_crumbs_among_blobs_and_values_of_dots_are_told(tmp_path: Path) -> None:
    mask = squares([255] * 4)
    mask[90, 90] = 255
    found = open_collection(folder_of(tmp_path / "blobs", {"a": mask}))
    assert found.n_dots == 5
    assert "1 of them are single pixels, beside others of 36" in found.note
    dots = squares([1, 2, 1, 1], side=1)
    assert (
        "each marked pixel is a dot, whatever its value" in open_collection(folder_of(tmp_path / "d", {"a": dots})).note
    )


def test_a_mask_of_the_picture_before_its_turn_is_told_as_such(tmp_path: Path) -> None:
    folder_of(tmp_path, {"a": squares([1, 2, 3, 4])[:48]})
    picture(tmp_path / "images/a.png", 48, SIDE)
    with pytest.raises(AnnotationError, match="of the picture before its orientation turns it"):
        open_collection(tmp_path)


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("{}/img.png", "{}/img_masks.png"),
        ("{}/image.png", "{}/image_label.png"),
        ("imgs/{}.png", "gts/gt_{}.png"),
        ("{}.png", "mask_{}.png"),
    ],
)
def test_more_names_of_masks(tmp_path: Path, image: str, mask: str) -> None:
    for name, number in (("a", 12), ("b", 5)):
        picture(tmp_path / image.format(name), SIDE, SIDE)
        path = tmp_path / mask.format(name)
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(squares(list(range(1, number + 1)))).save(path)
    found = open_collection(tmp_path)
    assert [record.count for record in found.records] == [12, 5]
