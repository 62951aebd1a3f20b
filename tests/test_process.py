"""What the system is told, seen in processes of their own."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
import numpy as np
from dotcount.process import keep_freed_memory

if sys.argv[1] == "keep":
    assert keep_freed_memory() and keep_freed_memory()

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(64 << 20, np.uint8).sum()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
print(faults())
"""


def faults(*words: str) -> int:
    run = subprocess.run([sys.executable, "-c", SCRIPT, *words], capture_output=True, text=True, check=True)
    return int(run.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_freed_memory_is_used_again_without_new_pages():
    assert faults("leave") > 20 * (faults("keep") + 1)


def told(code: str, **environment: str) -> list[str]:
    environment |= {name: value for name, value in os.environ.items() if not name.startswith(("GOMP_", "OMP_WAIT"))}
    words = [sys.executable, "-c", code + "; print(os.environ.get('GOMP_SPINCOUNT'))"]
    return subprocess.run(words, capture_output=True, text=True, check=True, env=environment).stdout.split()


def test_threads_may_sleep_unless_the_user_says_how_they_wait_or_torch_is_there_already():
    ask = "import os; from dotcount.process import let_threads_sleep as ask; print(ask(), ask())"
    assert told(ask) == ["True", "False", "20000"]
    assert told(ask, GOMP_SPINCOUNT="7") == ["False", "False", "7"]
    assert told(ask, OMP_WAIT_POLICY="active") == ["False", "False", "None"]
    assert told("import torch; " + ask) == ["False", "False", "None"]


def test_the_command_line_asks_before_torch_is_imported(tmp_path):
    code = "import os; from dotcount.cli.main import main; main(['predict', 'cells', 'nowhere', '--out', 'nowhere'])"
    assert told(code)[-1] == "20000"
