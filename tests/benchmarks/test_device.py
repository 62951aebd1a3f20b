"""The scripts for a device run from end to end on a CPU, in a tiny form, by the same code."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import dotcount
from benchmarks.device import correctness, pack, score, train
from benchmarks.device.__main__ import faults, main
from benchmarks.device.record import Record
from benchmarks.device.speed import relative_gap
from benchmarks.transport.measure import judge
from dotcount.data.synthetic import write_dataset

CPU = torch.device("cpu")


def test_the_tiny_run_finds_no_fault_and_is_not_repeated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "device.json"
    assert main(["--device", "cpu", "--tiny", "--out", str(out)]) == 0
    content = json.loads(out.read_text())
    assert set(content["losses"]) == set(dotcount.losses.LOSSES)
    assert all(item["gradient"] <= 1e-4 for item in content["losses"].values())
    assert content["certificates"]["all"]["violated"] == 0
    (solved,) = content["solver"].values()
    assert solved["dense_gap"] <= solved["gap"] <= 1e-4
    (step,) = content["steps"].values()
    assert step["float32_loss"] > 0
    capsys.readouterr()
    assert main(["--device", "cpu", "--tiny", "--out", str(out)]) == 0
    assert capsys.readouterr().out.strip() == ""  # nothing was measured again
    assert json.loads(out.read_text()) == content


def test_a_record_goes_on_after_an_error_and_stops_when_time_is_up(tmp_path: Path) -> None:
    def broken() -> object:
        raise ValueError("too large")

    record = Record(tmp_path / "r.json", CPU, tiny=True, minutes=1)
    assert record.item("losses", "a", broken) == {"error": "ValueError: too large"}
    assert faults(record.content) == ["losses, a: ValueError: too large"]
    again = Record(tmp_path / "r.json", CPU, tiny=True, minutes=1)
    assert again.item("losses", "a", lambda: {"gradient": 1e-5}) == {"gradient": 1e-5}
    late = Record(tmp_path / "r.json", CPU, tiny=True, minutes=-1)
    assert late.item("losses", "b", broken) is None
    assert late.content["left_out"] == ["losses: b"]
    other = Record(tmp_path / "r.json", CPU, tiny=False, minutes=1)
    assert other.content.get("losses") is None  # figures of other sizes are not gone on with


@pytest.mark.parametrize(
    ("section", "item", "words"),
    [
        ("losses", {"gradient": 2e-4}, "off by 0.0002"),
        ("certificates", {"violated": 1.0, "unconverged": 0.0}, "1 violated"),
        ("networks", {"float32": 1e-2, "channels_last": 0.0}, "off by 0.01"),
        ("tests", {"exit_code": 1, "summary": "1 failed"}, "1 failed"),
    ],
)
def test_what_is_wrong_is_told(section: str, item: dict[str, object], words: str) -> None:
    assert words in faults({section: {"x": item}})[0]


def test_the_gap_of_a_batch_is_that_of_its_images() -> None:
    generator = torch.Generator().manual_seed(0)
    mass = torch.rand(2, 30, generator=generator, dtype=torch.float64)
    cost = torch.rand(2, 30, 4, generator=generator, dtype=torch.float64)
    beta = torch.rand(2, 4, generator=generator, dtype=torch.float64)
    expected = []
    for u, c, b in zip(mass, cost, beta):
        value, gap, _ = judge(u, c, 0.05, b)
        expected.append(gap / max(1.0, abs(value)))
    np.testing.assert_allclose(relative_gap(mass, cost, 0.05, beta), expected, rtol=1e-9)


def test_packing_training_and_scoring_bring_back_models_that_count(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "cells", train=3, val=0, test=2, size=96, seed=1)
    packed, out, record = tmp_path / "cells.zip", tmp_path / "out", tmp_path / "record.json"
    pack.main([str(data), "--out", str(packed), "--megabytes", "1", "--model", "compact"])
    small = ["--device", "cpu", "--batch", "2", "--crop", "64", "--model", "compact", "--width", "4", "--steps", "2"]
    train.main([str(packed), "--out", str(out), *small])
    score.main([str(out), str(data), "--record", str(record)])
    content = json.loads(record.read_text())
    assert set(content["contestants"]) == set(train.CONTESTANTS)
    assert content["plan"]["gigapixels_each"] == round(2 * 2 * 64**2 / 1e9, 3)
    for name, result in content["contestants"].items():
        assert result["metrics"]["images"] == 2
        assert result["log"][-1]["step"] == 2
        assert dotcount.load(out / name, device="cpu").metadata.training.loss.name == train.CONTESTANTS[name][0]
    before = (out / "l2" / "config.json").stat().st_mtime_ns
    train.main([str(packed), "--out", str(out), *small])
    assert (out / "l2" / "config.json").stat().st_mtime_ns == before


def test_crops_keep_dots_on_what_they_mark(tmp_path: Path) -> None:
    """A bright square under each dot is there in every crop, scaled, mirrored or not."""
    pixels = torch.zeros(3, 120, 160, dtype=torch.uint8)
    xy = torch.tensor([[40.5, 30.5], [100.5, 80.5], [140.5, 20.5]])
    for x, y in xy.long().tolist():
        pixels[:, y - 3 : y + 4, x - 3 : x + 4] = 255
    images = train.Images([pixels], [xy], {}, None)
    seen, generator = 0, np.random.default_rng(0)
    for _ in range(30):
        cut, dots = train.crops(images, 1, 64, generator)
        for x, y in dots[0].long().tolist():
            assert cut[0, 0, min(y, 63), min(x, 63)] > 0.75
            seen += 1
    assert seen > 10


GPU = torch.device("cuda")
on_gpu = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")]
gpu_only = [pytest.param(GPU, marks=on_gpu, id="gpu")]
everywhere = [pytest.param(CPU, id="cpu"), *gpu_only]


@pytest.mark.parametrize("device", gpu_only)
@pytest.mark.parametrize("name", list(dotcount.losses.LOSSES))
def test_gradients_of_a_loss_are_those_of_the_cpu(name: str, device: torch.device) -> None:
    assert correctness.loss(name, device, 32, (40, 0, 3))["gradient"] <= 1e-4


@pytest.mark.parametrize("device", gpu_only)
@pytest.mark.parametrize("side", [32, 96])
def test_certificates_hold(device: torch.device, side: int) -> None:
    found = correctness.certificate(device, side, (40, 0, 3, 300) * 4)
    assert found["violated"] == found["unconverged"] == 0


@pytest.mark.parametrize("device", gpu_only)
def test_a_compiled_step_and_channels_last_change_nothing(device: torch.device) -> None:
    assert correctness.compiled_step(device, 64)["gradient"] <= 1e-3
    assert correctness.network("compact", device, 128)["channels_last"] <= 1e-3


@pytest.mark.parametrize("device", everywhere)
def test_a_step_in_mixed_precision_has_nearly_the_gradient_of_float32(device: torch.device) -> None:
    found = correctness.mixed_step(device, 64)
    assert found["value"] <= 2e-2
    assert found["gradient"] <= 5e-2
    assert found["float32"] == 1.0  # the loss works in float32 also within autocast


@pytest.mark.parametrize("device", everywhere)
def test_images_stay_on_the_device_and_crops_are_cut_there(device: torch.device, tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "cells", train=3, val=0, test=1, size=96, seed=1)
    pack.main([str(data), "--out", str(tmp_path / "cells.zip"), "--megabytes", "1", "--model", "compact"])
    here, there = (train.read(tmp_path / "cells.zip", one) for one in (CPU, device))
    assert all(one.device.type == device.type and one.dtype == torch.uint8 for one in there.pixels)
    expected, dots = train.crops(here, 4, 64, np.random.default_rng(3))
    found, moved = train.crops(there, 4, 64, np.random.default_rng(3))
    assert found.device.type == device.type
    torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=1e-5)
    for one, other in zip(moved, dots, strict=True):
        torch.testing.assert_close(one.cpu(), other)
