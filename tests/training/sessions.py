"""Runs training in processes of its own that kill themselves with SIGKILL at given moments.

``python sessions.py CONFIG OUT`` trains into OUT/whole without a kill, and into OUT/killed through a session for each
entry of KILLS and a last one. The interpreter is forked, so that torch is imported once.
"""

import os
import signal
import sys
from pathlib import Path

import torch

from dotcount import config
from dotcount.training import holds_run, train
from dotcount.training.module import CountingModule


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def die_at_step(n):
    """Die inside the n-th training step of the session."""
    original, seen = CountingModule.training_step, []

    def step(self, batch, batch_idx):
        seen.append(0)
        return die() if len(seen) == n else original(self, batch, batch_idx)

    CountingModule.training_step = step


def die_at_rename(name, n=1, after=False):
    """Die before or after the n-th file or folder gets its final ``name``."""
    seen = []

    def patched(original):
        def rename(self, target):
            hit = Path(target).name == name
            seen.extend([0] * hit)
            if hit and len(seen) == n and not after:
                die()
            result = original(self, target)
            if hit and len(seen) == n:
                die()
            return result

        return rename

    Path.replace, Path.rename = patched(Path.replace), patched(Path.rename)


def die_in_write():
    """Die when half of a checkpoint is in its file."""
    original = torch.save

    def save(content, path):
        original(content, path)
        os.truncate(path, path.stat().st_size // 2)
        die()

    torch.save = save


KILLS = {
    "in the first epoch, before any checkpoint": lambda: die_at_step(2),
    "while config.yaml is written": lambda: die_at_rename("config.yaml"),
    "while the first checkpoint is written": die_in_write,
    "between last.ckpt and metrics.csv": lambda: die_at_rename("last.ckpt", after=True),
    "in the middle of an epoch": lambda: die_at_step(2),
    "before a later checkpoint gets its name": lambda: die_at_rename("last.ckpt", 2),
    "before the model folder gets its name": lambda: die_at_rename("model"),
    "before the report gets its name": lambda: die_at_rename("report.html"),
}


def session(prepare, out):
    """Train in a forked process; return the signal that ended it, 0 for none."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            prepare()
            train(config.load(Path(sys.argv[1])), out, resume=holds_run(out))
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit(f"a session failed in {out}")
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


if __name__ == "__main__":
    OUT = Path(sys.argv[2])
    assert session(lambda: None, OUT / "whole") == 0
    for moment, prepare in KILLS.items():
        assert session(prepare, OUT / "killed") == signal.SIGKILL, f"not killed {moment}"
        print(moment, "|", ",".join(sorted(p.name for p in (OUT / "killed").iterdir())), flush=True)
    assert session(lambda: None, OUT / "killed") == 0
