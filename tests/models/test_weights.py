"""Weights files: found, read without executing code, refused with one line."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dotcount.errors import ModelError
from dotcount.models import create
from dotcount.models.weights import find_weights, fit_state, read_state


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return create("compact", width=4).state_dict()


@pytest.mark.parametrize("wrap", [None, "state_dict", "model"])
def test_pickled_tensors_are_unwrapped(state: dict[str, torch.Tensor], tmp_path: Path, wrap: str | None) -> None:
    torch.save({wrap: state, "epoch": 3} if wrap else state, tmp_path / "weights.pth")
    read = read_state(tmp_path / "weights.pth")
    assert read.keys() == state.keys()
    assert all(torch.equal(read[name], state[name]) for name in state)


def test_a_folder_prefers_model_safetensors_and_refuses_a_choice(
    state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="has 0 "):
        find_weights(tmp_path)
    torch.save(state, tmp_path / "a.pth")
    assert find_weights(tmp_path).name == "a.pth"
    (tmp_path / "run" / "model").mkdir(parents=True)
    (tmp_path / "run" / "model" / "model.safetensors").touch()
    (tmp_path / "run" / "last.ckpt").touch()
    assert find_weights(tmp_path / "run") == tmp_path / "run" / "model" / "model.safetensors"
    torch.save(state, tmp_path / "b.pt")
    with pytest.raises(ModelError, match=r"has 2 \(a.pth, b.pt\)"):
        find_weights(tmp_path)
    save_file(state, tmp_path / "model.safetensors")
    assert find_weights(tmp_path).name == "model.safetensors"


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("executed",)


def test_code_in_a_file_is_not_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Evil()}, tmp_path / "evil.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Evil(), protocol=2))
    for name in ("evil.pth", "plain.pth"):
        with pytest.raises(ModelError, match="not a readable weights file") as caught:
            read_state(tmp_path / name)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("name", ["x.safetensors", "x.pth"])
@pytest.mark.parametrize("content", [b"", b"not weights at all", b"PK\x03\x04 torn"])
def test_broken_files_are_named_on_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=name) as caught:
        read_state(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_files_without_tensors_and_missing_files_are_named(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "log.pt")
    torch.save([torch.zeros(2)], tmp_path / "list.pt")
    with pytest.raises(ModelError, match=r"log.pt: holds no tensors"):
        read_state(tmp_path / "log.pt")
    with pytest.raises(ModelError, match=r"list.pt: .*holds a list"):
        read_state(tmp_path / "list.pt")
    with pytest.raises(ModelError, match="no such weights file"):
        create("compact", pretrained=tmp_path / "nowhere.pth")


def test_fit_names_the_first_tensor_that_is_wrong(state: dict[str, torch.Tensor]) -> None:
    model = create("compact", width=4)
    with pytest.raises(ModelError, match=r"FILE: does not fit Compact: it lacks 'stem.bias' \(1 missing, 0 unknown"):
        fit_state(model, {n: v for n, v in state.items() if n != "stem.bias"}, "FILE")
    with pytest.raises(ModelError, match="unknown tensor 'extra'"):
        fit_state(model, {**state, "extra": torch.zeros(1)}, "FILE")
    with pytest.raises(ModelError, match=r"'stem.weight' has shape .* where Compact has \(2, 3, 5, 5\)"):
        fit_state(model, {**state, "stem.weight": torch.zeros(7, 3, 5, 5)}, "FILE")


def test_a_model_without_published_weights_says_so() -> None:
    with pytest.raises(ModelError, match="'compact' has no published weights"):
        create("compact", pretrained=True)


def test_a_hub_name_loads_from_the_local_cache(
    state: dict[str, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)
    repository = tmp_path / "models--someone--cells"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    save_file(state, snapshot / "model.safetensors")
    model = create("compact", pretrained="hf-hub:someone/cells", width=4)
    assert torch.equal(model.stem.weight, state["stem.weight"])
    with pytest.raises(ModelError, match=r"hf-hub:someone/else can't be had .*local file"):
        create("compact", pretrained="hf-hub:someone/else", width=4)
    with pytest.raises(ModelError, match="hf-hub:"):
        create("compact", pretrained="hf-hub:a/b/c", width=4)
