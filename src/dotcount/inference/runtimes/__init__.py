"""What runs a network: one file a runtime. Only :mod:`.pytorch` needs torch, only :mod:`.onnx_runtime` onnxruntime."""

from __future__ import annotations

from dotcount.inference.runtimes.base import Runtime, as_runtime

__all__ = ["Runtime", "as_runtime"]
