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
        ("training.seed=foo", r"config key 'training.seed' is 'foo'; it must be int"),
        ("schedule.name=cosin", r"'schedule.name' is 'cosin'; it must be one of .*cosine"),
        ("training.crop=-1", r"'training.crop' is -1; it must be positive"),
        ("training.ema_decay=1", r"'training.ema_decay' is 1"),
        ("data.validation=0", r"'data.validation' is 0"),
        ("optimizer.learning_rate=0", r"'optimizer.learning_rate' is 0"),
        ("schedule.cooldown=1.5", r"'schedule.cooldown' is 1.5"),
        ("training.batch_size=0", r"'training.batch_size' is 0"),
        ("training.calibrate=often", r"'training.calibrate' is 'often'; it must be true, false or always"),
        ("peaks.method=nsm", r"'peaks.method' is 'nsm'; it must be one of .*nms"),
        ("peaks.radius=0", r"'peaks.radius' is 0; it must be at least 1"),
        ("training.seed=-1", r"'training.seed' is -1; it must be 0 or more"),
        ("training.max_minutes=.inf", r"'training.max_minutes' is inf"),
        ("optimizer.betas=[0.9, 1.0]", r"'optimizer.betas' is \(0.9, 1.0\); it must be two numbers in"),
        (
            "augment.scale=[1.4, 0.7]",
            r"'augment.scale' is \(1.4, 0.7\); it must be two positive numbers",
        ),
        ("augment.scale_chance=2", r"'augment.scale_chance' is 2.0; it must be a share between 0 and 1"),
        ("data.magnify=0", r"'data.magnify' is 0.0; it must be positive or absent"),
        ("training.try_magnify=[1.5, -1]", r"'training.try_magnify' is .*; it must be a list of positive numbers"),
        ("schedule.cooldown_epochs=-1", r"'schedule.cooldown_epochs' is -1; it must be 0 or more, or absent"),
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
    code = "import sys, dotcount.config, dotcount.density; sys.exit(bool({'torch', 'jsonargparse'} & set(sys.modules)))"
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
