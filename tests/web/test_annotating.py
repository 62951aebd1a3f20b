"""The server behind the annotation page: what it answers, what it refuses, and what a kill leaves."""

from __future__ import annotations

import io
import random
import threading
import time

import httpx
import numpy as np
import pytest
from PIL import Image

from dotcount.data import open_collection
from dotcount.data.editing import open_annotations
from tests.web.annotating import annotating, photos


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("annotating") / "cells"
    photos(folder, n=2)
    Image.fromarray(np.arange(0, 4096, dtype=np.uint16).reshape(64, 64) * 16).save(folder / "deep.png")
    Image.new("RGB", (40, 20), "red").save(folder / "turned.jpg", exif=_turned())
    with annotating(folder) as (address, _), httpx.Client(base_url=address, timeout=60) as client:
        yield client


def _turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def marks(client, name="cell00.png"):
    return client.get("/api/marks", params={"image": name})


def edit(client, *edits, name="cell00.png", version=None):
    version = version or marks(client, name).json()["version"]
    return client.post("/api/edit", json={"image": name, "version": version, "edits": list(edits)})


def test_an_edit_and_a_conflict(server):
    before = marks(server).json()
    answer = edit(server, {"op": "add", "id": 0, "x": 3.25, "y": 4.5}, version=before["version"])
    assert answer.json()["dots"] == 1
    late = edit(server, {"op": "add", "id": 0, "x": 9, "y": 9}, version=before["version"])
    assert late.status_code == 409
    assert "changed elsewhere" in late.json()["error"]
    assert marks(server).json()["marks"] == [[0, 3.25, 4.5, "", 0]]
    assert server.get("/api/set").json()["images"][0]["dots"] == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ([], 400), ({"image": "cell01.png"}, 400), ({"image": "cell01.png", "version": "x", "edits": [3]}, 400),
        ({"image": "no.png", "version": "x", "edits": []}, 422),
        ({"image": "cell01.png", "version": "x", "edits": []}, 409),
        ({"image": "../../etc/passwd", "version": "x", "edits": []}, 422),
    ],
)  # fmt: skip
def test_messages_that_make_no_sense(server, body, status):
    answer = server.post("/api/edit", json=body)
    assert answer.status_code == status
    assert answer.json()["error"]


@pytest.mark.parametrize("name", ["", "../cells/cell00.png", "/etc/passwd", "cell00.png\x00", "<script>", "x" * 5000])
@pytest.mark.parametrize("path", ["/api/marks", "/api/picture", "/api/suggestions"])
def test_only_images_of_the_data_set_are_answered(server, path, name):
    answer = server.get(path, params={"image": name})
    assert answer.status_code in (404, 422)
    assert "image" in answer.json()["error"] or "model" in answer.json()["error"]


def test_pictures_are_upright_and_of_eight_bits(server):
    for name, size in (("deep.png", (64, 64)), ("turned.jpg", (20, 40)), ("cell00.png", (96, 96))):
        answer = server.get("/api/picture", params={"image": name})
        with Image.open(io.BytesIO(answer.content)) as picture:
            assert picture.size == size
            assert picture.convert("L").getextrema()[1] > 50
        assert answer.headers["content-type"] in ("image/png", "image/jpeg")


def test_no_model_no_suggestions(server):
    assert server.get("/api/suggestions", params={"image": "cell00.png"}).status_code == 404
    assert server.get("/api/order").json() == {"images": [], "left": 0}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"action": "paint"},
        {"action": "start"},
        {"action": "start", "minutes": -1},
        {"action": "start", "minutes": 1, "begin": "run-007"},
    ],
)
def test_trainings_that_make_no_sense(server, body):
    assert server.post("/api/training", json=body).status_code == 400


def test_training_needs_dots_and_resuming_a_run(server):
    edit(server, {"op": "empty", "value": True}, name="cell01.png")
    edit(server, {"op": "empty", "value": False}, name="cell01.png")
    too_few = server.post("/api/training", json={"action": "start", "minutes": 1})
    assert too_few.status_code == 422
    assert "at least 2" in too_few.json()["error"]
    assert server.post("/api/training", json={"action": "resume"}).status_code == 422
    assert server.get("/api/training").json()["state"] == "idle"


def test_other_sites_are_refused(server):
    headers = {"Origin": "https://evil.example"}
    assert server.post("/api/edit", json={}, headers=headers).status_code == 403


