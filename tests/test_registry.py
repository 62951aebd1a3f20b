import pytest

from dotcount.errors import UnknownNameError, UsageError
from dotcount.registry import Registry, did_you_mean


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
