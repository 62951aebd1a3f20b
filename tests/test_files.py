"""Names that come from data, cells of spreadsheets, markers of results, and files that never end."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dotcount.errors import DataError
from dotcount.files import is_output, mark_output, marking, output_of, read_bytes, write_text
from dotcount.names import below, cell, plain_cell


@given(st.text(alphabet="'=+-@\ta1.e", max_size=8))
def test_cells_read_back_and_never_begin_a_formula(text: str) -> None:
    written = cell(text)
    assert plain_cell(written) == text
    if written[:1] in ("=", "+", "-", "@", "\t"):
        float(written)


HOSTILE = [
    ("", "empty"),
    ("/etc/passwd", "absolute"),
    ("C:\\x.png", "absolute"),
    ("C:x.png", "absolute"),
    ("\\\\server\\share\\x", "absolute"),
    ("../x", "out of its folder"),
    ("a/../../x", "out of its folder"),
    ("a\\..\\..\\x", "out of its folder"),
    ("a//b", "no plain path"),
    ("a/./b", "no plain path"),
    (".", "no plain path"),
    ("a\x00b", "control"),
    ("a\nb", "control"),
    ("CON", "device"),
    ("a/nul.png", "device"),
    ("COM1.csv", "device"),
    ("x" * 256, "too long"),
    ("ü" * 128, "too long"),
    ("abc/" * 1000 + "a", "too long"),
]


@pytest.mark.parametrize(("name", "reason"), HOSTILE)
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(DataError, match=reason) as caught:
        below(tmp_path, name, "image")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


def test_links_that_lead_out_are_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/inner").mkdir()
    (tmp_path / "out/link").symlink_to(tmp_path)
    (tmp_path / "out/good").symlink_to(tmp_path / "out/inner")
    with pytest.raises(DataError, match="link leads out"):
        below(tmp_path / "out", "link/a.png")
    assert below(tmp_path / "out", "good/a b/ü.png") == tmp_path / "out/good/a b/ü.png"


def test_results_are_marked(tmp_path: Path) -> None:
    assert output_of(tmp_path) is None
    mark_output(tmp_path, "predictions", "dotcount predict", ["counts.csv"])
    mark_output(tmp_path, "evaluation", "dotcount evaluate", ["report.html"])
    assert is_output(tmp_path)
    found = output_of(tmp_path)
    assert found is not None
    assert found.names == ("counts.csv", "report.html")
    assert found.created_by == "dotcount evaluate"
    mark_output(tmp_path / "d", "data", "dotcount data synth")
    assert not is_output(tmp_path / "d")
    mark_output(tmp_path / "d", "predictions", "dotcount predict", ["counts.csv"])
    assert output_of(tmp_path / "d").names == ("counts.csv",)  # type: ignore[union-attr]


@pytest.mark.parametrize("text", ["", "[]", '{"kind": 1}', '{"kind": "run"}', "{" * 100_000, "\x00", '"kind"'])
def test_other_files_of_that_name_are_no_marker(tmp_path: Path, text: str) -> None:
    write_text(tmp_path / "dotcount.json", text)
    assert output_of(tmp_path) is None


def test_only_regular_files_of_bounded_size_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "large").write_bytes(b"12345")
    for name in ("pipe", "zero", "", "missing"):
        with pytest.raises(OSError):
            read_bytes(tmp_path / name, 100)
    with pytest.raises(OSError, match="larger than 4 bytes"):
        read_bytes(tmp_path / "large", 4)
    assert read_bytes(tmp_path / "large", 5) == b"12345"


def test_what_a_block_writes_is_marked(tmp_path: Path) -> None:
    with marking(tmp_path / "new", "check", "dotcount data check"):
        write_text(tmp_path / "new/check.json", "{}")
    assert output_of(tmp_path / "new").names == ()  # type: ignore[union-attr]
    write_text(tmp_path / "used/photo.txt", "mine")
    write_text(tmp_path / "used/old.json", "{}")
    with suppress(ValueError), marking(tmp_path / "used", "check", "dotcount data check"):
        write_text(tmp_path / "used/check.json", "{}")
        write_text(tmp_path / "used/old.json", "{1}")
        raise ValueError
    assert output_of(tmp_path / "used").names == ("check.json", "old.json")  # type: ignore[union-attr]
    with marking(tmp_path / "none", "check", "dotcount data check"):
        pass
    assert not (tmp_path / "none").exists()
