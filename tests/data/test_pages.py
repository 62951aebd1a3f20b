"""Dots that are stated to be of a page of a stack, and the page that is read."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from roifile import ROI_TYPE, ImagejRoi

from dotcount.data import open_collection
from dotcount.errors import AnnotationError
from dotcount.selection import ImageSelection


def _csv(folder: Path, page: int) -> None:
    (folder / "dots.csv").write_text(f"image,x,y,slice\na.tif,10,12,{page}\na.tif,20,12,{page}\n")


def _per_image(folder: Path, page: int) -> None:
    (folder / "a.csv").write_text(f"x,y,frame\n10,12,{page}\n20,12,{page}\n")


def _napari(folder: Path, page: int) -> None:
    (folder / "a.csv").write_text(f"index,axis-0,axis-1,axis-2\n0,{page - 1}.0,12,10\n1,{page - 1}.0,12,20\n")


def _imagej(folder: Path, page: int) -> None:
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        for k in (10, 20):
            roi = ImagejRoi.frompoints(np.array([[k, 12]]))
            roi.roitype, roi.position = ROI_TYPE.POINT, page
            archive.writestr(f"{k}.roi", roi.tobytes())


def _cell_counter(folder: Path, page: int) -> None:
    markers = "".join(
        f"<Marker><MarkerX>{x}</MarkerX><MarkerY>12</MarkerY><MarkerZ>{page}</MarkerZ></Marker>" for x in (10, 20)
    )
    (folder / "CellCounter_a.xml").write_text(
        "<CellCounter_Marker_File><Image_Properties><Image_Filename>a.tif</Image_Filename></Image_Properties>"
        f"<Marker_Data><Marker_Type><Type>1</Type>{markers}</Marker_Type></Marker_Data></CellCounter_Marker_File>"
    )


def _qupath(folder: Path, page: int) -> None:
    plane = {"c": -1, "z": page - 1, "t": 0}
    features = [
        {"type": "Feature", "geometry": {"type": "Point", "coordinates": [x, 12], "plane": plane}, "properties": {}}
        for x in (10, 20)
    ]
    (folder / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def stack(folder: Path, pages: int) -> None:
    shape = (pages, 48, 64) if pages > 1 else (48, 64)
    tifffile.imwrite(folder / "a.tif", np.zeros(shape, np.uint8), photometric="minisblack")


@pytest.mark.parametrize("write", [_csv, _per_image, _napari, _imagej, _cell_counter, _qupath])
def test_dots_of_a_page_that_is_not_read(tmp_path: Path, write: Callable[[Path, int], None]) -> None:
    stack(tmp_path, 4)
    write(tmp_path, 3)
    with pytest.raises(AnnotationError, match=r"dots of image .*a\.tif are of page 3.* of its 4 pages, while page 1"):
        open_collection(tmp_path)
    assert open_collection(tmp_path, selection=ImageSelection(page=3)).n_dots == 2
    assert open_collection(tmp_path, selection=ImageSelection(projection="max")).n_dots == 2
    told = open_collection(tmp_path, selection=None)
    assert told.n_dots == 2
    assert "which has to be read" in told.note
    write(tmp_path, 1)
    assert open_collection(tmp_path).n_dots == 2
    stack(tmp_path, 1)  # the page was saved as an image of its own
    write(tmp_path, 3)
    assert open_collection(tmp_path).n_dots == 2


def test_qupath_objects_of_several_planes(tmp_path: Path) -> None:
    stack(tmp_path, 1)
    _qupath(tmp_path, 1)
    content = json.loads((tmp_path / "a.geojson").read_text())
    content["features"][1]["geometry"]["plane"] = {"c": -1, "z": 2, "t": 0}
    (tmp_path / "a.geojson").write_text(json.dumps(content))
    with pytest.raises(AnnotationError, match="objects in 2 planes of a stack"):
        open_collection(tmp_path)


def test_planes_in_units_of_length_name_no_page(tmp_path: Path) -> None:
    stack(tmp_path, 4)
    (tmp_path / "a.csv").write_text("x,y,z\n10,12,2.75\n20,12,2.75\n")
    assert open_collection(tmp_path).n_dots == 2
