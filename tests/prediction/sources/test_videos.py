"""Frames of a video count like the same frames as pictures."""

from __future__ import annotations

import csv
from dataclasses import replace

import av
import numpy as np
import pytest
import torch
from PIL import Image

from dotcount.errors import InputError, OutputError
from dotcount.models import create
from dotcount.prediction import find, merge, shard_folder
from dotcount.prediction.predictor import Predictor
from dotcount.prediction.sinks.timeline import Timeline
from dotcount.prediction.video import VideoSampling, read_video, write_video
from tests.inference.pictures import blobs

RATE, LENGTH = 10, 25


def write(path, length=LENGTH, size=(96, 64)):
    """Write a picture that moves, ten frames a second."""
    whole = blobs(size[1], size[0] + length)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264" if path.suffix != ".avi" else "mpeg4", rate=RATE)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = *size, "yuv420p", 5
        for k in range(length):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(whole[:, k : k + size[0]].copy(), format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture
def predictor():
    torch.manual_seed(0)
    module = create("compact", width=4)
    module.initialize_density(0.05)
    return Predictor(module, device="cpu")


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi"])
@pytest.mark.parametrize(
    ("sampling", "wanted"),
    [(VideoSampling(frames=7), range(0, LENGTH, 7)), (VideoSampling(seconds=0.5), range(0, LENGTH, 5))],
    ids=["frames", "seconds"],
)
def test_frames_count_like_the_same_frames_as_pictures(tmp_path, predictor, name, sampling, wanted):
    path = write(tmp_path / name)
    listing = replace(find(path), video=sampling)
    counts = {frame.name: prediction.count for frame, prediction in predictor.predict_many(listing)}
    exported = {}
    with av.open(str(path)) as container:
        for k, frame in enumerate(container.decode(video=0)):
            picture = tmp_path / f"{k}.png"
            Image.fromarray(frame.to_ndarray(format="rgb24")).save(picture)
            exported[f"{name}#{k:06}"] = predictor.predict(picture).count
    assert len(exported) == LENGTH
    assert counts == {f"{name}#{k:06}": exported[f"{name}#{k:06}"] for k in wanted}


@pytest.mark.parametrize("name", ["a.mkv", "a.avi"])
def test_a_video_that_is_cut_off_gives_its_readable_frames_and_one_error(tmp_path, predictor, name):
    whole = write(tmp_path / name, 60)
    cut = tmp_path / f"cut{whole.suffix}"
    data = whole.read_bytes()
    cut.write_bytes(data[: int(0.7 * len(data))])
    listing = replace(find(cut), video=VideoSampling(frames=1))
    outcomes = [(frame.name, prediction, frame.error) for frame, prediction in predictor.predict_many(listing)]
    *good, last = outcomes
    assert 20 < len(good) < 60
    assert all(prediction is not None for _, prediction, _ in good)
    wanted = [p.count for _, p in predictor.predict_many(replace(find(whole), video=VideoSampling(frames=1)))]
    # The last picture before the cut may be there in part.
    assert [p.count for _, p, _ in good[:-1]] == wanted[: len(good) - 1]
    assert last[0] == f"{cut.name}#end"
    assert last[1] is None
    assert "could be read; copy it again" in last[2]


@pytest.mark.parametrize("content", [b"", b"no video"])
def test_what_is_no_video_is_one_row(tmp_path, predictor, content):
    (tmp_path / "a.mp4").write_bytes(content)
    ((frame, prediction),) = predictor.predict_many(tmp_path / "a.mp4")
    assert prediction is None
    assert "a.mp4 can't be read" in frame.error


def test_counts_over_time_and_the_annotated_video(tmp_path, predictor):
    listing = replace(find(write(tmp_path / "a.mp4")), video=VideoSampling(seconds=0.5))
    sinks = ["csv", Timeline(1.0), "video"]
    going = predictor.stream(listing, out=tmp_path / "out", sinks=sinks)
    next(going)
    going.close()  # a run that is stopped goes on
    done = list(predictor.stream(listing, out=tmp_path / "out", sinks=sinks))
    assert len(done) == 4
    counts = [float(row["count"]) for row in csv.DictReader((tmp_path / "out" / "counts.csv").open())]
    rows = list(csv.DictReader((tmp_path / "out" / "timeline" / "a.mp4.csv").open()))
    assert [(int(row["frame"]), float(row["seconds"])) for row in rows] == [(k * 5, k * 0.5) for k in range(5)]
    assert [float(row["count"]) for row in rows] == counts
    assert float(rows[2]["smoothed"]) == pytest.approx(np.median(counts[1:4]), abs=1e-4)
    assert Image.open(tmp_path / "out" / "timeline" / "a.mp4.png").size == (1080, 420)
    pictures = list(read_video(tmp_path / "out" / "videos" / "a.mp4.mp4", VideoSampling(frames=1)))
    assert [picture.time for picture in pictures] == pytest.approx([k * 0.5 for k in range(5)])
    names = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert names == {
        *("counts.csv", "points.csv", "prediction.json", "dotcount.json", ".dotcount-lock"),
        *("timeline/a.mp4.csv", "timeline/a.mp4.png", "videos/a.mp4.mp4"),
    }


@pytest.mark.parametrize("options", [{}, {"frames": 0}, {"seconds": 0.0}, {"frames": 2, "seconds": 1.0}])
def test_a_choice_of_no_frames_is_refused(options):
    with pytest.raises(InputError):
        VideoSampling(**options)


def test_a_clip_among_photos_is_left_out_and_said_unless_it_is_named(tmp_path):
    (tmp_path / "set").mkdir()
    clip = write(tmp_path / "set" / "clip.mp4")
    assert [name for _, name in find(tmp_path / "set").files] == ["clip.mp4"]  # a folder of videos
    Image.new("RGB", (8, 8)).save(tmp_path / "set" / "a.png")
    found = find(tmp_path / "set")
    assert [name for _, name in found.files] == ["a.png"]
    assert "1 .mp4 files (beside images; name them to count their frames)" in found.note
    assert [name for _, name in find([tmp_path / "set", clip]).files] == ["a.png", "clip.mp4"]


def test_pictures_of_several_sizes_make_one_video_in_their_own_time(tmp_path):
    """A frame without points has a shorter legend, and frames of a phone come at uneven times."""
    sizes, seconds = [(40, 31), (64, 48), (41, 60)], [2.0, 2.1, 12.0]
    pictures = []
    for k, size in enumerate(sizes):
        Image.new("RGB", size, (0, 80 * (k + 1), 0)).save(tmp_path / f"{k}.png")
        pictures.append((tmp_path / f"{k}.png", seconds[k]))
    write_video(tmp_path / "a.mp4", pictures, last=3.0)
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert container.duration / 1e6 == pytest.approx(13.0, abs=0.01)
        frames = [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    assert [time for time, _ in frames] == pytest.approx([0.0, 0.1, 10.0], abs=1e-3)
    for (_, pixels), (width, height) in zip(frames, sizes):
        assert pixels.shape == (60, 64, 3)
        lit = pixels[..., 1] > 40
        assert lit.sum() == pytest.approx(width * height, rel=0.05)
        assert lit[0].sum() == pytest.approx(width, abs=2)


def test_smoothed_counts_of_shards_are_joined_and_another_smoothing_is_another_run(tmp_path, predictor):
    (tmp_path / "clips").mkdir()
    for name in "ab":
        write(tmp_path / "clips" / f"{name}.mp4")
    files, sinks = find(tmp_path / "clips"), ["csv", Timeline(1.0)]
    list(predictor.stream(files, out=tmp_path / "plain", sinks=sinks))
    with pytest.raises(OutputError, match=r"of another kind \(csv, timeline smoothed 1 s\)"):
        predictor.stream(files, out=tmp_path / "plain", sinks=["csv", Timeline(2.0)])
    for k in (1, 2):
        list(predictor.stream(files.sharded(k, 2), out=shard_folder(tmp_path / "job", k, 2), sinks=sinks))
    merge([tmp_path / "job"], tmp_path / "merged")
    for name in ("counts.csv", "timeline/a.mp4.csv", "timeline/b.mp4.csv", "timeline/b.mp4.png"):
        assert (tmp_path / "merged" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()
