"""House rules that no other tool checks: sizes of files and functions, names, what the library prints."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

SOURCE = Path(__file__).parents[1] / "src" / "dotcount"
FILES = sorted(SOURCE.rglob("*.py"))
KERNELS = SOURCE / "transport" / "kernels"
Function = ast.FunctionDef | ast.AsyncFunctionDef


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for path in FILES:
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def functions() -> Iterator[tuple[Path, Function]]:
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, Function):
                yield path, node


def code_lines(node: Function) -> int:
    """Return the lines of a function without its docstring."""
    first = node.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    doc = (first.end_lineno or 0) - first.lineno + 1 if documented else 0
    return (node.end_lineno or 0) - node.lineno + 1 - doc


def test_files_are_small():
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {str(path): n for path, n in lengths.items() if n > 450} == {}
    assert np.quantile(list(lengths.values()), 0.9) <= 350


def test_functions_are_short():
    assert np.quantile([code_lines(node) for _, node in functions()], 0.9) <= 45


def test_functions_have_few_parameters():
    found = []
    for path, node in functions():
        names = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        own = [name for name in names if name not in ("self", "cls")]
        if len(own) > 8 and not path.is_relative_to(KERNELS):
            found.append(f"{path.relative_to(SOURCE).as_posix()}: {node.name} has {len(own)}")
    assert found == []


def test_no_two_classes_share_a_name():
    places = defaultdict(list)
    for path, tree in trees():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(path.relative_to(SOURCE)))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_the_library_prints_nothing():
    found = []
    for path, tree in trees():
        if path.is_relative_to(SOURCE / "cli"):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
                found.append(f"{path.relative_to(SOURCE)}:{node.lineno}")
    assert found == []


def test_tests_mirror_the_source():
    rooms = {p.name for p in SOURCE.iterdir() if p.is_dir() and (p / "__init__.py").is_file()}
    tested = {p.name for p in Path(__file__).parent.iterdir() if p.is_dir()}
    assert rooms - tested == set()


@pytest.mark.parametrize("module", ["torch", "matplotlib", "lightning", "timm", "scipy"])
def test_importing_dotcount_is_light(module):
    code = f"import sys, dotcount; sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
