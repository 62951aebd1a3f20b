"""Prediction runs: written as they go, continued after a kill, never mixed."""

import csv
import json
import multiprocessing
import random
import time
from dataclasses import asdict

import pytest

from dotcount.cli.predict_outcome import summary_lines
from dotcount.errors import OutputError, UsageError
from dotcount.files import mark_output
from dotcount.metadata import CountInterval
from dotcount.metadata.interval import ScaledErrors
from dotcount.prediction import Predictor, Sink
from dotcount.prediction.journal import Done, Journal, Settings, Standing, Summary
from dotcount.prediction.output import OutputFolder
from tests.prediction.oracles import Bright, tree, write_dotted

SINKS = ("csv", "overlays", "jsonl", "coco", "yolo", "density")


def photos(root, n=6):
    for k in range(n):
        write_dotted(root / f"{k}.png", [(4 * i + 2, 8) for i in range(k % 9)], size=(48, 24))
    return root


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def run(source, out, **options):
    going = Predictor(Bright()).stream(source, out=out, **options)
    return [frame.name for frame, _ in going], going.summary


def stopped_after(n, source, out, **options):
    """Leave a run after ``n`` frames, as a kill between two frames does."""
    going = Predictor(Bright()).stream(source, out=out, **options)
    for _ in range(n):
        next(going)
    going.close()


def test_rows_are_on_the_disk_as_they_are_made(tmp_path):
    going = Predictor(Bright()).stream(photos(tmp_path / "in"), out=tmp_path / "out", sinks=["csv"])
    next(going), next(going)
    assert [row["image"] for row in rows(tmp_path / "out" / "counts.csv.part")] == ["0.png", "1.png"]
    assert not (tmp_path / "out" / "counts.csv").exists()
    assert len(list(going)) == 4
    assert [row["count"] for row in rows(tmp_path / "out" / "counts.csv")] == [str(k) for k in range(6)]
    assert going.summary.counted == 6
    assert going.summary.count == 15


@pytest.mark.parametrize("n", [0, 1, 3, 6])
def test_a_run_that_was_stopped_goes_on_and_ends_the_same(tmp_path, n):
    source = photos(tmp_path / "in")
    (source / "3.png").write_bytes(b"broken")
    run(source, tmp_path / "whole", sinks=SINKS)
    stopped_after(n, source, tmp_path / "out", sinks=SINKS)
    names, summary = run(source, tmp_path / "out", sinks=SINKS)
    assert names == [f"{k}.png" for k in range(n, 6)]
    assert (summary.earlier, summary.counted, summary.failed) == (n, 5, 1)
    whole, out = tree(tmp_path / "whole"), tree(tmp_path / "out")
    for each in (whole, out):  # only the record of the runs themselves differs
        del each["prediction.json"]
    assert out == whole


def test_a_complete_run_is_not_repeated(tmp_path):
    source = photos(tmp_path / "in")
    run(source, tmp_path / "out", sinks=SINKS)
    before = tree(tmp_path / "out")
    names, summary = run(source, tmp_path / "out", sinks=SINKS)
    assert names == []
    assert (summary.earlier, summary.counted, summary.count) == (6, 6, 15)
    assert tree(tmp_path / "out") == before


def test_a_file_cut_off_by_a_power_failure_costs_the_frames_in_it(tmp_path):
    source = photos(tmp_path / "in")
    run(source, tmp_path / "whole", sinks=SINKS)
    stopped_after(4, source, tmp_path / "out", sinks=SINKS)
    part = tmp_path / "out" / "counts.csv.part"
    part.write_bytes(part.read_bytes()[:-20])
    with (tmp_path / "out" / "prediction.part").open("ab") as file:
        file.write(b'{"name": "4.png", "cou')
    names, _ = run(source, tmp_path / "out", sinks=SINKS)
    assert names[-1] == "5.png"
    assert (tmp_path / "out" / "counts.csv").read_bytes() == (tmp_path / "whole" / "counts.csv").read_bytes()
    assert (tmp_path / "out" / "coco" / "annotations.json").read_bytes() == (
        tmp_path / "whole" / "coco" / "annotations.json"
    ).read_bytes()


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("what", ["model", "images", "changed", "kind"])
def test_other_settings_are_refused_in_words_and_replaced_when_told(tmp_path, finished, what):
    source, out = photos(tmp_path / "in"), tmp_path / "out"
    options = {"sinks": ["csv", "overlays"]}
    run(source, out, **options) if finished else stopped_after(2, source, out, **options)
    before = tree(out)
    predictor = Predictor(Bright())
    words = {"model": "another model", "images": "other images", "changed": "have changed", "kind": "another kind"}
    if what == "model":
        predictor.runtime.module.register_buffer("extra", _one())
    elif what == "images":
        (source / "0.png").rename(source / "new.png")
    elif what == "changed":
        write_dotted(source / "0.png", [(1, 1)] * 3, size=(50, 24))
    else:
        options = {"sinks": ["csv"]}
    with pytest.raises(OutputError, match=f"{words[what]}.*`out`.*`overwrite`"):
        predictor.stream(source, out=out, **options)
    assert tree(out) == before
    list(predictor.stream(source, out=out, overwrite=True, **options))
    counts = [row["image"] for row in rows(out / "counts.csv")]
    assert counts == [p.name for p in sorted(source.iterdir())]
    if what == "images":
        assert not (out / "overlays" / "0.png.jpg").exists()


