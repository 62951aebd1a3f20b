"""Training leaves the process as it found it."""

import subprocess
import sys
from pathlib import Path

from dotcount import config

PROBE = """
import hashlib, locale, logging, os, pickle, random, signal, sys, threading, warnings
from pathlib import Path
import numba, numpy, torch
import dotcount
from dotcount import config

def state():
    return {
        "threads": torch.get_num_threads(),
        "interop threads": torch.get_num_interop_threads(),
        "numba threads": numba.get_num_threads(),
        "signal handlers": {int(s): repr(signal.getsignal(s)) for s in signal.Signals},
        "random": hashlib.md5(pickle.dumps(random.getstate())).hexdigest(),
        "numpy.random": hashlib.md5(pickle.dumps(numpy.random.get_state())).hexdigest(),
        "torch random": hashlib.md5(torch.get_rng_state().numpy().tobytes()).hexdigest(),
        "environment": dict(os.environ),
        "warning filters": [repr(one) for one in warnings.filters],
        "root logger": (logging.root.level, list(map(repr, logging.root.handlers))),
        "grad mode": torch.is_grad_enabled(),
        "dtype": str(torch.get_default_dtype()),
        "deterministic": (torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark),
        "matmul precision": torch.get_float32_matmul_precision(),
        "hooks": (repr(sys.excepthook), repr(threading.excepthook), repr(sys.unraisablehook)),
        "folder": os.getcwd(),
        "umask": (lambda mask: (os.umask(mask), mask))(os.umask(0))[1],
        "recursion": sys.getrecursionlimit(),
        "locale": locale.setlocale(locale.LC_ALL),
        "digits": sys.get_int_max_str_digits(),
        "numpy errors": numpy.geterr(),
    }

dotcount.train, dotcount.load  # what importing changes is not what training changes
random.seed(5), numpy.random.seed(6), torch.manual_seed(7)
state()  # asking numba for its threads starts them
before = state()
dotcount.train(config.load(Path(sys.argv[1])), sys.argv[2])
after = state()
changed = {name: (before[name], after[name]) for name in before if before[name] != after[name]}
assert not changed, changed
"""


def test_training_changes_nothing_of_the_process(tiny, tmp_path):
    config.save_yaml(tiny(training__epochs=1), tmp_path / "request.yaml")
    command = [sys.executable, "-c", PROBE, tmp_path / "request.yaml", tmp_path / "run"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert Path(tmp_path / "run" / "report.html").exists()
