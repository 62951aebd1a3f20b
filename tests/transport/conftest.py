"""Every test of transport runs on both routes: compiled loops and plain tensor operations."""

from __future__ import annotations

import pytest

from dotcount.transport import compiled


@pytest.fixture(autouse=True, scope="module", params=["compiled", "tensors"])
def route(request):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(compiled.SWITCH, "1" if request.param == "compiled" else "0")
        yield request.param
