from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dotcount.data import Record, open_collection
from dotcount.data.checks.pictures import ImageFacts, read_facts
from dotcount.data.checks.relation import check_relation
from dotcount.data.synthetic import write_dataset
from dotcount.points import Points


@pytest.fixture(scope="module", params=["cells", "crowd"])
def scenes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[Record], list[ImageFacts]]:
    out = tmp_path_factory.mktemp("relation") / request.param
    write_dataset(out, request.param, train=40, val=0, test=0, seed=1, size=160)
    records = [r for r in open_collection(out).records if r.count]
    return records, read_facts(records)


def test_true_dots_are_not_accused(scenes: tuple[list[Record], list[ImageFacts]]) -> None:
    assert list(check_relation(*scenes)) == []


@pytest.mark.parametrize(
    ("mistake", "text"),
    [
        (lambda p: p.xy[:, ::-1], "x and y swapped"),
        (lambda p: p.flip_horizontal().xy, "x mirrored"),
        (lambda p: p.flip_vertical().xy, "y mirrored"),
        (lambda p: p.xy / 2, "multiplied by 2"),
    ],
    ids=["swapped", "mirrored in x", "mirrored in y", "halved"],
)
def test_a_mistake_in_all_files_is_named(scenes: tuple[list[Record], list[ImageFacts]], mistake, text: str) -> None:  # type: ignore[no-untyped-def]
    records, pictures = scenes
    wrong = [replace(r, points=Points(mistake(r.points), r.points.width, r.points.height)) for r in records if r.points]
    found = list(check_relation(wrong, pictures))
    assert [f.severity for f in found] == ["error"]
    assert text in found[0].message


def test_few_images_say_nothing(scenes: tuple[list[Record], list[ImageFacts]]) -> None:
    records, pictures = scenes
    wrong = [replace(r, points=r.points.flip_vertical()) for r in records[:7] if r.points]
    assert list(check_relation(wrong, pictures[:7])) == []


def test_pictures_without_contrast_say_nothing() -> None:
    import numpy as np

    flat = ImageFacts(small=np.zeros((32, 32), dtype=np.float32))
    records = [Record(Path("a"), str(k), Points(np.full((5, 2), 8.0), 32, 32)) for k in range(20)]
    assert list(check_relation(records, [flat] * 20)) == []
