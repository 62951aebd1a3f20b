import subprocess
import sys

import pytest

from dotcount.cli import main as entry
from dotcount.cli.main import VERBS, main

HEAVY = ("torch", "numpy", "lightning", "matplotlib", "scipy", "PIL", "rich", "jinja2")


@pytest.mark.parametrize("words", [[], ["--version"], *([verb] for verb in VERBS), ["data", "synth"], ["data", "info"]])
def test_help_is_fast_because_it_imports_nothing_heavy(words):
    code = (
        "import sys; from dotcount.cli.main import main; code = main(sys.argv[1:]); "
        f"heavy = [m for m in {HEAVY!r} if m in sys.modules]; print('heavy', heavy); sys.exit(code)"
    )
    words = words if words == ["--version"] else [*words, "--help"]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "heavy []" in done.stdout
    if words != ["--version"]:
        assert "examples:" in done.stdout
        assert "dotcount " + " ".join(words[:-1]) in done.stdout


def test_importing_the_package_is_cheap():
    code = f"import sys, dotcount; assert 'load' in dir(dotcount); print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names_exist():
    import dotcount

    assert [name for name in dotcount.__all__ if not hasattr(dotcount, name)] == []
    assert dotcount.transport.solve
    assert dotcount.__version__
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        dotcount.nonsense  # noqa: B018


def test_no_command_shows_the_help_and_is_a_usage_error(dotcount):
    code, out, _ = dotcount()
    assert code == 2
    assert "commands:" in out


def test_unknown_command_suggests_the_nearest(fails):
    assert "Did you mean 'train'?" in fails("trian", code=2)


def test_unknown_option_is_a_usage_error(dotcount):
    code, _, err = dotcount("predict", "run", "a.png", "--out", "x", "--colour")
    assert code == 2
    assert "--colour" in err


def raising(error):
    def run(args):
        raise error

    return run


def test_interruption_says_how_to_go_on(monkeypatch, dotcount):
    from dotcount.cli import train

    monkeypatch.setattr(train, "run", raising(KeyboardInterrupt()))
    code, _, err = dotcount("train", "x", "--out", "y")
    assert code == 130
    assert "--resume" in err


def test_a_defect_is_one_line_and_a_trace_on_request(monkeypatch, dotcount):
    from dotcount.cli import predict

    monkeypatch.setattr(predict, "run", raising(ZeroDivisionError("division\nby zero")))
    code, _, err = dotcount("predict", "x", "y", "--out", "z")
    assert code == 1
    assert "ZeroDivisionError: division by zero" in err
    assert err.count("\n") == 1
    monkeypatch.setenv("DOTCOUNT_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        main(["predict", "x", "y", "--out", "z"])


def test_verbs_have_their_modules():
    from importlib import import_module

    for verb in entry.VERBS:
        module = import_module(f"dotcount.cli.{verb}")
        assert module.EXAMPLES.startswith("examples:")
        assert f"dotcount {verb}" in module.EXAMPLES


def test_a_package_that_is_missing_is_named_whichever_it_is():
    from dotcount.cli.main import _unforeseen

    told = _unforeseen(ModuleNotFoundError("No module named 'shapely'", name="shapely.geometry"))
    assert told == "this needs shapely, which is not installed; run `pip install dotcount`"
    assert "may be a defect" in _unforeseen(
        ModuleNotFoundError("No module named 'dotcount.gone'", name="dotcount.gone")
    )
