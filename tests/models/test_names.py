"""Creation by name."""

from __future__ import annotations

import pytest
import torch

from dotcount.errors import UnknownNameError, UsageError
from dotcount.models import available, create, models


def test_available_names_can_be_created_by_name() -> None:
    assert "compact" in available()
    assert available() == sorted(available())


def test_unknown_name_and_option_suggest_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'compact'"):
        create("compct")
    with pytest.raises(UsageError, match="Did you mean 'stride'"):
        create("compact", strid=4)


def test_a_registered_module_of_ones_own_is_created_by_name() -> None:
    class Mine(torch.nn.Module):
        stride = 8

    models.register("test-mine")(Mine)
    try:
        assert isinstance(create("test-mine"), Mine)
        with pytest.raises(UsageError, match="load them yourself"):
            create("test-mine", pretrained="somewhere.pth")
    finally:
        del models._entries["test-mine"]
