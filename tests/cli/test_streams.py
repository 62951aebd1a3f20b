"""Readers that leave, streams that are closed, disks that are full: as processes of their own."""

import os
import resource
import subprocess
import sys

import pytest
from PIL import Image

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
MAIN = [sys.executable, "-m", "dotcount.cli.main"]
TALKER = """
import sys
from dotcount.cli import main, predict
def run(args):
    for k in range(20000):
        print("line", k)
        print("progress", k, file=sys.stderr)
    open(args.out, "w").write("done")
    return 0
predict.run = run
sys.exit(main.main(["predict", "x", "y", "--out", sys.argv[1]]))
"""


def test_a_reader_that_leaves_stops_no_work(tmp_path):
    command = f"{sys.executable} -c '{TALKER}' {tmp_path / 'result'} 2>&1 | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command.replace("'done'", "done")], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1
    assert (tmp_path / "result").read_text() == "done"


@pytest.mark.parametrize("closed", ["2>&-", ">&-", ">&- 2>&- <&-"])
def test_closed_streams_stop_no_work(tmp_path, closed):
    command = f"{sys.executable} -c '{TALKER}' {tmp_path / 'result'} {closed}"
    assert subprocess.run(["bash", "-c", command], capture_output=True).returncode == 0
    assert (tmp_path / "result").read_text() == "done"


def test_output_to_a_full_disk_is_one_clear_line(tmp_path):
    command = f"{sys.executable} -c '{TALKER}' {tmp_path / 'result'} >/dev/full"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.returncode == 1
    assert "No space left on device; free some space" in done.stderr
    assert "Traceback" not in done.stderr
    assert "defect" not in done.stderr


def test_a_file_that_can_not_grow_is_an_error_in_words_and_the_run_continues_later(tmp_path):
    for k in range(4):
        Image.new("RGB", (64, 64), (90, 20 * k, 30)).save(tmp_path / f"{k}.png")
    words = [
        *MAIN,
        "predict",
        "cells",
        str(tmp_path),
        "--out",
        str(tmp_path / "out"),
        "--device",
        "cpu",
        "--write",
        "csv",
    ]

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (900, 900))

    done = subprocess.run(words, capture_output=True, text=True, env=ENVIRONMENT, preexec_fn=limited)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "can't write" in done.stderr
    assert "defect" not in done.stderr
    done = subprocess.run(words, capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == 0
    assert "4 of 4 images counted" in done.stdout