def clicks(address: str, stop: threading.Event, first: int, confirmed: list[int]) -> None:
    """Make dots one after the other until the server is gone."""
    with httpx.Client(base_url=address, timeout=5) as client:
        names = ["cell00.png", "cell01.png", "cell02.png"]
        versions: dict[str, str] = {}
        k = first
        while not stop.is_set():
            name = names[k % 3]
            try:
                versions[name] = versions.get(name) or marks(client, name).json()["version"]
                dot = {"op": "add", "id": k, "x": 1 + k % 90, "y": 1 + k // 90 / 8}
                answer = edit(client, dot, name=name, version=versions[name])
            except httpx.HTTPError:
                return
            if answer.status_code == 200:
                versions[name] = answer.json()["version"]
                confirmed.append(k)
            k += 1


def kill_the_server(folder, times: int) -> None:
    """Kill the server at random moments; every confirmed dot is there, and the files can be read as they lie."""
    photos(folder)
    generator = random.Random(3)
    confirmed: list[int] = []
    for turn in range(times):
        stop, first = threading.Event(), 0 if not confirmed else max(confirmed) + 50
        with annotating(folder) as (address, process):
            clicker = threading.Thread(target=clicks, args=(address, stop, first, confirmed))
            clicker.start()
            time.sleep(generator.uniform(0.05, 1.0))
            process.kill()
            process.wait()
            stop.set()
            clicker.join()
        if (folder / "dots.csv").exists():
            open_collection(folder, strict=False)
        if turn % 10 == 9 or turn == times - 1:
            with open_annotations(folder) as annotations:
                there = {(m.x, m.y) for name in annotations.images for m in annotations.marks(name).dots}
            assert {(1 + k % 90, 1 + k // 90 / 8) for k in confirmed} <= there
    assert len(confirmed) > times


def test_killed_while_clicks_arrive(tmp_path):
    kill_the_server(tmp_path / "cells", times=2)


@pytest.mark.slow
def test_killed_fifty_times_while_clicks_arrive(tmp_path):
    kill_the_server(tmp_path / "cells", times=50)


@pytest.mark.slow
def test_a_training_is_cancelled_resumed_and_used(tmp_path):
    folder = tmp_path / "cells"
    truth = photos(folder, n=6)
    small = [f"--set={words}" for words in ("model.options.width=4", "training.crop=64")]
    with annotating(folder, *small) as (address, _), httpx.Client(base_url=address, timeout=60) as client:
        for name in list(truth)[:5]:
            dots = [{"op": "add", "id": k, "x": x, "y": y} for k, (x, y) in enumerate(truth[name].round(2).tolist())]
            assert edit(client, *dots, name=name).status_code == 200
        assert client.post("/api/training", json={"action": "start", "minutes": 0.5}).json()["state"] == "running"
        again = client.post("/api/training", json={"action": "start", "minutes": 0.5})
        assert again.status_code == 422
        wait(client, lambda told: told["rows"] or told["state"] != "running")
        client.post("/api/training", json={"action": "cancel"})
        wait(client, lambda told: told["state"] == "stopped")
        edit(client, {"op": "empty", "value": True}, name="cell05.png")  # annotating goes on
        client.post("/api/training", json={"action": "resume"})
        told = wait(client, lambda told: told["state"] != "running")
        assert told["state"] == "finished", told
        (run,) = told["finished"]
        assert run["model"] == ""
        assert (run["images"], run["held_out"]) == (4, 1) or (run["images"], run["held_out"]) == (3, 2)
        assert told["model"] == "run-001"
        found = client.get("/api/suggestions", params={"image": "cell05.png"}, timeout=120).json()
        assert found["run"] == "run-001"
        held = [image["name"] for image in client.get("/api/set").json()["images"] if image["held_out"]]
        assert len(held) == run["held_out"]
        assert told["beginnings"] == ["run-001", "cells", "trees"]
        for begin in ("run-001", ""):
            client.post("/api/training", json={"action": "start", "minutes": 0.3, "begin": begin})
            told = wait(client, lambda told: told["state"] != "running")
            assert told["state"] == "finished", told
            assert told["finished"][-1]["model"] == begin
        assert [run["held_out"] for run in told["finished"]] == [len(held)] * 3


def wait(client, until, seconds: float = 300.0):
    end = time.monotonic() + seconds
    while True:
        told = client.get("/api/training").json()
        if until(told):
            return told
        assert time.monotonic() < end, told
        time.sleep(0.3)
