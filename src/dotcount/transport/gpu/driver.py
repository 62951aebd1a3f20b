"""Compiles the kernels with NVRTC and starts them on PyTorch's stream, by bindings that PyTorch itself brings along.

Nothing has to be installed but PyTorch for CUDA: it requires ``cuda-bindings`` and NVRTC. No compiler on the machine
is needed. Where something is missing, :func:`usable` says no, once with a warning, and tensors do the work.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import os
import struct
import warnings
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import torch
from torch import Tensor

from dotcount.transport.ascent import CG_STEPS, FORCING, NEAR, SHORT, SHRINK, SUFFICIENT, TRIALS
from dotcount.transport.cells import SIDE
from dotcount.transport.costs import CostKind
from dotcount.transport.neighbours import TILE, UNDERFLOW
from dotcount.transport.pairs import FLOOR, SAFE_SPREAD
from dotcount.transport.penalties import PenaltyKind
from dotcount.transport.problem import LARGEST, LOWEST
from dotcount.transport.rescaling import TINY

SWITCH = "DOTCOUNT_KERNELS"
"""Environment variable that turns the kernels off when it is ``0``."""
NAMES = ("choose_pairs", "place_unlisted", "maximise", "account", "hard_minimum")
SUMS = [
    "dropped", "spilled", "pixels", "transport", "mass", "moved", "potential", "dots", "owed", "slope", "bent",
]  # fmt: skip
MAXIMA = ["shift", "high", "low", "stretch", "least", "lost", "steepest"]
"""What the kernel ``account`` returns for each part of an image; ``low`` and ``least`` with the opposite sign."""
Argument = Tensor | int | float
"""Of a kernel: a tensor's memory, an ``int``, or a ``double``."""


def constants() -> dict[str, float | int]:
    """Return what the source takes from the other routes, by name."""
    return {
        **{kind.name: int(kind) for kind in (*CostKind, *PenaltyKind)},
        "K": SIDE * SIDE,
        "SIDE": SIDE,
        "TILE": TILE,
        "NUMBERS": len(SUMS) + len(MAXIMA),
        "SHIFT": len(SUMS),
        "CG_STEPS": CG_STEPS,
        "FLOOR": FLOOR,
        "FORCING": FORCING,
        "LARGEST": LARGEST,
        "LOWEST": LOWEST,
        "NEAR": NEAR,
        "SAFE_SPREAD": SAFE_SPREAD,
        "SHORT": SHORT,
        "SHRINK": SHRINK,
        "SUFFICIENT": SUFFICIENT,
        "TINY": TINY,
        "TRIALS": TRIALS,
        "UNDERFLOW": UNDERFLOW,
    }


def source() -> str:
    """Return the kernels' source with its constants."""
    lines = [f"#define {name} ({value!r})" for name, value in constants().items()]
    return "\n".join([*lines, files("dotcount.transport.gpu").joinpath("kernels.cu").read_text(encoding="utf-8")])


def usable(device: torch.device) -> bool:
    """Whether the kernels can and may be used for tensors of this device."""
    if device.type != "cuda" or os.environ.get(SWITCH, "") == "0":
        return False
    index = torch.cuda.current_device() if device.index is None else device.index
    return _kernels(index) is not None


@functools.cache
def _kernels(device: int) -> dict[str, Any] | None:
    """Return the kernels of a device by name; None where they can't be had."""
    try:
        with torch.cuda.device(device):
            return _load(*torch.cuda.get_device_capability(device))
    except Exception as error:  # PyTorch for another vendor, other bindings, an unknown device: all of it works without
        missing = isinstance(error, ImportError)  # older PyTorch does not bring the bindings along
        release = (torch.version.cuda or "").split(".")[0]
        remedy = f"pip install 'cuda-bindings=={release}.*' for them, or" if missing and release else "for silence"
        warnings.warn(
            f"the transport kernels can't be used on cuda:{device} ({type(error).__name__}: {error}); solves are "
            f"slower but as exact; {remedy} set {SWITCH}=0",
            RuntimeWarning,
            stacklevel=2,
        )
        return None


