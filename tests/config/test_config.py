import dataclasses
import os
import subprocess
import sys

import pytest

from dotcount import config
from dotcount.errors import ConfigError


def test_defaults_survive_a_round_trip(tmp_path):
    original = config.load()
    config.save_yaml(original, tmp_path / "config.yaml")
    assert config.load(tmp_path / "config.yaml") == original
    assert [p.name for p in tmp_path.iterdir()] == ["config.yaml"]


def test_later_sources_win(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("training: {seed: 1, batch_size: 2, crop: 64}\nloss: {options: {epsilon: 0.1, rho: 2}}\n")
    built = config.load(file, ["training.batch_size=3", "loss.options.epsilon=0.005"], training__crop=32)
    assert (built.training.seed, built.training.batch_size, built.training.crop) == (1, 3, 32)
    assert built.loss.options == {"epsilon": 0.005, "rho": 2}


def test_absent_keyword_leaves_the_file_alone(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("training: {seed: 7}\n")
    assert config.load(file, training__seed=None).training.seed == 7


def test_values_take_their_types():
    built = config.load(
        overrides=["optimizer.learning_rate=3e-4", "optimizer.betas=[0.9, 0.99]", "augment.scale=[0.8, 1.2]"]
    )
    assert built.optimizer.learning_rate == 3e-4
    assert built.optimizer.betas == (0.9, 0.99)
    assert built.augment.scale == (0.8, 1.2)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainin.seed=1", r"config key 'trainin' does not exist\. Did you mean 'training'\?"),
        ("training.sead=1", r"config key 'training.sead' does not exist\. Did you mean 'seed'\?"),
        ("training.seed=foo", r"config key 'training.seed' is 'foo'; it must be a whole number$"),
        ("training.seed=true", r"config key 'training.seed' is True; it must be a whole number$"),
        ("training.seed=1.5", r"config key 'training.seed' is 1.5; it must be a whole number$"),
        ("training.try_mirror=yes", r"config key 'training.try_mirror' is 'yes'; it must be true or false"),
        ("schedule.name=cosin", r"'schedule.name' is 'cosin'; it must be .*'cosine'"),
        ("training.crop=-1", r"'training.crop' is -1; it must be greater than or equal to 1"),
        ("training.ema_decay=1", r"'training.ema_decay' is 1; it must be less than 1"),
        ("data.validation=0", r"'data.validation' is 0; it must be greater than 0"),
        ("optimizer.learning_rate=0", r"'optimizer.learning_rate' is 0; it must be greater than 0"),
        ("optimizer.learning_rate=fast", r"'optimizer.learning_rate' is 'fast'; it must be a number"),
        ("schedule.cooldown=1.5", r"'schedule.cooldown' is 1.5; it must be less than or equal to 1"),
        ("training.batch_size=0", r"'training.batch_size' is 0"),
        ("training.calibrate=often", r"'training.calibrate' is 'often'; it must be true or false or 'always'"),
        ("peaks.method=nsm", r"'peaks.method' is 'nsm'; it must be 'mass', 'nms' or 'count'"),
        ("peaks.radius=0", r"'peaks.radius' is 0; it must be greater than or equal to 1"),
        ("training.seed=-1", r"'training.seed' is -1; it must be greater than or equal to 0"),
        ("training.max_minutes=.inf", r"'training.max_minutes' is inf; it must be a finite number"),
        ("loss.name=7", r"'loss.name' is 7; it must be a valid string"),
        ("optimizer.betas=[0.9, 1.0]", r"'optimizer.betas.1' is 1.0; it must be less than 1"),
        ("optimizer.betas=[0.9]", r"'optimizer.betas"),
        ("augment.scale=[1.4, 0.7]", r"'augment.scale' is \[1.4, 0.7\]; it must be two numbers, the lower first"),
        ("augment.scale_chance=2", r"'augment.scale_chance' is 2; it must be less than or equal to 1"),
        ("data.magnify=0", r"'data.magnify' is 0; it must be greater than or equal to 0.0625"),
        ("training.try_magnify=[1.5, -1]", r"'training.try_magnify.1' is -1; it must be greater than"),
        ("schedule.cooldown_epochs=-1", r"'schedule.cooldown_epochs' is -1; it must be greater than or equal to 0"),
        ("loss=uot", r"config key 'loss' must hold keys and values; got 'uot'"),
        ("loss.name.x=1", r"'loss.name'"),
        ("training.seed", r"not of the form key=value"),
        ("training.seed=[1", r"not valid YAML"),
    ],
)
def test_errors_are_one_clear_line(override, message):
    with pytest.raises(ConfigError, match=message) as caught:
        config.load(overrides=[override])
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_epochs_and_minutes_exclude_each_other():
    with pytest.raises(ConfigError, match=r"absent when training.epochs is given"):
        config.load(training__epochs=3, training__max_minutes=1.0)


@pytest.mark.parametrize(
    ("text", "message"), [("- 1\n", "must hold keys and values"), ("a: [\n", "not valid YAML at line")]
)
def test_bad_files_are_named(tmp_path, text, message):
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        config.load(file)
    assert str(file) in str(caught.value)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: No such file"):
        config.load(tmp_path / "nowhere.yaml")


