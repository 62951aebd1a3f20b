import csv
import json
import resource
import signal

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from dotcount import config, data, inference
from dotcount.calibration import calibrate, fit_count_scale
from dotcount.data.loading import WholeImageDataset, whole_batch
from dotcount.errors import ConfigError, DataError, OutputError, UnknownNameError, UsageError
from dotcount.models import create, io
from dotcount.prediction import load
from dotcount.training import train
from dotcount.training.module import CountingModule
from dotcount.training.resolve import make_plan

from .conftest import draw_scenes
from .helpers import rows_without_times


def test_the_run_folder_holds_what_it_should(finished):
    assert {p.name for p in finished.run.iterdir()} == {
        *("config.yaml", "metrics.csv", "last.ckpt", "model", "report.html", "dotcount.json", ".dotcount-lock")
    }
    assert {p.name for p in (finished.run / "model").iterdir()} == {"model.safetensors", "config.json", "README.md"}
    with (finished.run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["epoch"], row["step"]) for row in rows] == [("1", "3"), ("2", "6"), ("3", "9")]
    assert all(float(row["val_mae"]) <= float(row["val_rmse"]) for row in rows)
    assert {"train_loss", "loss_transport", "grad_norm", "learning_rate", "seconds", "val_bias"} <= set(rows[0])


def test_the_recorded_configuration_is_resolved_and_repeats_the_run(finished, tmp_path):
    recorded = config.load(finished.run / "config.yaml")
    assert recorded.training.precision == "32"
    assert recorded.loss.options["length_scale"] == 32
    assert recorded.loss.options["epsilon"] == 0.01
    assert recorded.schedule.cooldown_epochs == 1
    train(recorded, tmp_path / "again")
    assert rows_without_times(tmp_path / "again") == rows_without_times(finished.run)


def test_another_seed_is_another_run(tiny, finished, tmp_path):
    train(tiny(training__seed=1), tmp_path / "run")
    assert rows_without_times(tmp_path / "run") != rows_without_times(finished.run)


def test_loader_processes_change_nothing(tiny, finished, tmp_path):
    train(tiny(training__workers=2), tmp_path / "run")
    assert rows_without_times(tmp_path / "run") == rows_without_times(finished.run)


def test_the_saved_model_has_the_metrics_of_the_best_epoch(finished):
    """An independent pass over the validation images with the saved weights gives the MAE in metrics.csv."""
    model, metadata = io.load(finished.run / "model")
    images = WholeImageDataset(data.open_collection(finished.config.data.path).split("val").records)
    counts, true = [], []
    with torch.inference_mode():
        for sample in images:
            batch = whole_batch(sample)
            counts.append(float(inference.counts(model(batch.images), model.stride, batch.image_sizes)))
            true.append(len(sample.points))
    errors, fitted = np.subtract(counts, true), fit_count_scale(counts, true)
    history = [row["val_mae"] for row in torch.load(finished.run / "last.ckpt", weights_only=True)["run"]["history"]]
    assert np.abs(errors).mean() == pytest.approx(finished.result.best["val_mae"], rel=1e-5)
    assert finished.result.best["val_mae"] in history
    assert metadata.count_scale == pytest.approx(fitted.scale, rel=1e-5)
    assert metadata.validation.trials[0].mae == pytest.approx(np.abs(fitted.held_out - true).mean(), rel=1e-5)
    assert metadata.validation.counting.n == 4


def kept_epoch(errors):
    """The last epoch that is within a standard error of the best before it, of errors averaged over three epochs."""
    smooth = [errors[max(0, e - 2) : e + 1].mean(axis=0) for e in range(len(errors))]
    best = kept = 0
    for e in range(1, len(smooth)):
        excess = smooth[e] - smooth[best]
        if excess.mean() < 0:
            best = kept = e
        elif excess.mean() <= excess.std(ddof=1) / len(excess) ** 0.5:
            kept = e
    return kept + 1


