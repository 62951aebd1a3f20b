"""Runs the GPU's kernels on the CPU, from the same source, with ``g++``: see ``cuda.h``."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import torch

from dotcount.transport.gpu import driver
from dotcount.transport.gpu.dual import THREADS

HERE = Path(__file__).parent


def build(folder: Path) -> ctypes.CDLL:
    """Compile the kernels for this processor; needs ``g++``."""
    compiler = shutil.which("g++")
    assert compiler is not None
    code = driver.source().replace("extern __shared__ double shared[];", "double* shared = shared_memory_of_block;")
    lines = ['#include "cuda.h"', code, 'extern "C" void launch(const char* name, int x, int y, int n, void** a) {']
    # Only its thread blocks wait for each other.
    lines += [
        f'  if (!strcmp(name, "{name}")) return run({name}, x, y, n, a, {int(name == "maximise")});'
        for name in driver.NAMES
    ]
    file = folder / "kernels.cpp"
    file.write_text("\n".join([*lines, "  abort();", "}"]), encoding="utf-8")
    library = folder / "kernels.so"
    command = [compiler, "-std=c++17", "-O1", "-shared", "-fPIC", f"-I{HERE}", str(file), "-o", str(library)]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(library))


class Emulator:
    """Stands for :func:`dotcount.transport.gpu.driver.launch`; counts what is started."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.library = library
        self.started: list[str] = []

    def launch(
        self,
        name: str,
        device: torch.device,
        grid: tuple[int, int],
        threads: int,
        shared: int,
        arguments: Sequence[driver.Argument],
    ) -> None:
        """Run a kernel; with fewer threads a block than asked for, which the kernels allow."""
        for one in arguments:
            assert not isinstance(one, torch.Tensor) or one.is_contiguous(), name
        self.started.append(name)
        addresses, _held = driver.pack(arguments)
        threads = 64 if threads == THREADS else threads
        self.library.launch(name.encode(), *grid, threads, addresses)
