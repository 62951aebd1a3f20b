"""Ways to maximise the dual, by name; one algorithm a file."""

from __future__ import annotations

from collections.abc import Callable

from dotcount.errors import UnknownNameError
from dotcount.registry import did_you_mean
from dotcount.transport.methods.base import Control, Outcome, Start
from dotcount.transport.methods.lbfgs import lbfgs
from dotcount.transport.methods.newton import dense, newton
from dotcount.transport.methods.sinkhorn import sinkhorn
from dotcount.transport.problem import TransportProblem

Method = Callable[[TransportProblem, Start, Control], Outcome]

METHODS: dict[str, Method] = {"newton": newton, "dense": dense, "lbfgs": lbfgs, "sinkhorn": sinkhorn}


def choose(name: str) -> str:
    """Return the name of the method to run; ``auto`` is ``newton``.

    Raises
    ------
    UnknownNameError
        If there is no such method.
    """
    if name == "auto":
        return "newton"
    if name not in METHODS:
        known = ", ".join(("auto", *METHODS))
        raise UnknownNameError(f"unknown method {name!r}.{did_you_mean(name, ('auto', *METHODS))} Known: {known}.")
    return name


__all__ = ["METHODS", "Control", "Method", "Outcome", "Start", "choose"]
