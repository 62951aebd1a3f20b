import pytest

from dotcount.errors import DataError
from dotcount.prediction import find
from tests.prediction.oracles import write_dotted


@pytest.fixture
def images(tmp_path):
    return [write_dotted(tmp_path / "images" / f"{name}.png", [(1, 1)]) for name in "cab"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.txt", "images/c.png\n\nimages/a.png\n"),
        ("list.csv", "plot,Image\n1,images/c.png\n2,images/a.png\n"),
        ("list.csv", "\ufeffpath\nimages/c.png\nimages/a.png\n"),
    ],
)
def test_a_list_names_images_in_its_order(tmp_path, images, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8")
    listing = find(tmp_path / name)
    assert [frame.name for frame in listing] == ["c.png", "a.png"]
    assert all(frame.load().error is None for frame in listing)


def test_an_image_that_is_not_there_is_an_error_of_its_own(tmp_path, images):
    (tmp_path / "list.txt").write_text("images/a.png\nimages/gone.png\n")
    good, gone = list(find(tmp_path / "list.txt"))
    assert good.load().error is None
    assert "gone.png" in gone.load().error


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [("a.csv", b"x,y\n1,2\n", "no column of paths"), ("a.txt", b"\n", "names no image"), ("a.txt", b"\xff", "UTF-8")],
)
def test_a_list_that_is_none_is_told(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=words):
        find(tmp_path / name)
