"""How many steps conjugate gradients take with the diagonal alone, and with the matrix between parts of the image.

    python -m benchmarks.transport.parts

Newton's matrix of a warm start (1000 dots, 4096 cells, eps .01) is written down densely, in float64.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.transport.measure import dense_costs
from benchmarks.transport.problems import PHASES, STRIDE, problem
from dotcount.transport import solve

RESULTS = Path(__file__).parents[1] / "results" / "transport_parts.json"
CELLS, DOTS, EPSILON = 64, 1000, 0.01
SIDES = (4, 7, 12, 16)
"""Parts along a side of the image; 7 is what the solver takes here."""
RESIDUALS = (0.04, 0.01)

Map = Callable[[np.ndarray], np.ndarray]


def steps(matrix: np.ndarray, right: np.ndarray, precondition: Map, relative: float) -> int:
    """Return the steps until the preconditioned residual has fallen to ``relative``."""
    residual, number = right.copy(), 0
    direction = z = precondition(residual)
    product = residual @ z
    target = relative**2 * product
    while product > target:
        number += 1
        applied = matrix @ direction
        residual = residual - product / (direction @ applied) * applied
        z = precondition(residual)
        product, before = residual @ z, product
        direction = z + product / before * direction
    return number


def newton(phase: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return Newton's matrix and right-hand side at potentials of a map 20 % different, and the dots in [0, 1]^2."""
    given = problem(phase, CELLS, DOTS)
    before = solve(given.changed(1), given.points, stride=STRIDE, epsilon=EPSILON, tol=1e-5)
    beta, dots = before.beta.double().numpy(), given.points.double().numpy() / (CELLS * STRIDE)
    score = (beta - dense_costs(CELLS, given.points, STRIDE).numpy()) / EPSILON
    top = score.max(1, keepdims=True)
    share = np.exp(score - top)
    total = share.sum(1, keepdims=True)
    q = given.density.double().numpy().ravel() * np.exp(EPSILON * (top + np.log(total)).ravel())
    share /= total
    gamma = share.T @ q
    matrix = np.diag(gamma + gamma / EPSILON) - share.T @ ((q / EPSILON - q)[:, None] * share)
    return matrix, gamma * (-beta - np.log(gamma)), dots


def main() -> None:
    records = []
    for phase in PHASES:
        matrix, right, dots = newton(phase)
        diagonal = matrix.diagonal()
        row: dict[str, object] = {"phase": phase}
        for relative in RESIDUALS:
            found = {"diagonal": steps(matrix, right, lambda r, d=diagonal: r / d, relative)}
            for side in SIDES:
                box = np.minimum((dots * side).astype(int), side - 1)
                _, part = np.unique(box[:, 1] * side + box[:, 0], return_inverse=True)
                together = np.eye(part.max() + 1)[part]
                inverse = np.linalg.inv(together.T @ matrix @ together)
                found[f"{side} x {side}"] = steps(
                    matrix,
                    right,
                    lambda r, d=diagonal, z=together, c=inverse: r / d + z @ (c @ (z.T @ r)),
                    relative,
                )
            row[f"to {relative:g}"] = found
        records.append(row)
        print(row)
    RESULTS.write_text(json.dumps(records, indent=1) + "\n")


if __name__ == "__main__":
    main()