def test_errors_and_interval_are_of_counts_whose_epoch_was_chosen_without_their_image(tiny, tmp_path):
    """The plain loop over epochs and images; the validation counts of every epoch are in the checkpoint."""
    run = tmp_path / "run"
    restless = {"optimizer__learning_rate": 0.03, "training__ema_decay": 0.0}
    train(tiny(training__epochs=10, training__seed=1, **restless), run)
    metadata, state = io.load(run / "model")[1], torch.load(run / "last.ckpt", weights_only=True)["run"]
    records = data.open_collection(config.load(run / "config.yaml").data.path).split("val").records
    true = np.array([len(record.points) for record in records])
    errors = np.abs(np.array(list(state["counts"].values())) - true)
    assert errors.mean(axis=1) == pytest.approx([row["val_mae"] for row in state["history"]])
    best = state["best"]["epoch"]
    assert kept_epoch(errors) == best
    chosen = [kept_epoch(np.delete(errors, i, axis=1)) for i in range(len(true))]
    assert len({best, *chosen}) > 1, "with this seed no image decides about the epoch; take another one"
    shift = np.array([state["counts"][e][i] - state["counts"][best][i] for i, e in enumerate(chosen)])
    fitted = fit_count_scale(state["counts"][best], true)
    held_out = (fitted.held_out + fitted.scale * shift).clip(0)
    assert metadata.validation.counting.mae == pytest.approx(np.abs(held_out - true).mean(), rel=1e-4)
    assert metadata.interval == calibrate(held_out, true, level=0.9, confidence=0.8)
    assert metadata.validation.trials[0].mae == pytest.approx(np.abs(fitted.held_out - true).mean(), rel=1e-4)


def test_the_model_tells_what_a_prediction_needs(finished):
    metadata = json.loads((finished.run / "model" / "config.json").read_text())
    assert metadata["model"] == "compact"
    assert metadata["options"] == {"stride": 8, "width": 4, "output": "softplus", "output_scale": 0.1}
    assert 0 < metadata["peaks"]["threshold"] <= 1
    assert metadata["interval"]["n"] == 4
    assert metadata["input"]["resize"] == dict.fromkeys(("min_side", "max_side", "max_short_side", "magnify"))
    assert metadata["training"]["images"] == 10
    assert metadata["training"]["loss"]["options"]["length_scale"] == 32
    card = (finished.run / "model" / "README.md").read_text()
    parts = ("10 images", "4 validation images", "validation mae is not worse", "No count interval", "crops of 32 px")
    for part in parts:
        assert part in card


def test_a_model_is_held_against_the_mean_count(finished, tiny, tmp_path, heard, monkeypatch):
    """A model that counts far too many says so at the end of training and in its card."""
    collection = data.open_collection(config.load(finished.run / "config.yaml").data.path)
    counts = {split: [len(r.points) for r in collection.split(split).records] for split in ("train", "val")}
    validation = io.load(finished.run / "model")[1].validation
    expected = np.abs(np.array(counts["val"]) - np.mean(counts["train"])).mean()
    assert validation.baseline_mae == pytest.approx(expected)
    run = tmp_path / "full"
    update = CountingModule.on_train_batch_end

    def raise_and_update(module, *args):
        module.model.last_layer.bias.data.fill_(10.0)
        update(module, *args)

    monkeypatch.setattr(CountingModule, "on_train_batch_end", raise_and_update)
    train(tiny(training__epochs=1, training__steps_per_epoch=1, training__ema_decay=0.0), run, listener=heard)
    found = io.load(run / "model")[1].validation
    assert found.no_better_than_constant, "it counts an object a cell"
    assert heard.warnings[-1].startswith("No better than always answering the mean count")
    card = (run / "model" / "README.md").read_text()
    assert f"**{found.sentence}**" in card
    assert found.described() in card


