"""The page on adding to the package: each file, put into its folder or into a package of one's own, does what it says.

The files run as printed, the tests on the page are run on them, and those tests fail where the file is wrong.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import tomllib
from pathlib import Path

import pytest
from _pytest.outcomes import Failed

from dotcount.cli.main import main
from dotcount.errors import ModelError
from dotcount.registry import Registry, import_folder
from tests.prediction.conftest import saved_model  # noqa: F401

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "extend.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"`((?:src|tests)/[\w/]+\.py)`\n\n```python\n(.*?)```", PAGE, flags=re.DOTALL))
SOURCES = {name: text for name, text in FILES.items() if name.startswith("src/")}
TESTS = {Path(name).stem.removeprefix("test_"): text for name, text in FILES.items() if name.startswith("tests/")}
(ENTRY_POINTS,) = re.findall(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL)

MISTAKES = {
    "tally": (":.1f} objects", ":.2f} objects"),
    "stacks": ("stack[page]", "stack[0]"),
    "pick": ("values[1] + 0.5", "values[1]"),
    "poisson": ("mass - dots *", "mass + dots *"),
    "plain": ("1, 1)", "2, 1)"),
}


def registries():
    """Return {folder of the package: registry}."""
    kinds = re.findall(r"\| `src/(dotcount/[\w/]+)/` \| `(\w+)` \| `([\w.]+)` \|", PAGE)
    found = {folder: (getattr(importlib.import_module(folder.replace("/", ".")), name), group)
             for folder, name, group in kinds}  # fmt: skip
    assert len(found) == 5
    for registry, group in found.values():
        assert registry.group == group
    return {folder: registry for folder, (registry, _) in found.items()}


@pytest.fixture
def clean(monkeypatch):
    """Undo what a test registers and imports."""
    before = set(sys.modules)
    for registry in registries().values():
        list(registry)  # what is installed is there
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    yield
    for name in set(sys.modules) - before:
        if name.startswith("my_package") or name.rpartition(".")[2] in TESTS:
            parent, _, child = name.rpartition(".")
            if parent in sys.modules:
                vars(sys.modules[parent]).pop(child, None)
            del sys.modules[name]


def put_into_the_package(source, folder, monkeypatch, text=None):
    """Lay the file into a folder that the package's folder is extended by, and search it as at import."""
    path = Path(source).relative_to("src")
    package = ".".join(path.parts[:-1])
    folder.mkdir(parents=True)
    (folder / path.name).write_text(text or SOURCES[source], encoding="utf-8")
    module = importlib.import_module(package)
    monkeypatch.setattr(module, "__path__", [*module.__path__, str(folder)])
    importlib.invalidate_caches()
    import_folder(package)


def run_tests(name, tmp_path):
    """Run the test file of the page, as pytest would; returns how many tests there were."""
    names: dict[str, object] = {"__name__": f"test_{name}"}
    exec(compile(TESTS[name], f"test_{name}.py", "exec"), names)
    ran = 0
    for test, function in [(k, v) for k, v in names.items() if k.startswith("test_")]:
        marks = getattr(function, "pytestmark", [])
        values = [(mark.args[0], value) for mark in marks for value in mark.args[1]] or [None]
        for k, value in enumerate(values):
            arguments = {} if value is None else {value[0]: value[1]}
            if "tmp_path" in inspect.signature(function).parameters:
                arguments["tmp_path"] = tmp_path / f"{test}{k}"
                arguments["tmp_path"].mkdir(parents=True)
            function(**arguments)
            ran += 1
    return ran


def test_every_kind_is_on_the_page_with_one_file_and_one_test():
    assert {str(Path(name).parent).removeprefix("src/") for name in SOURCES} == set(registries())
    assert {Path(name).stem for name in SOURCES} == set(TESTS) == set(MISTAKES)


@pytest.mark.parametrize("source", SOURCES)
def test_one_file_in_its_folder_is_all(source, tmp_path, monkeypatch, clean):
    put_into_the_package(source, tmp_path / "folder", monkeypatch)
    assert run_tests(Path(source).stem, tmp_path) >= 1


@pytest.mark.parametrize("source", SOURCES)
def test_a_mistake_in_the_file_fails_its_test(source, tmp_path, monkeypatch, clean):
    name = Path(source).stem
    right, wrong = MISTAKES[name]
    assert right in SOURCES[source]
    text = SOURCES[source].replace(right, wrong)
    put_into_the_package(source, tmp_path / "folder", monkeypatch, text)
    with pytest.raises((AssertionError, Failed, ModelError)):
        run_tests(name, tmp_path)


def test_the_command_line_knows_a_new_sink_source_and_format(tmp_path, monkeypatch, clean, saved_model):  # noqa: F811
    import numpy as np

    for k, source in enumerate(SOURCES):
        put_into_the_package(source, tmp_path / f"folder{k}", monkeypatch)
    np.save(tmp_path / "stack.npy", np.zeros((2, 24, 24, 3), np.uint8))
    out = tmp_path / "out"
    code = main(["predict", str(saved_model), str(tmp_path / "stack.npy"), "--out", str(out), "--write", "tally,pick"])
    assert code == 0
    assert len((out / "tally.txt").read_text().splitlines()) == 2
    assert len(list((out / "pick").rglob("*.pick"))) == 2


def test_a_package_of_ones_own_adds_all_five(tmp_path, monkeypatch, clean):
    """A package on the path, with the metadata that pip writes."""
    package = tmp_path / "site" / "my_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    for source, text in SOURCES.items():
        (package / Path(source).name).write_text(re.sub(r"^@.*register\(.*\n", "", text, flags=re.MULTILINE))
    folder = tmp_path / "site" / "my_package-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: my_package\nVersion: 1.0\n")
    groups = tomllib.loads(ENTRY_POINTS)["project"]["entry-points"]
    lines = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in points.items()) for group, points in groups.items()]
    (folder / "entry_points.txt").write_text("".join(lines))
    monkeypatch.syspath_prepend(tmp_path / "site")
    for registry in registries().values():
        assert isinstance(registry, Registry)
        monkeypatch.setattr(registry, "_complete", False)
    assert set(groups) == {registry.group for registry in registries().values()}
    for name in TESTS:
        assert run_tests(name, tmp_path / name) >= 1
