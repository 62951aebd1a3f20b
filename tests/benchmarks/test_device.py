"""The scripts for a device run from end to end on a CPU, in a tiny form, by the same code."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import dotcount
from benchmarks.device import correctness, pack, score, train
from benchmarks.device import images as device_images
from benchmarks.device.__main__ import ROOT, faults, main
from benchmarks.device.images import Crops, Images
from benchmarks.device.record import Record
from benchmarks.device.speed import relative_gap
from benchmarks.transport.measure import judge
from dotcount import config as configuration
from dotcount.clipping import QuantileClip
from dotcount.data.resizing import resize_pixels
from dotcount.data.synthetic import write_dataset
from dotcount.training.resolve import choose_images

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


TINY = ["--device", "cpu", "--batch", "2", "--crop", "64", "--model", "compact", "--width", "4", "--min-side", "0"]


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a data set and what was packed of it."""
    folder = tmp_path_factory.mktemp("packed")
    data = write_dataset(folder / "cells", train=6, val=0, test=2, size=96, seed=1)
    pack.main([str(data), "--out", str(folder / "cells.zip"), "--megabytes", "1", "--model", "compact"])
    return data, folder / "cells.zip"


def trained(out: Path) -> dict[str, Any]:
    return json.loads((out / "train.json").read_text())


def test_training_and_scoring_bring_back_models_that_count(cells: tuple[Path, Path], tmp_path: Path) -> None:
    data, packed = cells
    out, record = tmp_path / "out", tmp_path / "record.json"
    train.main([str(packed), "--out", str(out), *TINY, "--min-side", "108", "--steps", "3"])
    score.main([str(out), str(data), "--record", str(record)])
    content = json.loads(record.read_text())
    assert set(content["contestants"]) == set(train.CONTESTANTS)
    assert content["plan"]["gigapixels_each"] == round(3 * 2 * 64**2 / 1e9, 3)
    for name, result in content["contestants"].items():
        assert result["metrics"]["images"] == 2
        assert result["log"][-1]["step"] == result["steps"] == 3
        assert result["magnified"]["magnify"] == min(result["trials"], key=lambda one: one["mae"])["magnify"]
        metadata = dotcount.load(out / "models" / name, device="cpu").metadata
        assert metadata.training.loss.name == train.CONTESTANTS[name][0]
        assert metadata.input.resize.min_side == 108
    assert content["contestants"]["uot_paper"]["log"][-1]["n_evaluations"] > 0  # terms of the loss are there, too
    assert content["contestants"]["l2"]["options"] == {"sigma": 9.0}  # 8 px of the file, which is enlarged
    before = (out / "l2.pt").stat().st_mtime_ns
    train.main([str(packed), "--out", str(out), *TINY, "--steps", "3"])
    assert (out / "l2.pt").stat().st_mtime_ns == before  # finished ones are kept


def test_training_there_needs_none_of_what_checks_settings() -> None:
    """Machines with a GPU often have torch and timm, and no network to install more."""
    blocked = "import sys; sys.modules.update(dict.fromkeys(['pydantic', 'annotated_types', 'lightning', 'roifile']));"
    code = f"{blocked} from dotcount import models; from benchmarks.device import train; models.create('compact')"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_the_images_of_the_recipe_are_held_out(cells: tuple[Path, Path]) -> None:
    data, packed = cells
    images = train.read(packed, CPU)
    config = configuration.load(data__path=str(data), data__validation=pack.HELD_OUT)
    _, validation = choose_images(dotcount.open_collection(data), config)
    assert images.about["held_out"] == [record.name for record in validation.records]
    assert set(images.held_out) == set(range(6)) - set(images.train)
    drawn = np.concatenate([crops.draw()[0][:, 0] for crops in [Crops(images, 5, 32, 0)] for _ in range(4)])
    assert set(drawn) == set(images.train)
    assert sorted(drawn[:5]) == sorted(images.train)  # each once before any comes again


