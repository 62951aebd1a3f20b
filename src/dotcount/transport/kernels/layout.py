"""How the compiled loops lay out a batch: constants, and the arrays that go together.

``mass``, ``alpha``, ``q`` ... are (n_blocks, K) float64. Block b has the pairs of its K cells with the dots
``lists[first[b]:first[b + 1]]``, flat numbers ``image * m_max + j``, padded with the dummy to a multiple of
:data:`PAD`. Only the first ``kept[b]`` of them have conditional plans, float32 or float64, from
``conditional[K * first[b]]`` on, cell by cell. The blocks of image i are ``first_block[i]:first_block[i + 1]``. Vectors
over dots are flat with one place for the dummy at the end.
"""

from __future__ import annotations

from typing import NamedTuple

from dotcount.transport.cells import SIDE
from dotcount.transport.costs import CostKind
from dotcount.transport.kernels.jit import Array
from dotcount.transport.pairs import FLOOR
from dotcount.transport.penalties import PenaltyKind

K = SIDE * SIDE
PAD = 16
"""Lists of dots are padded to a multiple of this."""
L1, L2, SQL2, WFR = (int(CostKind[name]) for name in ("L1", "L2", "SQL2", "WFR"))
KL, QUADRATIC, EQUALITY = (int(PenaltyKind[name]) for name in ("KL", "QUADRATIC", "EQUALITY"))
TINY = 1e-300
SAFE_SPREAD = 40.0
"""Spread of the scores within a block, in units of epsilon, up to which its best dot serves all cells."""
STRONG, NEGLIGIBLE = 7.5, 3.0
"""A dot counts for Newton's system if its score at a block's middle is at most the former below the best, in units of
epsilon, or if in some cell it could come within the latter, which few do that could. The others count for all else."""
MAIN = 0.7
"""Share of a list from which on, if that much of it is strong, a copy of the strong part does not pay."""
REACH = 6.0
"""Change of ``beta / eps`` up to which shares are rescaled; farther away, others would count for Newton's system."""
LOG_FLOORED = FLOOR + 2.0 * REACH
"""Logarithm of the largest share of a cell's mass that may stand for a smaller one."""
LEAST = -1e300
"""Scores below this are those of pairs of infinite cost."""


class Objective(NamedTuple):
    """The penalties by number and strength, the mass of the cells, the weights (B, m_max) of the dots."""

    pixel: int
    pixel_rho: float
    dot: int
    dot_rho: float
    mass: Array
    weights: Array


class Ground(NamedTuple):
    """The cost by number, the blur, how far below the best a score may lie (units of epsilon), dots and blocks.

    ``dots`` is (n + 1, 2), with the dummy at the end.
    """

    kind: int
    delta: float
    epsilon: float
    cutoff: float
    dots: Array
    corner: Array
    unit: Array


class PairLists(NamedTuple):
    """Lists of dots and their shares; see the top of the module and :func:`stabilise`.

    ``concentration`` and ``coarse`` are what :func:`newton_step` preconditions with, kept from one maximisation to the
    next; the former is negative until both are set. ``part`` says which part of the image each dot belongs to, the last
    number standing for none; ``coarse`` (B, parts, parts) holds the factors of :func:`_coarsen`.
    """

    first_block: Array
    first: Array
    dots: Array
    conditional: Array
    strong_conditional: Array
    apart: int
    reference: Array
    kept: Array
    strong: Array
    place: Array
    log_truncated: Array
    concentration: Array
    part: Array
    coarse: Array


class State(NamedTuple):
    """A point: :class:`dotcount.transport.dual.Point` in arrays; ``factor`` and ``received`` have the dummy's place."""

    beta: Array
    alpha: Array
    total: Array
    q: Array
    factor: Array
    received: Array
    gamma: Array
    m: Array
    value: Array
    gap: Array


class Anchor(NamedTuple):
    """What stored conditional plans and lists refer to.

    Plans are computed anew where potentials are more than ``reach`` (units of epsilon) from ``reference_beta``
    (n + 1,), which has the dummy's place; lists are stale once potentials have moved apart by more than ``span`` since
    ``search_beta`` (B, m_max). ``log_dropped`` (n_blocks,) bounds what was left out then; ``far`` (B,) bounds
    coordinate differences.
    """

    reference_beta: Array
    reach: float
    search_beta: Array
    span: float
    log_dropped: Array
    far: Array


class Limits(NamedTuple):
    """When a maximisation ends; ``known``: the state holds the first point already."""

    tol: float
    budget: int
    known: bool


class ImageFlags(NamedTuple):
    """Which images take part, and what became of them; (B,) each."""

    active: Array
    evaluations: Array
    converged: Array
    stale: Array


class Room(NamedTuple):
    """Work arrays of a maximisation: rows of a block, cells, dots (flat), and the dots of one image."""

    local: Array
    column: Array
    w: Array
    second: Array
    x: Array
    applied: Array
    step: Array
    curvature: Array
    right: Array


class Rule(NamedTuple):
    """Cost, blur, how far below the best a score may lie (units of the cost) and the rounding of scores."""

    kind: int
    delta: float
    epsilon: float
    cutoff: float
    slack: float


class Field(NamedTuple):
    """CellBlocks and dots of one image that is searched."""

    rows: int
    columns: int
    unit: float
    dots: Array
    beta: Array
