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
