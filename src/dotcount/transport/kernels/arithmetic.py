"""Exponentials, logarithms, and the small dense products of a block's rows, for vector instructions."""

from __future__ import annotations

import math

import numba
import numpy as np
from numba.extending import overload

from dotcount.transport.kernels.jit import SUMS, Array, jit
from dotcount.transport.pairs import FLOOR


@jit(fastmath={"contract"})
def exp32(x: np.float32) -> np.float32:
    """Return e^x within 2 units in the last place, for -87 <= x <= 88 (Cephes' polynomial)."""
    shifted = x * np.float32(1.4426950408889634) + np.float32(12582912.0)
    k = shifted - np.float32(12582912.0)
    r = x - k * np.float32(0.693359375)
    r = r + k * np.float32(2.12194440e-4)
    p = np.float32(1.9875691500e-4)
    p = p * r + np.float32(1.3981999507e-3)
    p = p * r + np.float32(8.3334519073e-3)
    p = p * r + np.float32(4.1665795894e-2)
    p = p * r + np.float32(1.6666665459e-1)
    p = p * r + np.float32(5.0000001201e-1)
    p = p * (r * r) + r + np.float32(1.0)
    return p * np.int32((np.int32(k) + np.int32(127)) << np.int32(23)).view(np.float32)


@jit(fastmath={"contract"})
def exp64(x: np.float64) -> np.float64:
    """Return e^x within 2 units in the last place, for -708 <= x <= 709 (Taylor's series on |r| <= ln(2) / 2)."""
    shifted = x * 1.4426950408889634 + 6755399441055744.0
    k = shifted - 6755399441055744.0
    r = x - k * 6.93147180369123816490e-01
    r = r - k * 1.90821492927058770002e-10
    p = 1.0 / 6227020800.0
    p = p * r + 1.0 / 479001600.0
    p = p * r + 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    p = p * (r * r) + r + 1.0
    return p * np.int64((np.int64(k) + 1023) << 52).view(np.float64)


@jit(fastmath={"contract"})
def log64(x: np.float64) -> np.float64:
    """Return ln x within 2 units of 2^-52, relative or absolute, for normal x > 0, as 2 artanh((m - 1) / (m + 1))."""
    bits = np.float64(x).view(np.int64)
    k = (bits - np.int64(0x3FE6A09E667F3BCD)) >> 52
    m = np.int64(bits - (k << 52)).view(np.float64)
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    p = 1.0 / 21.0
    p = p * z + 1.0 / 19.0
    p = p * z + 1.0 / 17.0
    p = p * z + 1.0 / 15.0
    p = p * z + 1.0 / 13.0
    p = p * z + 1.0 / 11.0
    p = p * z + 1.0 / 9.0
    p = p * z + 1.0 / 7.0
    p = p * z + 1.0 / 5.0
    p = p * z + 1.0 / 3.0
    return k * 0.6931471805599453 + (2.0 * s + 2.0 * s * z * p)


def exp(x: float) -> float:
    """Return e^x; compiled code gets :func:`exp32` or :func:`exp64` by the type of x."""
    return math.exp(x)


@overload(exp, inline="never")
def _overload_exp(x):  # type: ignore[no-untyped-def]  # numba compares the names and annotations
    single = x == numba.types.float32
    return (lambda x: exp32(x)) if single else (lambda x: exp64(x))


@jit(fastmath=SUMS)
def inner_product(a: Array, b: Array) -> float:
    """Return ``sum a b``, in float64."""
    total = 0.0
    for k in range(len(a)):
        total += a[k] * b[k]
    return total


@jit(fastmath={*SUMS, "nnan"})
def maximum(a: Array) -> float:
    """Return the largest of the values, which are numbers."""
    top = a[0]
    for e in range(1, len(a)):
        top = max(top, a[e])
    return top


@jit(fastmath=SUMS)
def multiply_rows(local: Array, rows: Array, i: int, out: Array) -> None:
    """Set ``out[i:i + 4]`` to the products of rows ``i:i + 4`` of ``rows`` (flat) with ``local``."""
    m = len(local)
    a, b = rows[i * m : (i + 1) * m], rows[(i + 1) * m : (i + 2) * m]
    c, d = rows[(i + 2) * m : (i + 3) * m], rows[(i + 3) * m : (i + 4) * m]
    one = rows.dtype.type
    sa, sb, sc, sd = one(0.0), one(0.0), one(0.0), one(0.0)
    for e in range(m):
        sa += a[e] * local[e]
        sb += b[e] * local[e]
        sc += c[e] * local[e]
        sd += d[e] * local[e]
    out[i], out[i + 1], out[i + 2], out[i + 3] = sa, sb, sc, sd


@jit(fastmath=SUMS)
def add_rows(column: Array, rows: Array, w: Array, i: int) -> None:
    """Add rows ``i:i + 4`` of ``rows`` (flat), weighted with w, to ``column``."""
    m = len(column)
    a, b = rows[i * m : (i + 1) * m], rows[(i + 1) * m : (i + 2) * m]
    c, d = rows[(i + 2) * m : (i + 3) * m], rows[(i + 3) * m : (i + 4) * m]
    wa, wb, wc, wd = w[i], w[i + 1], w[i + 2], w[i + 3]
    for e in range(m):
        column[e] += wa * a[e] + wb * b[e] + wc * c[e] + wd * d[e]


@jit(fastmath=SUMS)
def exponentials(values: Array) -> None:
    """Replace scores by their exponentials, not below ``exp(FLOOR)``; minus infinity gives 0."""
    one = values.dtype.type
    for e in range(len(values)):
        s = values[e]
        value = exp(max(s, one(FLOOR)))
        values[e] = value if s > -np.inf else one(0.0)
