"""The examples in docstrings of the ground floor, configuration, recipes and training run as printed."""

import doctest
from importlib import import_module

import pytest

MODULES = (
    "config.schema",
    "config.sources",
    "density",
    "models.names",
    "points",
    "recipes",
    "training.fingerprint",
    "training.listener",
    "training.schedule",
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_run_as_printed(name):
    found = doctest.testmod(import_module(f"dotcount.{name}"), optionflags=doctest.ELLIPSIS)
    assert found.attempted
    assert not found.failed
