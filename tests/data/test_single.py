import numpy as np
import pytest
import scipy.io
from PIL import Image

from dotcount.data.single import read_dots
from dotcount.errors import AnnotationError, ImageReadError

XY = [(10.25, 5.5), (40.5, 30.75)]


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "images" / "a.png"
    path.parent.mkdir()
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(path)
    return path


@pytest.mark.parametrize(
    "text",
    [
        "x,y\n10.25,5.5\n40.5,30.75\n",
        "y;x\n5,5;10,25\n30,75;40,5\n",
        "image,x,y\nb.png,1,1\na.png,10.25,5.5\na.png,40.5,30.75\n",
        "image,x,y\nimages/a.png,10.25,5.5\nimages/a.png,40.5,30.75\n",
        "image,x,y\na,10.25,5.5\na,40.5,30.75\n",
    ],
)
def test_a_csv_of_one_or_of_many_images(image, tmp_path, text):
    (tmp_path / "dots.csv").write_text(text)
    points = read_dots(tmp_path / "dots.csv", image)
    np.testing.assert_allclose(points.xy, XY)
    assert (points.width, points.height) == (64, 48)


def test_a_matlab_file(image, tmp_path):
    scipy.io.savemat(tmp_path / "GT_a.mat", {"annPoints": np.array(XY)})
    np.testing.assert_allclose(read_dots(tmp_path / "GT_a.mat", image).xy, XY)


def test_a_dot_mask(image, tmp_path):
    mask = np.zeros((48, 64), np.uint8)
    mask[5, 10] = mask[30, 40] = 255
    Image.fromarray(mask).save(tmp_path / "a_dots.png")
    np.testing.assert_allclose(read_dots(tmp_path / "a_dots.png", image).xy, [(10.5, 5.5), (40.5, 30.5)])


def test_no_rows_are_no_dots(image, tmp_path):
    (tmp_path / "dots.csv").write_text("x,y\n")
    assert len(read_dots(tmp_path / "dots.csv", image)) == 0


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("dots.csv", "x,y\n64,3\n", r"dot 1 at \(64.5, 3.5\) is not inside image .*a\.png \(64 x 48 px\)"),
        ("dots.csv", "x,y\n5,5\nnan,3\n", "dot 2 at"),
        ("dots.csv", "x,y\nfive,3\n", "holds no numbers"),
        ("dots.csv", "image,x,y\nb.png,3,3\n", "no rows for image a.png"),
        ("dots.csv", "hello\n", "no known format"),
        ("dots.xyz", "x,y\n3,3\n", "no known format"),
    ],
)
def test_bad_files_are_one_clear_line(image, tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(AnnotationError, match=message) as caught:
        read_dots(tmp_path / name, image)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


def test_missing_files(image, tmp_path):
    with pytest.raises(AnnotationError, match=r"gone\.csv do not exist"):
        read_dots(tmp_path / "gone.csv", image)
    with pytest.raises(ImageReadError, match=r"gone\.png"):
        read_dots(tmp_path / "gone.csv", tmp_path / "gone.png")
