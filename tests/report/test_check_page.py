"""The page of a data check: a verdict, findings with pictures, figures, and the style of all pages."""

from __future__ import annotations

from pathlib import Path

from dotcount.data import open_collection
from dotcount.data.checks import check
from dotcount.report import write_check_page

from ..data.layouts import picture, spots, write_csv
from .test_html import outline, spoken


def page(root: Path, strict: bool = True) -> str:
    write_check_page(root.parent / "check.html", check(open_collection(root, strict=strict)))
    return (root.parent / "check.html").read_text(encoding="utf-8")


def dotted(root: Path) -> None:
    root.mkdir()
    for k in range(6):
        picture(root / f"{k}.png", seed=k)
        write_csv(root / f"{k}.csv", spots(3 + k, seed=k))


def test_sound_data_is_called_so(tmp_path: Path) -> None:
    dotted(tmp_path / "data")
    html = page(tmp_path / "data")
    parsed = outline(html)
    assert all(reference.startswith("data:") for reference in parsed.references)
    text = spoken(html)
    for expected in (
        "Nothing is wrong",
        "From the fewest to the most dots",
        "Settings to start from",
        "dots in an image",
    ):
        assert expected in text
    assert html.count("<img ") == 4
    assert html.count("<svg") == 1, "the histogram"
    assert "prefers-color-scheme: dark" in html


def test_errors_come_first_with_their_pictures(tmp_path: Path) -> None:
    dotted(tmp_path / "data")
    write_csv(tmp_path / "data" / "2.csv", spots(4, seed=2) * 40)
    html = page(tmp_path / "data", strict=False)
    text = spoken(html)
    assert "Not fit for training yet" in text
    assert "1 error" in text
    assert html.index("Not fit") < html.index('class="finding"')
    assert html.count("<img ") > 4


def test_the_page_needs_no_torch() -> None:
    import subprocess
    import sys

    code = "import sys, dotcount.report; dotcount.report.write_check_page; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