def test_the_magnification_with_the_lowest_validation_error_is_that_of_predictions(tiny, tmp_path):
    """Of the sizes tried the best one, here not that of training, is on record and used."""
    tried = [0.5, 1.0, 2.0, 3.0]
    settings = {"training__try_magnify": tried, "data__magnify": 1.5, "training__crop": 48}
    run = tmp_path / "run"
    train(tiny(**settings), run)
    metadata = io.load(run / "model")[1]
    trials = metadata.validation.trials
    assert [one.magnify for one in trials] == [1.0, 0.5, 2.0, 3.0]
    best = min(trials, key=lambda one: one.mae)
    assert best.magnify != 1
    assert metadata.input.resize.magnify == pytest.approx(1.5 * best.magnify)
    assert f"{best.magnify:g}: {best.mae:.3g}" in (run / "model" / "README.md").read_text()
    validation = data.open_collection(config.load(run / "config.yaml").data.path).split("val").records
    counts = [load(run).predict(record.image).count / metadata.count_scale for record in validation]
    fitted = fit_count_scale(counts, [len(record.points) for record in validation])
    assert metadata.count_scale == best.count_scale == pytest.approx(fitted.scale, rel=1e-4)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_mirror_images_are_counted_where_validation_says_so(tiny, tmp_path, seed):
    run = tmp_path / "run"
    train(tiny(training__try_mirror=True, training__seed=seed, training__epochs=2), run)
    metadata = io.load(run / "model")[1]
    plain, mirrored = metadata.validation.trials
    assert (plain.mirror, mirrored.mirror) == (False, True)
    assert metadata.mirror == (mirrored.mae < plain.mae)
    best = mirrored if metadata.mirror else plain
    validation = data.open_collection(config.load(run / "config.yaml").data.path).split("val").records
    counts = [load(run).predict(record.image).count / metadata.count_scale for record in validation]
    fitted = fit_count_scale(counts, [len(record.points) for record in validation])
    assert metadata.count_scale == best.count_scale == pytest.approx(fitted.scale, rel=1e-4)
    assert "with mirror images" in (run / "model" / "README.md").read_text()


def test_the_way_to_points_is_recorded_and_its_threshold_chosen_for_it(tiny, finished, tmp_path):
    train(tiny("peaks.method=nms", "peaks.radius=2", training__epochs=1), tmp_path / "run")
    peaks = io.load(tmp_path / "run" / "model")[1].peaks
    assert (peaks.method, peaks.radius) == ("nms", 2)
    assert io.load(finished.run / "model")[1].peaks.method == "mass"


def test_the_test_split_is_never_read(tiny, tmp_path):
    root = tmp_path / "scenes"
    for name, n in (("train", 8), ("test", 3)):
        draw_scenes(root / name, n, 5)
    plan = make_plan(tiny(data__path=str(root)))
    assert {r.split for r in (*plan.train.records, *plan.validation.records)} == {"train"}
    assert len(plan.train) + len(plan.validation) == 8
    assert not {r.name for r in plan.train.records} & {r.name for r in plan.validation.records}


def test_the_hold_out_depends_on_its_own_seed_only(tiny, tmp_path):
    draw_scenes(tmp_path / "train", 10, 5)
    held = [
        {r.name for r in make_plan(tiny(*change, data__path=str(tmp_path / "train"))).validation.records}
        for change in ([], ["training.seed=5"], ["data.split_seed=5", "data.validation=0.4"])
    ]
    assert held[0] == held[1]
    assert (len(held[0]), len(held[2])) == (1, 4)


def test_fewer_training_images_are_drawn_and_a_hold_out_is_among_them(tiny, scenes):
    plan = make_plan(tiny("data.train_images=3"))
    assert (len(plan.train), len(plan.validation)) == (3, 4)
    plan = make_plan(tiny("data.train_images=5", "data.validation=0.2", data__path=str(scenes / "train")))
    assert (len(plan.train), len(plan.validation)) == (4, 1)


