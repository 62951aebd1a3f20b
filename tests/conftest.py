"""Settings shared by all tests."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import settings

from tests.browser import chromium, visit  # noqa: F401, fixtures of all that looks at pages

# Loaded machines make single examples slow; what a test may take as a whole is held by the suite's own limits.
settings.register_profile("dotcount", deadline=None, max_examples=50)
settings.load_profile("dotcount")

# Published models are exported once for all tests of a machine, not into the cache of whoever runs them.
os.environ.setdefault("DOTCOUNT_CACHE", str(Path(tempfile.gettempdir()) / f"dotcount-tests-{os.getuid()}"))
