"""Files and folders appear complete or not at all, and what killed processes leave is cleared away."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dotcount.errors import OutputError
from dotcount.files import CsvWriter, replacing, write_text
from dotcount.folders import locked, writing_folder
from dotcount.temporary import remove_leftovers, temporary_name


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fail_after(*done: object) -> None:
    assert all(done)
    raise ZeroDivisionError


def killed(code: str, folder: Path) -> None:
    """Run code that stops itself with SIGKILL."""
    head = "import os, signal, sys\nfrom pathlib import Path\nfolder = Path(sys.argv[1])\n"
    done = subprocess.run([sys.executable, "-c", head + code, str(folder)], check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr


KILL = "os.kill(os.getpid(), signal.SIGKILL)\n"


def test_a_file_is_replaced_in_one_step_and_nothing_is_left(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old\n", durable=True)
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "a.txt") as temporary:
        fail_after(temporary.write_text("half"), (tmp_path / "a.txt").read_text() == "old\n")
    assert names(tmp_path) == ["a.txt"]
    write_text(tmp_path / "new" / "b.txt", "1\r\n2\n")
    assert (tmp_path / "new" / "b.txt").read_bytes() == b"1\r\n2\n"


def test_the_longest_name_that_the_system_allows_can_be_written(tmp_path: Path) -> None:
    write_text(tmp_path / ("n" * 255), "x")
    with CsvWriter(tmp_path / ("m" * 251 + ".csv"), ["a"]) as sink:
        sink.write(1)
    with writing_folder(tmp_path / ("f" * 255), replace=True):
        pass
    with writing_folder(tmp_path / ("f" * 255), replace=True):
        pass
    assert len(names(tmp_path)) == 3


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    with replacing(tmp_path / "a") as one, replacing(tmp_path / "a") as two:
        assert one != two
        one.write_text("1")
        two.write_text("2")
    assert (tmp_path / "a").read_text() == "1"


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match=r"a\.txt: no space is left on the disk; choose"),
        replacing(tmp_path / "a.txt"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
@pytest.mark.parametrize(
    "work",
    ["from dotcount.files import replacing\nwith replacing(folder / 'a') as t:\n    t.write_text('x')\n    " + KILL,
     "from dotcount.folders import writing_folder\nwith writing_folder(folder / 'a') as t:\n"
     "    (t / 'b').write_text('x')\n    " + KILL],
    ids=["file", "folder"],
)  # fmt: skip
def test_what_a_killed_process_left_is_removed_by_the_next_writer(tmp_path: Path, work: str) -> None:
    killed(work, tmp_path)
    assert len(names(tmp_path)) == 1
    code = (
        "import sys\nfrom pathlib import Path\nfrom dotcount.files import write_text\nwrite_text(Path(sys.argv[1]), '')"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "b")], check=True)
    assert names(tmp_path) == ["b"]


def test_what_a_running_process_writes_and_what_others_made_stays(tmp_path: Path) -> None:
    mine = temporary_name(tmp_path / "a")
    mine.write_text("")
    parts = mine.name.split("-")
    elsewhere = tmp_path / "-".join([parts[0], "00000000", "1", parts[3]])  # of another machine
    elsewhere.write_text("")
    (tmp_path / ".dotcount-notes.tmp").write_text("")
    (tmp_path / ".a.tmp").write_text("")
    assert remove_leftovers(tmp_path) == []
    assert len(names(tmp_path)) == 4


def test_a_folder_appears_when_complete(tmp_path: Path) -> None:
    place = tmp_path / "in" / "out"
    with writing_folder(place) as folder:
        (folder / "a").write_text("1")
        assert not place.exists()
    assert names(place) == ["a"]
    with pytest.raises(OutputError, match="exists already; choose another `out`"), writing_folder(place):
        pass
    with pytest.raises(ZeroDivisionError), writing_folder(place, replace=True) as folder:
        fail_after((folder / "b").write_text("2"))
    assert names(place) == ["a"]
    with writing_folder(place, replace=True) as folder:
        (folder / "b").write_text("2")
    assert names(place) == ["b"]
    assert names(tmp_path / "in") == ["out"]


def test_an_empty_folder_is_taken_and_a_file_is_not(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with writing_folder(tmp_path / "empty") as folder:
        (folder / "a").write_text("")
    assert names(tmp_path / "empty") == ["a"]
    (tmp_path / "file").write_text("keep")
    with pytest.raises(OutputError, match="exists already"), writing_folder(tmp_path / "file"):
        pass
    with pytest.raises(OutputError, match="is a file, not a folder; choose another `out`"):
        write_text(tmp_path / "file" / "a", "")
    assert (tmp_path / "file").read_text() == "keep"


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_folder_survives_a_kill_in_the_moment_of_the_exchange(tmp_path: Path) -> None:
    place = tmp_path / "model"
    with writing_folder(place) as folder:
        (folder / "old").write_text("")
    killed(
        "from dotcount.folders import writing_folder\n"
        "rename = Path.rename\n"
        "def stop(self, target):\n    rename(self, target)\n    " + KILL + "Path.rename = stop\n"
        "with writing_folder(folder / 'model', replace=True) as t:\n    (t / 'new').write_text('')\n",
        tmp_path,
    )
    assert not place.exists()
    with pytest.raises(ZeroDivisionError), writing_folder(place, replace=True):
        raise ZeroDivisionError
    assert names(place) == ["old"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_folder_is_for_one_process_until_that_ends_or_is_killed(tmp_path: Path) -> None:
    with locked(tmp_path, "training"):
        with (
            pytest.raises(OutputError, match=rf"in use by another training \(process {os.getpid()}\); wait"),
            locked(tmp_path, "training"),
        ):
            pass
        code = "import sys\nfrom pathlib import Path\nfrom dotcount.folders import locked\n"
        code += "with locked(Path(sys.argv[1])):\n    pass"
        done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, capture_output=True, text=True)
        assert "in use by another" in done.stderr
    killed("from dotcount.folders import locked\nwith locked(folder):\n    " + KILL, tmp_path)
    with locked(tmp_path):
        pass
