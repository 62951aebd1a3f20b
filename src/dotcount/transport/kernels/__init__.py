"""Compiled loops over neighbouring pairs, for CPUs; :mod:`dotcount.transport.compiled` calls them.

Importing this package imports numba. Machine code is kept on disk where numba finds a folder it may write to (beside
the sources, or the user's cache); see :mod:`dotcount.transport.kernels.jit`. All kernels work on a range of images, let
go of the interpreter's lock and touch the numbers of their own images only, so that threads can share a batch.
Inner loops run over whole lists of dots, so that the compiler can use vector instructions.
"""

from dotcount.transport.kernels.accounts import account
from dotcount.transport.kernels.layout import (
    LOG_FLOORED,
    PAD,
    REACH,
    Anchor,
    Field,
    Ground,
    ImageFlags,
    K,
    Limits,
    Objective,
    PairLists,
    Rule,
    State,
)
from dotcount.transport.kernels.maximise import maximise
from dotcount.transport.kernels.search import hard_minimum, parts_of_dots, search

__all__ = [
    "LOG_FLOORED",
    "PAD",
    "REACH",
    "Anchor",
    "Field",
    "Ground",
    "ImageFlags",
    "K",
    "Limits",
    "Objective",
    "PairLists",
    "Rule",
    "State",
    "account",
    "hard_minimum",
    "maximise",
    "parts_of_dots",
    "search",
]