def test_frame_imports_no_torch():
    code = "import sys, dotcount.config, dotcount.density; sys.exit(bool({'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_file_extends_another(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "base.yaml").write_text("training: {seed: 1, crop: 64}\nloss: {options: {epsilon: 0.1}}\n")
    (tmp_path / "inner" / "c.yaml").write_text(
        "extends: ../base.yaml\ntraining: {seed: 2}\nloss: {options: {rho: 2}}\n"
    )
    built = config.load(tmp_path / "inner" / "c.yaml")
    assert (built.training.seed, built.training.crop) == (2, 64)
    assert built.loss.options == {"epsilon": 0.1, "rho": 2}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extends: c.yaml\n", r"c\.yaml extends c\.yaml, which extends it in turn"),
        ("extends: other.yaml\n", r"other\.yaml: No such file"),
        ("extends: [a, b]\n", r"extends must name one file"),
    ],
)
def test_what_cannot_be_extended_is_one_clear_line(tmp_path, text, message):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        config.load(tmp_path / "c.yaml")
    assert "\n" not in str(caught.value)


HOSTILE = {
    "alias bomb": "a: &a [1, 1]\nb: &b [*a, *a]\nloss: {options: {x: *b}}\n",
    "endless epochs": "training: {epochs: 1000000000}\n",
    "a hundred thousand workers": "training: {workers: 100000}\n",
    "not a number": "optimizer: {learning_rate: .nan}\n",
    "infinite": "augment: {scale: [1, .inf]}\n",
    "thousands of digits": f"training: {{seed: {'9' * 5000}}}\n",
    "hundreds of digits": f"training: {{seed: {'9' * 500}}}\n",
    "large exponent": "optimizer: {learning_rate: 1e999}\n",
    "deep nesting": f"loss: {{options: {{x: {'[' * 5000}{']' * 5000}}}}}\n",
    "a list for a section": "training: [1, 2]\n",
    "a key of another kind": "1: {seed: 0}\n",
    "a key inside of another kind": "training: {1: 0}\n",
    "an unhashable key": "? [1, 2]\n: 3\n",
    "a key twice": "training: {seed: 1, seed: 2}\n",
    "a python object": "training: !!python/object/apply:os.system [true]\n",
    "a date": "training: {seed: 2020-02-30}\n",
    "bytes": "training: !!binary aGVsbG8=\n",
    "two documents": "training: {seed: 1}\n---\ntraining: {seed: 2}\n",
    "control characters": "training: {seed: \x01}\n",
    "a megabyte": "#" * 1_000_001,
    "another control character": 'data: {path: "a\\0b"}\n' * 2,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_files_are_refused_in_one_short_line(tmp_path, text):
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        config.load(file)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(file))


def test_only_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "c.yaml")
    with pytest.raises(ConfigError, match=r"c\.yaml: it is .*not a regular file"):
        config.load(tmp_path / "c.yaml")


@pytest.mark.parametrize("name", ["2020", "1e3", "no", "1:30", "007", "null", "~", "a: b", "2020-01-01", "été", "0x1F"])
def test_names_come_back_as_they_were(tmp_path, name):
    config.save_yaml(config.load(data__path=name, data__classes=[name]), tmp_path / "config.yaml")
    data = config.load(tmp_path / "config.yaml").data
    assert (data.path, data.classes) == (name, [name])


def test_values_given_in_python_are_checked_alike():
    with pytest.raises(ConfigError, match=r"'batch_size' is 0; it must be greater than or equal to 1"):
        config.TrainingConfig(batch_size=0)
    with pytest.raises(ConfigError, match=r"'learning_rate' is -1.0; it must be greater than 0"):
        dataclasses.replace(config.OptimizerConfig(), learning_rate=-1.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.TrainingConfig().seed = 3


OLDER = """\
data: {path: cells, format: auto, classes: null, train_split: train, validation_split: val, validation: 0.1,
  split_seed: 0, train_images: null, min_side: null, max_side: null, max_short_side: null, magnify: null}
loss: {name: uot, options: {cost: l2, penalty: kl, epsilon: 0.01, rho: [1.0, 10.0], length_scale: 128.0}}
model: {name: compact, pretrained: false, options: {width: 24, stride: 4}}
optimizer: {name: adamw, learning_rate: 1.0e-05, weight_decay: 0.0001, betas: [0.9, 0.999], clip_norm: 1.0}
schedule: {name: trapezoid, warmup_steps: 50, cooldown: 0.4, cooldown_epochs: 7, power: 0.9}
augment: {flip_horizontal: true, flip_vertical: false, rotate90: false, scale: null, scale_chance: 0.5,
  brightness: 0.0, contrast: 0.0, grey: 0.0, crowded: 0.0}
peaks: {method: mass, radius: null}
training: {epochs: 20, max_minutes: null, steps_per_epoch: 40, batch_size: 4, crop: 128, ema_decay: 0.998,
  validate_every: 1, select: mae, precision: '32', device: cpu, devices: 1, workers: 0, cache_mb: 2048,
  calibrate: true, try_magnify: [], try_mirror: false, seed: 0}
"""


def test_files_of_older_runs_load(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(OLDER)
    built = config.load(file)
    assert built.optimizer.learning_rate == 1e-5
    assert built.augment.flip_vertical is False
    assert built.loss.options["rho"] == [1.0, 10.0]


def test_yaml_1_2_numbers():
    built = config.load(overrides=["optimizer.learning_rate=3e-4", "training.precision=32", "data.path=2020"])
    assert (built.optimizer.learning_rate, built.training.precision, built.data.path) == (3e-4, "32", "2020")
    with pytest.raises(ConfigError, match=r"'training.max_minutes' is '1:30'; it must be a number"):
        config.load(overrides=["training.max_minutes=1:30"])


def test_documentation_names_every_setting():
    page = " ".join(kind.__doc__ or "" for kind in vars(config).values() if isinstance(kind, type))
    for section in dataclasses.fields(config.RunConfig):
        for field in dataclasses.fields(getattr(config.RunConfig(), section.name)):
            assert field.name in page or section.name in ("loss", "model", "optimizer")