def test_crop_and_epoch_fit_the_data(tiny):
    training = make_plan(tiny(training__crop="unset", training__steps_per_epoch="unset")).config.training
    assert (training.crop, training.steps_per_epoch, training.epochs) == (64, 50, 3)


def test_the_untrained_network_starts_at_the_mean_density(tiny):
    from dotcount.training.state import RunState
    from dotcount.training.train import build_module

    plan = make_plan(tiny())
    module = build_module(plan, RunState())
    with torch.inference_mode():
        predicted = float(module.model(torch.rand(1, 3, 64, 80)).sum())
    assert predicted == pytest.approx(plan.n_dots / len(plan.train), rel=0.5)
    assert len(module.loss.cache.potentials) == plan.n_dots


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ("training.crop=65", DataError, r"crop is 65 px, .*\.png, has 80 x 64 px"),
        ("model.name=compacct", UnknownNameError, "Did you mean 'compact'"),
        ("loss.name=uott", UnknownNameError, "Did you mean 'uot'"),
        ("data.path=nowhere", DataError, "nowhere does not exist"),
        ("data.path=''", UsageError, "data.path is empty"),
        ("training.device=cuda", UsageError, "not available here"),
        ("training.device=abacus", UsageError, "choose auto, cpu, cuda or mps"),
        ("training.precision='16'", UsageError, "not available on a CPU"),
        ("training.validate_every=0", ConfigError, "validate_every"),
    ],
)
def test_a_request_that_does_not_fit_leaves_nothing_behind(tiny, tmp_path, change, error, message):
    if "cuda" in change and torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(error, match=message) as caught:
        train(tiny(change), tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_place_that_cannot_be_written_to(tiny, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"can't write to .*file/run: .*file is a file"):
        train(tiny(), tmp_path / "file" / "run")


def test_rare_validation_still_covers_the_last_epoch(tiny, tmp_path):
    result = train(tiny("training.validate_every=2"), tmp_path / "run")
    with (tmp_path / "run" / "metrics.csv").open(newline="") as file:
        validated = [bool(row["val_mae"]) for row in csv.DictReader(file)]
    assert validated == [False, True, True]
    assert result.best["epoch"] in (2, 3)


def test_a_validation_image_that_cannot_be_decoded_is_left_out(tiny, tmp_path, heard):
    """A JPEG that is cut short has a good header, so that only decoding tells."""
    for split in ("train", "val"):
        (tmp_path / split).mkdir()
        for i in range(3):
            noise = np.random.default_rng(i).integers(0, 255, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(noise).save(tmp_path / split / f"{i}.jpg")
            (tmp_path / split / f"{i}.csv").write_text("x,y\n20,30\n")
    image = tmp_path / "val" / "1.jpg"
    image.write_bytes(image.read_bytes()[:2000])
    train(tiny(data__path=str(tmp_path), training__epochs=2), tmp_path / "run", listener=heard)
    assert len([text for text in heard.warnings if "left out of validation" in text and "1.jpg" in text]) == 1
    _, metadata = io.load(tmp_path / "run" / "model")
    assert metadata.validation.counting.n == 2


def test_images_without_any_object_can_be_validated_on(tiny, tmp_path):
    for split, dots in (("train", "x,y\n20,30\n"), ("val", "x,y\n")):
        (tmp_path / split).mkdir()
        for i in range(2):
            Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / split / f"{i}.png")
            (tmp_path / split / f"{i}.csv").write_text(dots)
    result = train(tiny(data__path=str(tmp_path), training__epochs=1), tmp_path / "run")
    assert result.best["val_mae"] >= 0


def test_frozen_levels_are_not_trained_and_need_weights_worth_keeping(tiny, tmp_path):
    with pytest.raises(UsageError, match=r"keeps pretrained weights as they are; set model\.pretrained as well"):
        train(tiny(model__frozen_levels=1), tmp_path / "none")
    source = create("timm/resnet18", width=4, stride=8)
    save_file(source.state_dict(), tmp_path / "start.safetensors")
    frozen = tiny(
        model__name="timm/resnet18",
        model__pretrained=str(tmp_path / "start.safetensors"),
        model__frozen_levels=1,
        training__epochs=1,
        optimizer__weight_decay=0.5,
    )
    train(frozen, tmp_path / "run")
    trained = io.load(tmp_path / "run" / "model")[0].state_dict()
    changed = {name for name, value in source.state_dict().items() if not torch.equal(value, trained[name])}
    assert not any(name.startswith(("encoder.conv1", "encoder.bn1", "encoder.layer1")) for name in changed)
    assert {"encoder.layer3.0.conv1.weight", "laterals.0.weight"} <= changed


def test_pretrained_weights_keep_their_own_density(tiny, finished):
    from dotcount.training.state import RunState
    from dotcount.training.train import build_module

    saved, _ = io.load(finished.run / "model")
    module = build_module(make_plan(tiny(model__pretrained=str(finished.run / "model"))), RunState())
    assert torch.equal(module.model.last_layer.bias, saved.last_layer.bias)


def test_interrupting_is_left_to_the_caller_and_can_be_resumed(tiny, finished, tmp_path, monkeypatch):
    original = CountingModule.training_step

    def step(self, batch, batch_idx):
        if self.global_step == 4:
            signal.raise_signal(signal.SIGINT)
        return original(self, batch, batch_idx)

    # A shell without job control starts background commands with the signal ignored.
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with monkeypatch.context() as patched:
            patched.setattr(CountingModule, "training_step", step)
            with pytest.raises(KeyboardInterrupt):
                train(tiny(), tmp_path / "run")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, inherited)
    # Loader processes read ahead: from the right epoch also when they start in the middle of a run.
    train(tiny(training__workers=1), tmp_path / "run", resume=True)
    assert rows_without_times(tmp_path / "run") == rows_without_times(finished.run)


