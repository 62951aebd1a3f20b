"""What belongs to the whole process is the command line's: solving and predicting leave it as they found it."""

import subprocess
import sys

import pytest

STATE = """
import ctypes, faulthandler, os, resource, signal, sys, logging
import numpy as np, torch
from PIL import Image, ImageFile

class Info(ctypes.Structure):
    _names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in _names.split()]

def mapped():
    "Whether a large block gets pages of its own from the system, as glibc does by default."
    library = ctypes.CDLL(None)
    library.mallinfo2.restype = Info
    library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    library.free.argtypes = [ctypes.c_void_p]
    before = library.mallinfo2().hblks
    block = library.malloc(100 * 2**20)
    after = library.mallinfo2().hblks
    library.free(block)
    return after - before

def state():
    environment = {k: v for k, v in os.environ.items() if "NUM_THREADS" in k or "OMP" in k or "GOMP" in k or "MKL" in k}
    return {
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "malloc": mapped(),
        "signals": [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ)],
        "environment": environment,
        "limits": [resource.getrlimit(n) for n in (resource.RLIMIT_NOFILE, resource.RLIMIT_AS)],
        "torch": (torch.is_grad_enabled(), torch.get_default_dtype(), torch.are_deterministic_algorithms_enabled(),
                  torch.backends.cudnn.benchmark, torch.get_float32_matmul_precision()),
        "numpy": np.geterr(),
        "pillow": (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES),
        "python": (sys.getrecursionlimit(), faulthandler.is_enabled(), os.umask(os.umask(0o22)),
                   logging.getLogger().level, sys.excepthook is sys.__excepthook__, os.getcwd()),
        "streams": (sys.stdout is sys.__stdout__, sys.stderr is sys.__stderr__),
    }
"""
SOLVE = """
import dotcount
def act():
    solution = dotcount.transport.solve(torch.rand(16, 16), torch.rand(9, 2) * 16)
    assert solution.converged
    loss = __import__("dotcount.losses").losses.create("uot")
    density = torch.rand(1, 1, 16, 16, requires_grad=True)
    loss(density, [torch.rand(5, 2) * 64], stride=4).total.backward()
"""
PREDICT = """
import tempfile, pathlib, dotcount
def act():
    folder = pathlib.Path(tempfile.mkdtemp())
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(folder / "a.png")
    Image.fromarray(np.arange(4096, dtype=np.uint16).reshape(64, 64)).save(folder / "b.tif")
    (folder / "c.png").write_bytes(b"broken")
    predictor = dotcount.load("cells", device="cpu")
    predictor.predict(folder / "a.png")
    going = predictor.stream(folder, out=folder / "out", sinks=["csv", "overlays", "heatmap", "coco"])
    assert len(list(going)) == 3
"""
COMPARE = """
before = state()
act()
after = state()
print({key: (before[key], after[key]) for key in before if before[key] != after[key]})
from dotcount.process import keep_freed_memory
assert before["malloc"] == 1 and keep_freed_memory() and mapped() == 0, "the figure says nothing here"
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads glibc's own figures")
@pytest.mark.parametrize("work", [SOLVE, PREDICT], ids=["solve", "predict"])
def test_the_library_leaves_the_process_as_it_was(work):
    code = STATE + work + COMPARE
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "{}", "something was printed, or a setting of the process has changed"
