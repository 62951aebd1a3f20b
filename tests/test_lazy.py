"""Names that are imported on first use."""

import subprocess
import sys

import pytest

from dotcount.lazy import lazy_names

PACKAGES = ("calibration", "data", "evaluation", "inference", "prediction", "report")


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_found_and_others_are_not(package):
    module = __import__(f"dotcount.{package}", fromlist=["_"])
    assert all(getattr(module, name) is not None for name in module.__all__)
    with pytest.raises(AttributeError, match=f"module 'dotcount.{package}' has no attribute 'nonsense'"):
        _ = module.nonsense


def test_importing_the_packages_imports_no_torch():
    code = f"import sys\nfor name in {PACKAGES}: __import__('dotcount.' + name)\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_module_within_the_package_or_elsewhere():
    get = lazy_names("dotcount.metrics", {"counting": ("counting_metrics",), "dotcount.points": ("Points",)})
    assert get("counting_metrics").__module__ == "dotcount.metrics.counting"
    assert get("Points").__module__ == "dotcount.points"
