"""The page of an audit shows what is suspicious, and its rows are those of the table."""

import re

import numpy as np
from PIL import Image

from dotcount.audit import Audit, ImageAudit, Suspicion
from dotcount.data import Record
from dotcount.points import Points
from dotcount.report import write_audit_page

DOTS = np.array([(10.0, 10.0), (30.0, 12.0)])
SUSPICIONS = [
    Suspicion("a & b.png", "exchanged", 0.6, other="c.png"),
    Suspicion("a & b.png", "missing", 0.93, place=(50.0, 30.0)),
    Suspicion("a & b.png", "misplaced", 0.8, 0, (10.0, 10.0), (20.0, 20.0)),
    Suspicion("c.png", "doubled", 0.7, 1, (30.0, 12.0), (10.0, 10.0)),
    Suspicion("gone.png", "spurious", 0.5, 0, (10.0, 10.0)),
]


def page(tmp_path, suspicions=SUSPICIONS, **options):
    names = ("a & b.png", "c.png", "gone.png")
    records = {name: Record(tmp_path / name, name, Points(DOTS, 64, 48)) for name in names}
    for name in names[:2]:
        Image.fromarray(np.full((48, 64, 3), 90, np.uint8)).save(tmp_path / name)
    images = tuple(ImageAudit(name, DOTS, 2.0, 0.9 - 0.1 * k, 8.0, ()) for k, name in enumerate(names))
    audit = Audit(images, tuple(suspicions))
    write_audit_page(tmp_path / "audit.html", audit, records, title="Audit", judged="By x.", **options)
    return (tmp_path / "audit.html").read_text(encoding="utf-8")


def test_each_suspicion_has_its_pictures_its_correction_and_its_row(tmp_path):
    text = page(tmp_path)
    assert text.count('<article class="card suspicion"') == 5
    assert text.count("<img ") == 8
    assert "The image can't be read any more" in text
    assert 'data-row="a &amp; b.png,missing,0.93,,50,30,,,"' in text
    assert "move the dot at" in text
    assert "5 suspicions, 2 strong" in text
    assert "http" not in re.sub(r"data:image[^\"]*|http://www.w3.org\S*", "", text)


def test_the_worst_fit_comes_first_and_only_so_many_are_shown(tmp_path):
    text = page(tmp_path, shown=1)
    assert text.count('<article class="card suspicion"') == 1
    assert "1 of 5 are shown" in text
    table = text[text.index('id="images"') :]
    assert table.index("gone.png") < table.index("c.png")


def test_a_page_without_suspicions_says_so(tmp_path):
    text = page(tmp_path, [])
    assert "Model and dots agree" in text
    assert "Save decisions</button>" not in text