def test_what_was_cut_off_is_kept_scored_and_trained_anew(
    cells: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, packed = cells
    words = [str(packed), "--out", str(tmp_path / "out"), *TINY, "--steps", "40", "--only", "l2,bayesian"]
    whole, taken = train.Trainer.step, []

    def step(*arguments: Any) -> None:
        taken.append(1)
        if len(taken) == 15:
            raise SystemExit(143)  # what the signal that ends a process does
        whole(*arguments)

    monkeypatch.setattr(train.Trainer, "step", step)
    with pytest.raises(SystemExit):
        train.main(words)
    cut = trained(tmp_path / "out")["contestants"]
    assert list(cut) == ["l2"]
    assert not cut["l2"]["finished"]
    assert cut["l2"]["selected"]["step"] <= 14
    score.main([str(tmp_path / "out"), str(data), "--record", str(tmp_path / "record.json")])
    result = json.loads((tmp_path / "record.json").read_text())["contestants"]["l2"]
    assert len(result["trials"]) == len(train.MAGNIFY)  # measured here, on the same images
    monkeypatch.setattr(train.Trainer, "step", whole)
    train.main(words)
    assert all(one["finished"] for one in trained(tmp_path / "out")["contestants"].values())
    assert (tmp_path / "out" / "l2.earlier.pt").is_file()


def test_a_failed_contestant_does_not_stop_the_others(
    cells: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(train.CONTESTANTS, "l2", ("gaussian_l2", {"sigma": -1.0}, 1e-4))
    train.main([str(cells[1]), "--out", str(tmp_path), *TINY, "--steps", "2", "--only", "bayesian,l2"])
    found = trained(tmp_path)["contestants"]
    assert found["bayesian"]["finished"]
    assert "sigma > 0" in found["l2"]["error"]


def test_only_known_contestants_are_trained(cells: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no such contestant: uto"):
        train.main([str(cells[1]), "--out", str(tmp_path), *TINY, "--only", "uto"])
    with pytest.raises(SystemExit, match="no such contestant: uto"):
        train.main([str(cells[1]), "--out", str(tmp_path), *TINY, "--rates", "uto=1e-3"])


def test_a_time_that_is_too_short_still_cools_down(cells: tuple[Path, Path], tmp_path: Path) -> None:
    """The steps are far more than fit: time decides, and the rate goes down to zero before it is up."""
    asked: list[float] = []
    original = train.Trainer.step

    def step(self: train.Trainer, *arguments: Any) -> None:
        asked.append(arguments[-1])
        original(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train.Trainer, "step", step)
        words = [str(cells[1]), "--out", str(tmp_path), *TINY, "--only", "l2", "--rates", "l2=1e-3"]
        train.main([*words, "--steps", "1000000", "--minutes", "0.04"])
    found = trained(tmp_path)["contestants"]["l2"]
    assert found["cooled_down_by"] == found["ended_by"] == "time"
    assert found["learning_rate"] == 1e-3
    assert asked[-1] < 0.2  # the last step but one looked at the clock
    assert len(found["validations"]) == 1  # at the end, whenever that is
    assert set(torch.load(tmp_path / "l2.pt", weights_only=True)) == {"best", "last"}


def test_the_plan_fits_the_time(cells: tuple[Path, Path], tmp_path: Path) -> None:
    train.main([str(cells[1]), "--out", str(tmp_path), *TINY, "--only", "l2,uot_calibrated", "--minutes", "0.12"])
    content = trained(tmp_path)
    assert set(content["plan"]["step_seconds"]) == {"l2", "uot_calibrated"}
    for one in content["contestants"].values():
        assert one["ended_by"] in ("steps", "time")
        assert one["seconds"] <= 7.2


@pytest.mark.parametrize(("step", "progress", "expected"), [(0, 0.0, 0.01), (500, 0.5, 1.0), (900, 0.85, 0.5)])
def test_the_rate_climbs_stays_and_falls(step: int, progress: float, expected: float) -> None:
    assert train.factor(step, 1000, progress) == pytest.approx(expected)


def test_the_weights_with_the_lowest_error_are_kept(tmp_path: Path) -> None:
    keeper = train.Keeper(tmp_path / "a.pt")
    kept = [keeper.offer(error, torch.nn.Linear(1, 1)) for error in (float("nan"), 5.0, 6.0, 4.0, float("nan"))]
    assert kept == [True, True, False, True, False]
    assert torch.load(tmp_path / "a.pt", weights_only=True)["best"]["weight"] == keeper.best["weight"]


def test_the_selected_step_is_the_one_with_the_lowest_error(
    cells: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = iter([9.0, 9.0, 7.0, 3.0, 5.0, 6.0, *[8.0] * 10])
    monkeypatch.setattr(train, "count_held_out", lambda *_, **__: {"mae": next(errors), "rmse": 1.0, "bias": 0.0})
    train.main([str(cells[1]), "--out", str(tmp_path), *TINY, "--only", "l2", "--steps", "4"])
    found = trained(tmp_path)["contestants"]["l2"]
    assert [one["mae"] for one in found["validations"]] == [7.0, 3.0, 5.0, 6.0]
    assert found["selected"]["step"] == 2


def test_a_large_gradient_is_clipped_at_the_quantile_of_those_before(cells: tuple[Path, Path]) -> None:
    plan = {"seed": 0, "model": "compact", "options": {"width": 4}, "frozen_levels": 0, "precision": "bf16"}
    plan |= {"compile": False, "graphs": False, "batch": 2, "crop": 32, "rates": {}}
    images = train.read(cells[1], CPU)
    trainer, crops = train.Trainer("l2", plan, images), iter(Crops(images, 2, 32, 0))
    for _ in range(QuantileClip.FIRST):
        trainer.clip.add(torch.tensor(1e-9))
    trainer.step(*next(crops), 1.0)
    norm = torch.nn.utils.get_total_norm([p.grad for p in trainer.weights])
    assert norm <= 1.1e-9
    assert trainer.clip.recent[-1] > 1e-6  # the norm before is what is remembered
    assert trainer.means(1)["clipped"] == 1.0


def squares(dots: list[tuple[float, float]], height: int = 120, width: int = 160) -> Images:
    """Return one image with a bright square under each dot."""
    pixels = torch.zeros(1, 3, height, width, dtype=torch.uint8)
    for x, y in dots:
        pixels[:, :, int(y) - 3 : int(y) + 4, int(x) - 3 : int(x) + 4] = 255
    one, xy = np.array([0]), np.array(dots)
    return Images(pixels, np.array([[height, width]]), [xy], [np.arange(len(xy))], one, one, {}, None)


@pytest.mark.parametrize("size", [48, 96])
def test_crops_keep_dots_on_what_they_mark(size: int) -> None:
    """A bright square under each dot is there in every crop, scaled up or down, mirrored or not."""
    images = squares([(40.5, 30.5), (100.5, 80.5), (140.5, 20.5)])
    seen, crops = 0, iter(Crops(images, 1, size, 0))
    for _ in range(40):
        cut, dots, ids = next(crops)
        assert len(dots[0]) == len(ids[0])
        for x, y in dots[0].long().tolist():
            assert cut[0, 0, y, x] > 0.5 > cut.mean()
            seen += 1
    assert seen > 10


def test_crops_are_scaled_as_pictures_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enlarging a whole image in a crop gives what the resize rule and Pillow give."""
    for name in ("SCALE_CHANCE", "CROWDED", "BRIGHTNESS", "CONTRAST", "GREY"):
        monkeypatch.setattr(device_images, name, 0.0)
    generator = np.random.default_rng(0)
    smooth = resize_pixels(generator.integers(0, 255, (6, 6, 3), dtype=np.uint8), 48, 48)
    pixels = torch.from_numpy(smooth.copy()).permute(2, 0, 1)[None]
    one = np.array([0])
    images = Images(pixels, np.array([[48, 48]]), [np.zeros((0, 2))], [one[:0]], one, one, {}, None, min_side=72)
    expected = torch.from_numpy(resize_pixels(smooth, 72, 72).copy()).permute(2, 0, 1)[None] / 255
    cuts = [next(crops)[0] for crops in [iter(Crops(images, 1, 72, 0))] for _ in range(6)]
    for cut in cuts:
        nearest = min((cut - expected).abs().max(), (cut.flip(-1) - expected).abs().max())
        assert nearest < 0.02


GPU = torch.device("cuda")
on_gpu = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")]
gpu_only = [pytest.param(GPU, marks=on_gpu, id="gpu")]
everywhere = [pytest.param(CPU, id="cpu"), *gpu_only]


@pytest.mark.parametrize("device", gpu_only)
@pytest.mark.parametrize("name", list(dotcount.losses.LOSSES))
def test_gradients_of_a_loss_are_those_of_the_cpu(name: str, device: torch.device) -> None:
    assert correctness.loss(name, device, 32, (40, 0, 3))["gradient"] <= 1e-4


@pytest.mark.parametrize("off", [-1.0, 1.0])
def test_values_on_either_side_of_their_bounds_are_found(monkeypatch: pytest.MonkeyPatch, off: float) -> None:
    solve = correctness.solve_batch
    assert correctness.certificate(CPU, 8, (3, 2))["violated"] == 0

    def wrong(density: torch.Tensor, points: list[torch.Tensor], **options: Any) -> list[Any]:
        shift = off if density.dtype == torch.float32 else 0.0
        return [replace(one, value=one.value + shift) for one in solve(density, points, **options)]

    monkeypatch.setattr(correctness, "solve_batch", wrong)
    assert correctness.certificate(CPU, 8, (3, 2))["violated"] == 2


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
def test_images_stay_on_the_device_and_crops_are_cut_there(device: torch.device, cells: tuple[Path, Path]) -> None:
    here, there = (train.read(cells[1], one) for one in (CPU, device))
    assert there.pixels.device.type == device.type
    assert there.pixels.dtype == torch.uint8
    expected, dots, ids = next(iter(Crops(here, 4, 64, 3)))
    found, moved, others = next(iter(Crops(there, 4, 64, 3)))
    assert found.device.type == device.type
    torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=1e-5)
    for one, other in zip([*moved, *others], [*dots, *ids], strict=True):
        torch.testing.assert_close(one.cpu(), other)


@pytest.mark.parametrize("device", gpu_only)
@pytest.mark.parametrize("more", [[], ["--graphs"]])
def test_training_works_on_the_device(
    device: torch.device, more: list[str], cells: tuple[Path, Path], tmp_path: Path
) -> None:
    words = [str(cells[1]), "--out", str(tmp_path), *TINY, "--device", device.type, "--steps", "30", *more]
    train.main(words)
    assert all(one["finished"] for one in trained(tmp_path)["contestants"].values())