def _one():
    import torch

    return torch.ones(3)


def test_foreign_files_are_neither_mixed_with_nor_removed(tmp_path):
    source, out = photos(tmp_path / "in", 2), tmp_path / "out"
    out.mkdir()
    (out / "counts.csv").write_text("mine\n")
    with pytest.raises(OutputError, match=r"counts\.csv.*something else"):
        run(source, out)
    assert tree(out) == {"counts.csv": b"mine\n"}
    (out / "counts.csv").unlink()
    (out / "overlays").mkdir()
    (out / "overlays" / "keep.txt").write_text("mine")
    with pytest.raises(OutputError, match="not from this package"):
        run(source, out, overwrite=True)
    assert (out / "overlays" / "keep.txt").read_text() == "mine"
    run(source, out, sinks=["csv"])
    assert (out / "overlays" / "keep.txt").exists()


def test_a_marker_can_not_make_other_things_be_removed(tmp_path):
    out = photos(tmp_path / "out", 1)
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "a.txt").write_text("mine")
    (out / "overlays").symlink_to(tmp_path / "victim")
    names = ["../victim", "0.png", "overlays", "coco", str(tmp_path / "victim")]
    mark_output(out, "predictions", "dotcount predict", names)
    (out / "coco").symlink_to(tmp_path / "victim")
    run(photos(tmp_path / "in", 1), out, sinks=["csv"], overwrite=True)
    assert (tmp_path / "victim" / "a.txt").read_text() == "mine"
    assert (out / "0.png").exists()


def test_two_runs_into_one_folder_are_refused(tmp_path):
    source = photos(tmp_path / "in")
    going = Predictor(Bright()).stream(source, out=tmp_path / "out", sinks=["csv"])
    next(going)
    with pytest.raises(OutputError, match="another"):
        run(source, tmp_path / "out", sinks=["csv"])
    assert len(list(going)) == 5


def test_results_within_the_images_are_not_counted_again(tmp_path):
    source = photos(tmp_path / "in")
    first, _ = run(source, source / "counts")
    again, summary = run(source, source / "counts")
    assert (len(first), again, summary.counted) == (6, [], 6)
    names, summary = run(source, tmp_path / "other", sinks=["csv"])
    assert names == first
    assert summary.lacking == 0
    assert [kind for _, kind, _ in summary.left_out] == ["folder of results that dotcount wrote"]


class Failing(Sink):
    title, names = "fails for one image", ("odd/",)

    def open(self, out):
        self._out = out

    def write(self, frame, prediction):
        if frame.name == "1.png":
            raise KeyError("odd")


def test_a_sink_that_fails_for_one_image_is_a_warning_of_that_image(tmp_path):
    names, summary = run(photos(tmp_path / "in", 3), tmp_path / "out", sinks=["csv", Failing()])
    warnings = [row["warning"] for row in rows(tmp_path / "out" / "counts.csv")]
    assert (warnings[0], warnings[2], summary.warned, len(names)) == ("", "", 1, 3)
    assert "odd not written" in warnings[1]


def test_unknown_sinks_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(UsageError, match="Did you mean 'overlays'"):
        run(photos(tmp_path / "in", 1), tmp_path / "out", sinks=["overlay"])
    assert not (tmp_path / "out").exists()


def count_and_log(source, out, sinks, log):
    for frame, _ in Predictor(Bright()).stream(source, out=out, sinks=sinks):
        with log.open("a") as file:
            file.write(frame.name + "\n")