def compile_source(major: int, minor: int) -> bytes:
    """Return the machine code for a compute capability; needs NVRTC, but no device.

    Raises
    ------
    RuntimeError
        With the compiler's messages.
    """
    nvrtc: Any = importlib.import_module("cuda.bindings.nvrtc")
    program = _checked(nvrtc.nvrtcCreateProgram(source().encode(), b"kernels.cu", 0, [], []))
    options = [f"-arch=sm_{major}{minor}".encode(), b"-std=c++17"]
    (status,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
    if int(status) != 0:
        log = b" " * _checked(nvrtc.nvrtcGetProgramLogSize(program))
        _checked(nvrtc.nvrtcGetProgramLog(program, log))
        raise RuntimeError(log.decode(errors="replace").strip("\0 \n"))
    code = b" " * _checked(nvrtc.nvrtcGetCUBINSize(program))
    _checked(nvrtc.nvrtcGetCUBIN(program, code))
    _checked(nvrtc.nvrtcDestroyProgram(program))
    return code


def _load(major: int, minor: int) -> dict[str, Any]:
    driver = _driver()
    torch.cuda.current_stream().synchronize()  # makes sure that there is a context
    code = compile_source(major, minor)
    image = ctypes.create_string_buffer(code, len(code))
    module = _checked(driver.cuModuleLoadData(ctypes.addressof(image)))
    return {name: _checked(driver.cuModuleGetFunction(module, name.encode())) for name in NAMES}


def _checked(answer: Sequence[Any]) -> Any:
    """Return what a call of the bindings returns, without its status, which must be success."""
    status, *rest = answer
    if int(status) != 0:
        raise RuntimeError(f"{type(status).__name__} {status.name}")
    return rest[0] if rest else None


@functools.cache
def multiprocessors(device: torch.device) -> int:
    """Return how many thread blocks of the kernels a device runs at the same time, at least."""
    return int(torch.cuda.get_device_properties(device).multi_processor_count)


@functools.cache
def spare_memory(device: torch.device) -> int:
    """Return the bytes that a solve may take for pairs without knowing how many there are."""
    return int(torch.cuda.get_device_properties(device).total_memory) // 32


def pack(arguments: Sequence[Argument]) -> tuple[Any, Any]:
    """Return the arguments as the array of addresses that a launch takes, and their values, to be kept as long."""
    values = (ctypes.c_uint64 * len(arguments))()
    for k, one in enumerate(arguments):
        if isinstance(one, Tensor):
            values[k] = one.data_ptr()
        elif isinstance(one, int):
            values[k] = one & 0xFFFFFFFF
        else:
            struct.pack_into("d", values, 8 * k, one)
    start = ctypes.addressof(values)
    return (ctypes.c_uint64 * len(arguments))(*range(start, start + 8 * len(arguments), 8)), values


def launch(
    name: str, device: torch.device, grid: tuple[int, int], threads: int, shared: int, arguments: Sequence[Argument]
) -> None:
    """Start a kernel on the current stream of the device; ``shared`` bytes of memory a thread block.

    Thread blocks of ``maximise`` that share an image wait for each other: all have to run at the same time.
    """
    kernels = _kernels(torch.cuda.current_device() if device.index is None else device.index)
    assert kernels is not None, "usable comes first"
    addresses, held = pack(arguments)
    driver = _driver()
    start = driver.cuLaunchCooperativeKernel if name == "maximise" and grid[0] > 1 else driver.cuLaunchKernel
    more = () if start is driver.cuLaunchCooperativeKernel else (0,)
    with torch.cuda.device(device):
        stream = torch.cuda.current_stream().cuda_stream
        answer = start(kernels[name], *grid, 1, threads, 1, 1, shared, stream, ctypes.addressof(addresses), *more)
    del held
    _checked(answer)


@functools.cache
def _driver() -> Any:
    return importlib.import_module("cuda.bindings.driver")
