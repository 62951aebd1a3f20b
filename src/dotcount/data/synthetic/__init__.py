"""Scenes with exactly known dots, for demonstration, tests and pre-training."""

from __future__ import annotations

from dotcount.data.synthetic.scenes import KINDS, generate, write_dataset

__all__ = ["KINDS", "generate", "write_dataset"]
