"""The solver's kernels for GPUs, each of which does what would take thousands of tensor operations.

Same meaning as :class:`dotcount.transport.dual.TensorDual` and :func:`dotcount.transport.ascent.ascend`, which serve
where these do not: pairs in float64, the cost ``wfr``, very many dots or cells, other devices.
"""

from dotcount.transport.gpu.dual import KernelDual

__all__ = ["KernelDual"]
