"""Small copies of real layouts, made of noise: the structure is real, no picture and no dot is anybody's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from PIL import Image


def picture(path: Path, width: int = 40, height: int = 30, seed: int = 0, **save: Any) -> Path:
    """Write a noise image; the suffix chooses the format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, **save)
    return path


def spots(n: int, width: int = 40, height: int = 30, seed: int = 0) -> np.ndarray:
    """Return n positions inside the image, to three decimals."""
    return np.round(np.random.default_rng(seed).random((n, 2)) * (width - 0.01, height - 0.01), 3)


def write_csv(path: Path, xy: np.ndarray, header: str = "x,y") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = "".join(f"{x:g},{y:g}\n" for x, y in xy)
    path.write_text(f"{header}\n{rows}" if header else rows, encoding="utf-8")
    return path


def shanghaitech_mat(path: Path, xy: np.ndarray) -> None:
    """Write ``image_info{1}`` with ``location`` and ``number`` as the authors' files hold it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    info = np.empty((1, 1), dtype=object)
    info[0, 0] = {"location": np.asarray(xy, dtype=float).reshape(-1, 2), "number": len(xy)}
    scipy.io.savemat(path, {"image_info": info})


def shanghaitech(root: Path, truth: str = "ground-truth", train: int = 3, test: int = 2) -> dict[str, np.ndarray]:
    """Write a part of ShanghaiTech; return the dots by image name."""
    written = {}
    for split, number in (("train", train), ("test", test)):
        for k in range(1, number + 1):
            name = f"{split}_data/images/IMG_{k}.jpg"
            picture(root / name, seed=k)
            written[name] = spots(k, seed=k)
            shanghaitech_mat(root / f"{split}_data/{truth}/GT_IMG_{k}.mat", written[name])
    return written


def vgg_cells(root: Path, numbers: tuple[int, ...] = (1, 2, 100, 101, 200)) -> None:
    """Write VGG cells: names with ``cell``, masks with ``dots``, csv of pixel indices."""
    for k in numbers:
        picture(root / f"images/{k:03d}cell.png", seed=k)
        xy = np.floor(spots(k % 7 + 1, seed=k))
        write_csv(root / f"points_csv/{k:03d}cell.csv", xy)
        mask = np.zeros((30, 40, 3), dtype=np.uint8)
        mask[xy[:, 1].astype(int), xy[:, 0].astype(int), 0] = 255
        (root / "points").mkdir(exist_ok=True)
        Image.fromarray(mask).save(root / f"points/{k:03d}dots.png")


def adipocyte(root: Path, number: int = 8) -> None:
    """Write adipocytes: JPEG images, csv named after the whole file name."""
    for k in range(number):
        name = f"{1700 * k}-5100_GTEX-ABC{k}_Adipose-Subcutaneous.jpeg"
        picture(root / "images" / name, seed=k)
        picture(root / "points" / name, seed=k)
        write_csv(root / f"points_csv/{name}.csv", np.floor(spots(k + 1, seed=k)))


def urban_trees(root: Path) -> None:
    """Write urban trees: four-band TIFF, csv in pixel indices, split lists; one image has no csv."""
    import tifffile

    (root / "images").mkdir(parents=True)
    for k in range(6):
        bands = np.random.default_rng(k).integers(0, 256, (30, 40, 4), dtype=np.uint8)
        tifffile.imwrite(root / f"images/long_beach_2020_{k}.tif", bands, photometric="rgb", planarconfig="contig")
        if k != 2:
            write_csv(root / f"points/long_beach_2020_{k}.csv", np.floor(spots(k + 1, seed=k)))
    for split, numbers in (("train", range(4)), ("val", [4]), ("test", [5])):
        (root / f"{split}_socal.txt").write_text("".join(f"long_beach_2020_{k}\n" for k in numbers))


def ucf_qnrf(root: Path) -> None:
    """Write UCF-QNRF: images and ``_ann.mat`` in one folder; dots may lie outside."""
    for folder, numbers in (("Train", (1, 2, 10)), ("Test", (1,))):
        for k in numbers:
            picture(root / folder / f"img_{k:04d}.jpg", seed=k)
            xy = np.concatenate([spots(k, seed=k), [[-1.5, 3.0]]])
            scipy.io.savemat(root / folder / f"img_{k:04d}_ann.mat", {"annPoints": xy})


def ucf_cc_50(root: Path) -> None:
    """Write UCF_CC_50 with ten images."""
    for k in range(1, 11):
        picture(root / f"{k}.jpg", seed=k)
        scipy.io.savemat(root / f"{k}_ann.mat", {"annPoints": spots(k, seed=k)})


def jhu_crowd(root: Path) -> None:
    """Write JHU-CROWD++: heads with boxes, occlusion and blur; labels of the images."""
    for split in ("train", "val", "test"):
        picture(root / split / "images/0001.jpg")
        picture(root / split / "images/0002.jpg")
        (root / split / "gt").mkdir()
        (root / split / "gt/0001.txt").write_text("10 20 4 5 1 0 \n30 12 4 5 3 1 \n")
        (root / split / "gt/0002.txt").write_text("")
        (root / split / "image_labels.txt").write_text("0001,2,protest,2,0\n0002,0,street,0,1\n")


def nwpu(root: Path, annotation: str = "mats", parts: bool = False) -> None:
    """Write NWPU-Crowd: five images, of which the last is a test image without labels."""
    import json

    for k in range(1, 6):
        folder = f"images_part{1 + k // 3}" if parts else "images"
        picture(root / folder / f"{k:04d}.jpg", seed=k)
        xy = spots(k - 1, seed=k)
        if k == 5:
            continue
        (root / annotation).mkdir(exist_ok=True)
        if annotation == "mats":
            scipy.io.savemat(root / f"mats/{k:04d}.mat", {"annPoints": xy, "annBoxes": np.zeros((len(xy), 4))})
        else:
            content = {"img_id": f"{k:04d}.jpg", "human_num": len(xy), "points": xy.tolist(), "boxes": []}
            (root / f"jsons/{k:04d}.json").write_text(json.dumps(content))
    for split, lines in (("train", "0003 1 1\n0001 0 0\n"), ("val", "0002 2 1\n0004 1 1\n"), ("test", "0005 1 3\n")):
        (root / f"{split}.txt").write_text(lines)


def bone_marrow(root: Path, number: int = 6) -> None:
    """Write MBM: dot masks beside the images."""
    for k in range(number):
        picture(root / f"BM_GRAZ_HE_0001_{k:02d}.png", seed=k)
        mask = np.zeros((30, 40, 3), dtype=np.uint8)
        cells = np.unique(np.floor(spots(k + 2, seed=k)).astype(int), axis=0)
        mask[cells[:, 1], cells[:, 0]] = 255, 0, 0
        Image.fromarray(mask).save(root / f"BM_GRAZ_HE_0001_{k:02d}_dots.png")


def trancos(root: Path) -> None:
    """Write TRANCOS: dot masks beside the images, lists of names."""
    (root / "image_sets").mkdir(parents=True)
    for k, (words, numbers) in enumerate((("training", (1, 2)), ("validation", (3,)), ("test", (4,)))):
        (root / f"image_sets/{words}.txt").write_text("".join(f"image-{k}-{n:06d}.jpg\n" for n in numbers))
        for n in numbers:
            image = picture(root / f"images/image-{k}-{n:06d}.jpg", seed=n)
            mask = np.zeros((30, 40, 3), dtype=np.uint8)
            cars = np.unique(np.floor(spots(n + 1, seed=n)).astype(int), axis=0)
            mask[cars[:, 1], cars[:, 0]] = 255, 0, 0
            Image.fromarray(mask).save(image.with_name(f"{image.stem}dots.png"))


def parking_lot(root: Path, suffix: str = ".png") -> None:
    """Write CARPK or PUCPR+: boxes in text files, lists of names; one lot is empty."""
    for folder in ("Images", "Annotations", "ImageSets"):
        (root / "data" / folder).mkdir(parents=True)
    for split, numbers in (("train", (1, 2)), ("test", (3,))):
        (root / f"data/ImageSets/{split}.txt").write_text("".join(f"2016_{n:05d}\n" for n in numbers))
        for n in numbers:
            picture(root / f"data/Images/2016_{n:05d}{suffix}", seed=n)
            boxes = "" if n == 2 else "".join(f"{4 * k} {3} {4 * k + 6} {13} 1\n" for k in range(n))
            (root / f"data/Annotations/2016_{n:05d}.txt").write_text(boxes)


def mall(root: Path, number: int = 802) -> None:
    """Write Mall: heads of all frames in one file; pictures of those around the border between train and test."""
    frames = np.empty((1, number), dtype=object)
    counts = np.array([[k % 4] for k in range(1, number + 1)])
    for k in range(1, number + 1):
        frames[0, k - 1] = {"loc": spots(k % 4, seed=k)}
        if k in (1, 2, 800, 801, 802):
            picture(root / f"frames/seq_{k:06d}.jpg", seed=k)
    scipy.io.savemat(root / "mall_gt.mat", {"frame": frames, "count": counts})


def bcdata(root: Path) -> None:
    """Write BCData: two classes in files of their own; an image may have none of one."""
    import h5py

    for split in ("train", "validation", "test"):
        for k in range(2):
            picture(root / f"images/{split}/{k}.png", seed=k)
            for name, n in (("positive", k), ("negative", 3)):
                path = root / f"annotations/{split}/{name}/{k}.h5"
                path.parent.mkdir(parents=True, exist_ok=True)
                with h5py.File(path, "w") as file:
                    file["coordinates"] = np.floor(spots(n, seed=10 * k + n)).astype(np.int64).reshape(-1, 2)


def visdrone_cc(root: Path) -> None:
    """Write VisDrone-CC: frames in sequences, heads of all frames of one in a file; one sequence has no annotation."""
    (root / "annotations").mkdir(parents=True)
    for sequence in (1, 2, 3):
        for frame in (1, 2):
            picture(root / f"sequences/{sequence:05d}/{frame:05d}.jpg", seed=10 * sequence + frame)
    (root / "annotations/00001.txt").write_text("1,5,6\n1,20,7\n2,8,9\n")
    (root / "annotations/00002.txt").write_text("2,30,20\n")
    (root / "trainlist.txt").write_text("00001\n00002\n")
    (root / "testlist.txt").write_text("00003\n")


def tree_points(root: Path) -> None:
    """Write TreePoints: one csv for all images; one of them is not annotated completely."""
    rows = ["filename,x,y,split,source,complete"]
    for k, (split, complete) in enumerate((("train", True), ("train", False), ("test", True))):
        picture(root / f"images/tile_{k}.png", seed=k)
        rows += [f"tile_{k}.png,{x},{y},{split},city {k},{complete}" for x, y in spots(k + 1, seed=k)]
    (root / "random.csv").write_text("\n".join(rows) + "\n")
