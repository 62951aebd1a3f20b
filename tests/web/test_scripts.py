"""The scripts of the pages fit each other: what one imports from another is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import dotcount.web

STATIC = Path(dotcount.web.__file__).parent / "static"
SCRIPTS = sorted(path.name for path in STATIC.glob("*.js"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_is_imported_is_exported(name):
    text = (STATIC / name).read_text(encoding="utf-8")
    for names, source in re.findall(r'import \{([^}]*)\} from "\./([^"]+)"', text):
        exported = (STATIC / source).read_text(encoding="utf-8")
        for imported in (part.split(" as ")[0].strip() for part in names.split(",") if part.strip()):
            assert re.search(rf"export (async )?(function|class|const|let) {imported}\b", exported), (imported, source)