def killed_until_done(tmp_path, source, sinks, kills, longest):
    """Run as a process of its own, kill it ``kills`` times, let it end; return the names handed out."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    draw = random.Random(0)
    for k in range(kills + 1):
        process = context.Process(target=count_and_log, args=(source, tmp_path / "out", sinks, tmp_path / "log"))
        process.start()
        if k < kills:
            time.sleep(draw.uniform(0, longest))
            process.kill()
        process.join()
    assert process.exitcode == 0
    return (tmp_path / "log").read_text().split()


def check_killed(tmp_path, n, kills, longest):
    source, sinks = photos(tmp_path / "in", n), ("csv", "overlays", "coco", "yolo", "parquet")
    run(source, tmp_path / "whole", sinks=sinks)
    handed_out = killed_until_done(tmp_path, source, sinks, kills, longest)
    # A frame that was written and not yet handed out when the kill came is the only one that can lack here.
    assert len(handed_out) == len(set(handed_out))
    assert len(handed_out) >= n - kills
    whole, out = tree(tmp_path / "whole"), tree(tmp_path / "out")
    for each in (whole, out):
        del each["prediction.json"]
    assert out == whole


def test_killed_at_any_moment_it_ends_with_the_same_files(tmp_path):
    check_killed(tmp_path, 60, 3, 0.5)


@pytest.mark.slow
def test_killed_at_thirty_moments_of_five_hundred_images(tmp_path):
    check_killed(tmp_path, 500, 30, 0.5)


def test_the_record_says_what_the_results_are_of(tmp_path):
    run(photos(tmp_path / "in", 2), tmp_path / "out", sinks=["csv"])
    record = json.loads((tmp_path / "out" / "prediction.json").read_text())
    assert record["summary"]["counted"] == 2
    assert record["settings"]["write"] == ["csv"]


RULE = CountInterval(0.9, 0.5, 40, errors=ScaledErrors(0.0, 0.3, 4000.0))


def summed(n, count=8.0, **kind):
    summary = Summary()
    for _ in range(n):
        summary.add(count, None, False, Standing(promised=True, **kind))
    return summary


def test_the_sum_is_promised_nothing_that_its_images_are_not():
    assert summed(1).sum(RULE).low == RULE.interval(8.0)[0]  # one image has its own interval, not another one
    assert summed(20).sum(RULE).low > 0
    strange = summed(20, unlike=True).sum(RULE)
    assert (strange.value, strange.low, strange.reason) == (160, None, "20 of 20 images are unlike the training images")
    assert summed(0).sum(RULE).low is None
    kept = Summary(**json.loads(json.dumps(asdict(summed(20)))))
    kept.rule = RULE.to_dict()
    assert kept.sum() == summed(20).sum(RULE)  # as shards that are merged know it


def test_frames_of_a_video_are_not_added_up():
    video = summed(10, moment=True, file="a.mp4")
    assert video.mean(RULE).value == 8
    assert (video.mean(RULE).high - 8) == pytest.approx((video.sum(RULE).high - 80) / 10)
    (line,) = summary_lines(video, "counts.csv", interval=RULE)
    assert line.startswith("10 of 10 images counted, 8.0 (90% interval ")
    assert "objects a frame on average" in line
    failed = Summary()
    failed.add(None, "b.mp4: broken", False)
    assert summary_lines(failed, "counts.csv", interval=RULE)[-1].startswith("0 of 1 images counted; 1 FAILED")


def test_a_run_that_is_killed_before_its_first_frame_is_known_for_its_own(tmp_path, monkeypatch):
    """Whatever moment it is: before the journal says what grows, a sink may have made its folder."""
    source = photos(tmp_path / "in", 2)

    def killed(self):
        (self.path / "coco").mkdir(exist_ok=True)
        raise SystemExit  # nothing is tidied up after a kill, and nothing is added to the journal

    with monkeypatch.context() as patched:
        patched.setattr(OutputFolder, "start", killed)
        with pytest.raises(SystemExit):
            run(source, tmp_path / "out", sinks=["csv", "coco"])
    names, _ = run(source, tmp_path / "out", sinks=["csv", "coco"])
    assert len(names) == 2


def test_the_last_settings_in_a_journal_count(tmp_path):
    one, two = (Settings("m", weights, ("csv",), 2, "n", "c", "1") for weights in "ab")
    journal = Journal(tmp_path)
    journal.start(one, ["a.csv"])
    journal.add(Done("x.png", 1.0, None, False, (5,)))
    journal._append('{"name": "cut o')  # by a kill
    journal.start(two, ["b.csv"])
    journal.add(Done("y.png", 2.0, None, False, (7,)))
    journal.close(remove=False)
    again = Journal(tmp_path)
    settings, growing, done = again.read()
    assert (settings.weights, growing, [each.name for each in done]) == ("b", ["b.csv"], ["y.png"])
    again.go_on(0)
    again.add(Done("z.png", 2.0, None, False, (7,)))
    assert [each.name for each in again.read()[2]] == ["z.png"]
    again.close(remove=False)