@pytest.mark.parametrize("loss", ["bayesian", "dm_count", "gaussian_l2", "generalized"])
def test_every_loss_trains(tiny, tmp_path, loss):
    result = train(tiny(loss__name=loss, training__epochs=1), tmp_path / "run")
    assert np.isfinite(result.best["train_loss"])


def test_a_full_disk_is_an_error_with_a_remedy(tiny, tmp_path):
    """A limit on the size of files stops the writing of the checkpoint as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(OutputError, match=r"can't write .*last\.ckpt: .*full.*resume the run") as caught:
            train(tiny(), tmp_path / "run")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run" / "last.ckpt").exists()


def test_a_listener_hears_of_everything(tiny, tmp_path, heard, capfd):
    result = train(tiny(training__epochs=2), tmp_path / "run", listener=heard)
    assert (heard.epochs, heard.steps, len(heard.plans)) == ([1, 2], 6, 1)
    assert heard.ended >= 1
    assert heard.plans[0].config == result.plan.config
    assert [row["epoch"] for row in result.history] == [1, 2]
    assert capfd.readouterr() == ("", ""), "the library writes to no terminal"


def test_images_that_look_the_same_from_all_sides_are_turned_unless_told_otherwise(tiny, tmp_path):
    draw_scenes(tmp_path / "train", 24, 5)
    plan = make_plan(tiny(data__path=str(tmp_path / "train")))
    assert (plan.config.augment.flip_vertical, plan.config.augment.rotate90) == (True, True)
    assert "crops are flipped and turned: 2" in plan.orientation
    asked = make_plan(tiny("augment.flip_vertical=false", "augment.rotate90=false", data__path=str(tmp_path / "train")))
    assert (asked.config.augment.flip_vertical, asked.config.augment.rotate90) == (False, False)
    assert asked.orientation == ""


def test_few_images_are_flipped_from_left_to_right_only_and_it_is_said(tiny):
    plan = make_plan(tiny())
    assert (plan.config.augment.flip_vertical, plan.config.augment.rotate90) == (False, False)
    assert "too few" in plan.orientation
    assert "augment.rotate90" in plan.orientation
