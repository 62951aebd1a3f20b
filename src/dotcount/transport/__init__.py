"""Unbalanced optimal transport from a density map to points, with a certificate on every value.

Imports torch, at the first solve on a CPU numba, and nothing of the layers above.
"""

from dotcount.transport.api import solve, solve_batch
from dotcount.transport.options import SolverOptions
from dotcount.transport.solution import Geometry, Solution, Terms
from dotcount.transport.solver import Solver

__all__ = ["Geometry", "Solution", "Solver", "SolverOptions", "Terms", "solve", "solve_batch"]
