import sys

import pytest

from dotcount.errors import UnknownNameError, UsageError
from dotcount.registry import Registry, did_you_mean, import_folder


def make_registry():
    registry = Registry("loss")

    @registry.register("bayesian")
    def build(sigma=8.0):
        return ("bayesian", sigma)

    registry.register("anything")(lambda **options: options)
    return registry


def test_create_builds_with_options():
    assert make_registry().create("bayesian", sigma=4.0) == ("bayesian", 4.0)


def test_unknown_name_lists_and_suggests():
    with pytest.raises(
        UnknownNameError, match=r"unknown loss 'bayesan'\. Did you mean 'bayesian'\? Known: anything, bayes"
    ):
        make_registry().create("bayesan")


def test_unknown_option_lists_and_suggests():
    with pytest.raises(UsageError, match=r"no option 'sigmo'\. Did you mean 'sigma'\? Options: sigma"):
        make_registry().create("bayesian", sigmo=1)


def test_factory_with_open_options_takes_any():
    assert make_registry().create("anything", a=1) == {"a": 1}


def test_a_name_is_taken_once():
    registry = make_registry()
    with pytest.raises(ValueError, match="registered twice"):
        registry.register("bayesian")(lambda: None)


def test_iteration_is_sorted_and_containment_exact():
    registry = make_registry()
    assert list(registry) == ["anything", "bayesian"]
    assert "bayesian" in registry
    assert "Bayesian" not in registry


@pytest.mark.parametrize(("name", "hint"), [("uto", " Did you mean 'uot'?"), ("zzzz", "")])
def test_did_you_mean(name, hint):
    assert did_you_mean(name, ["uot", "bayesian"]) == hint


def test_other_packages_add_entries(tmp_path, monkeypatch):
    """A package on the path, with the metadata that pip writes."""
    (tmp_path / "addon_of_a_user.py").write_text("def make(size=1):\n    return ('theirs', size)\nnumber = 5\n")
    folder = tmp_path / "addon-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: addon\nVersion: 1.0\n")
    points = ["theirs = addon_of_a_user:make", "no_call = addon_of_a_user:number", "gone = addon_of_a_user:missing"]
    points += ["absent = no_such_module_at_all:make", "bayesian = addon_of_a_user:make"]
    (folder / "entry_points.txt").write_text("[dotcount.tests]\n" + "\n".join(points) + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry("loss", "dotcount.tests")
    registry.register("bayesian")(lambda: "ours")
    with pytest.warns(UserWarning, match="of addon can't be used"):
        assert list(registry) == ["bayesian", "theirs"]
    assert registry.create("theirs", size=3) == ("theirs", 3)
    assert registry.create("bayesian") == "ours"
    assert set(registry.broken) == {"no_call", "gone", "absent", "bayesian"}
    with pytest.raises(UnknownNameError, match=r"'gone'\. It could not be loaded: AttributeError"):
        registry.get("gone")


def test_every_module_of_a_folder_is_imported(tmp_path, monkeypatch):
    folder = tmp_path / "folder_of_a_user"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    for name in ("one", "two"):
        (folder / f"{name}.py").write_text("there = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    import_folder("folder_of_a_user")
    assert all(sys.modules.pop(f"folder_of_a_user.{name}").there for name in ("one", "two"))
