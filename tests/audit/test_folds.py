"""Every image is judged once, by a model that had none of its dots."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from dotcount import config
from dotcount.audit import deal, record_folds
from dotcount.data import Record, ResizeRule, open_collection
from dotcount.data.records import Collection
from dotcount.errors import DataError, UsageError
from dotcount.points import Points


@pytest.fixture
def collection(tmp_path):
    rng = np.random.default_rng(0)
    records = []
    for k in range(12):
        name = f"{'test' if k % 2 else 'train'}/plate{k // 4}/{k}.png"
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(path)
        xy = rng.uniform(0, 30, (3 * k, 2))
        records.append(Record(path, name, Points(xy, 40, 30), name.split("/")[0]))
    return Collection(tmp_path, "made", "csv", tuple(records))


@pytest.mark.parametrize("folds", [2, 3, 5])
def test_every_image_is_judged_once_and_not_learned_by_its_judge(collection, folds):
    parts = deal(collection, folds)
    judged = [r.name for part in parts for r in part.judged.records]
    assert sorted(judged) == sorted(r.name for r in collection.records)
    for part in parts:
        assert {r.name for r in part.judged.records}.isdisjoint(r.name for r in part.rest.records)
        assert len(part.judged) + len(part.rest) == 12
    assert max(len(p.judged) for p in parts) - min(len(p.judged) for p in parts) <= 1


def test_folds_are_alike_in_their_counts(collection):
    means = [part.judged.n_dots / len(part.judged) for part in deal(collection, 2)]
    assert abs(means[0] - means[1]) <= 6


def test_groups_stay_together(collection):
    for part in deal(collection, 3, by=r"plate(\d)"):
        assert len({r.name.split("/")[1] for r in part.judged.records}) == 1


def test_the_draw_depends_on_names_and_seed_alone(collection):
    names = [[r.name for r in p.judged.records] for p in deal(collection, 2)]
    turned = deal(collection.where(collection.records[::-1]), 2)
    assert [sorted(n) for n in names] == [sorted(r.name for r in p.judged.records) for p in turned]
    assert any(names != [[r.name for r in p.judged.records] for p in deal(collection, 2, seed=s)] for s in (1, 2, 3))


def test_the_rest_is_written_as_data_without_splits(collection, tmp_path):
    part = deal(collection, 2)[0]
    written = open_collection(part.write(tmp_path / "out" / "data"))
    assert written.splits == ()
    assert sorted(r.count for r in written.records) == sorted(r.count for r in part.rest.records)
    assert all((tmp_path / "out" / "data" / r.name).is_symlink() for r in written.records)
    assert part.write(tmp_path / "out" / "data") == tmp_path / "out" / "data"


def test_settings_are_those_asked_for_but_for_the_data(collection, tmp_path):
    part = deal(replace(collection, resize=ResizeRule(max_side=2048)), 2)[0]
    asked = config.load(
        overrides=["data.train_images=3", "data.classes=[x]", "data.format=jhu_crowd", "loss.name=bayesian"]
    )
    found = part.settings(asked, tmp_path / "data")
    assert (found.data.path, found.data.format) == (str(tmp_path / "data"), "csv")
    assert (found.data.train_images, found.data.classes, found.data.max_side) == (None, None, 2048)
    assert (found.loss, found.training) == (asked.loss, asked.training)


def test_folds_of_changed_dots_are_not_gone_on_with(collection, tmp_path):
    record_folds(deal(collection, 2), tmp_path)
    record_folds(deal(collection, 2), tmp_path)
    fewer = collection.where(collection.records[1:])
    with pytest.raises(DataError, match="other images, dots"):
        record_folds(deal(fewer, 2), tmp_path)


def test_too_few_images_or_folds_are_refused(collection):
    with pytest.raises(UsageError):
        deal(collection, 1)
    with pytest.raises(DataError, match="fewer `folds`"):
        deal(collection, 12)
    with pytest.raises(DataError, match="3 groups"):
        deal(collection, 4, by=r"plate(\d)")
