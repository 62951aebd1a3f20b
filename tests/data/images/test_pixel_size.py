"""The size of a pixel as programs of microscopy write it into TIFF files; dots per inch are not believed."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from dotcount.data.images import load_image, read_header

PLANE = np.zeros((8, 9), np.uint16)


def written(path, **options):
    tifffile.imwrite(path, PLANE, photometric="minisblack", **options)
    return path


@pytest.mark.parametrize(
    ("metadata", "metres"),
    [
        ({"PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.5, "PhysicalSizeYUnit": "µm"}, 0.5e-6),
        ({"PhysicalSizeX": 400, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.9}, 0.6e-6),
        ({"PhysicalSizeX": 0.5}, None),
        ({"PhysicalSizeX": 2, "PhysicalSizeXUnit": "pixel", "PhysicalSizeY": 2, "PhysicalSizeYUnit": "pixel"}, None),
    ],
)
def test_ome_tiff(tmp_path, metadata, metres):
    path = written(tmp_path / "a.ome.tif", metadata={"axes": "YX", **metadata})
    assert read_header(path).pixel_size == (None if metres is None else pytest.approx(metres))
    assert load_image(path).pixel_size == read_header(path).pixel_size


@pytest.mark.parametrize(("unit", "metres"), [("micron", 0.25e-6), ("\\u00B5m", 0.25e-6), ("mm", 0.25e-3), ("", None)])
def test_imagej(tmp_path, unit, metres):
    path = written(tmp_path / "a.tif", imagej=True, resolution=(4.0, 4.0), metadata={"unit": unit})
    assert read_header(path).pixel_size == (None if metres is None else pytest.approx(metres))


def test_slide_scanners(tmp_path):
    path = written(tmp_path / "a.tif", description="Aperio Image Library v11|AppMag = 20|MPP = 0.499", metadata=None)
    assert read_header(path).pixel_size == pytest.approx(0.499e-6)


def test_dots_per_inch_say_nothing(tmp_path):
    assert read_header(written(tmp_path / "a.tif", resolution=(72, 72), resolutionunit="INCH")).pixel_size is None
    Image.new("L", (8, 9)).save(tmp_path / "a.png", dpi=(300, 300))
    assert read_header(tmp_path / "a.png").pixel_size is None
