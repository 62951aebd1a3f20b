"""Settings shared by all tests."""

from __future__ import annotations

from hypothesis import settings

# Loaded machines make single examples slow; what a test may take as a whole is held by the suite's own limits.
settings.register_profile("dotcount", deadline=None, max_examples=50)
settings.load_profile("dotcount")
