import argparse
import ast
import re
from pathlib import Path

import pytest

import dotcount
from dotcount.cli.words import Parser, with_options
from dotcount.errors import UsageError


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["train", "x", "--out", "y", "--max-minuts", "3"], "Did you mean '--max-minutes'?"),
        (["train", "x", "--max-minuts=3"], "Did you mean '--max-minutes'?"),
        (["predict", "x", "y", "--out", "z", "--overlay"], "Did you mean '--no-overlays'?"),
        (["data", "inof", "x"], "Did you mean 'info'?"),
        (["data", "convert", "x", "--out", "y", "--image", "links"], "Did you mean 'link'?"),
        (["data", "check", "x", "--fi", "y", "--fxi"], "Did you mean '--fix'?"),
    ],
)
def test_what_is_unknown_gets_a_suggestion(fails, words, hint):
    assert hint in fails(*words, code=2)


def test_what_lacks_is_said(fails):
    message = fails("predict", "cells", "photos", code=2)
    assert "--out" in message
    assert "dotcount predict --help" in message


def test_values_that_look_like_options_are_no_unknown_options():
    parser = Parser(prog="x")
    parser.add_argument("rest", nargs="*")
    assert parser.parse_args(["--", "--rest"]).rest == ["--rest"]
    parser.add_argument("--number", type=int)
    assert parser.parse_args(["--number", "-3"]).number == -3
    assert parser.parse_args(["--num", "4"]).number == 4


def test_parameters_become_options():
    parser = argparse.ArgumentParser()
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("--out", "-o")
    parser.add_argument("--set", dest="overrides")
    actions = parser.add_subparsers()
    actions.add_parser("inner").add_argument("--tile")
    text = "`run` and `out`, `overrides`, `tile`; `unknown` and `dotcount train`"
    assert with_options(text, parser) == "RUN and --out, --set, --tile; `unknown` and `dotcount train`"
    assert with_options(text, None) == text


def literals(path):
    """Yield the string literals of a module that are no docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.lineno, node.value


def test_the_library_names_parameters_not_options():
    root = Path(dotcount.__file__).parent
    found = []
    for path in root.rglob("*.py"):
        room = path.relative_to(root).parts[0].removesuffix(".py")
        if room in ("cli", "web"):
            continue
        for line, text in literals(path):
            # A whole command line, shown to be copied, is no message about a parameter.
            rest = re.sub(r"`(dotcount|gdal_translate|pip|ffmpeg) [^`]*`|^dotcount [a-z -]*$", "", text)
            if re.search(r"(?<![\w-])(?<!var\()--[a-z]", rest):
                found.append(f"{path.relative_to(root)}:{line}: {text[:80]}")
    assert found == []


def test_swapped_arguments_are_suspected(fails, trained, data, tmp_path):
    out = ["--out", tmp_path / "out"]
    image = next((data / "test" / "images").iterdir())
    for words in (["predict", data, trained], ["evaluate", data, trained], ["explain", image, trained]):
        assert "swapped" in fails(*words, *out, code=2)


def test_wrong_case_and_near_names_are_suggested(fails, trained, tmp_path):
    (tmp_path / "Photos").mkdir()
    out = ["--out", tmp_path / "out"]
    assert "Photos'" in fails("predict", trained, tmp_path / "photos", *out)
    assert f"{trained.name}'" in fails("predict", trained.with_name("Cells"), tmp_path, *out)


def test_an_encoder_of_timm_is_called_by_its_name(fails, data, tmp_path):
    message = fails("train", data, "--out", tmp_path / "out", "--model", "resnet50", code=2)
    assert "'timm/resnet50'" in message


def test_errors_are_usage_errors():
    parser = Parser(prog="x")
    parser.add_argument("--n", type=int)
    with pytest.raises(UsageError, match="invalid int value"):
        parser.parse_args(["--n", "x"])
