"""Every recipe is a valid configuration, says where it comes from, and keeps to the published protocols."""

import itertools
import re

import pytest
import yaml

from dotcount import config, losses, models, recipes
from dotcount.data import ResizeRule
from dotcount.data.benchmarks import BENCHMARKS
from dotcount.errors import ConfigError

ALL = recipes.names()
NAMES = [name for name in ALL if not name.startswith("best/")]
BEST = [name for name in ALL if name.startswith("best/")]
TABLE1 = [f"table1/{data}-{loss}" for data in ("nwpu", "jhu", "qnrf", "sha", "shb") for loss in ("l2", "bl", "uot")]


def load(name):
    return config.load(recipes.find(name))


def test_there_is_one_for_every_line_of_the_tables():
    table5 = [f"table5/qnrf-{loss}" for loss in ("l2", "bl", "uot")]
    table6 = [f"table6/qnrf-{c}-{p}" for c in ("l1", "l2", "wfr") for p in ("kl", "quadratic")]
    study = [name for name in NAMES if name.startswith("epsilon/")]
    assert sorted(TABLE1 + table5 + table6 + study) == NAMES
    assert len(study) == 6


@pytest.mark.parametrize("name", NAMES)
def test_it_is_a_complete_request_that_everything_accepts(name):
    built = load(name)
    losses.create(built.loss.name, **built.loss.options)
    assert built.data.format in BENCHMARKS
    assert (built.model.name, built.model.pretrained) == ("vgg19", True)
    models.models.get(built.model.name)
    assert built.training.epochs in (500, 1000)
    assert built.data.path == ""  # DATA on the command line


def test_there_is_a_best_counter_for_every_kind_of_data_here():
    names = {"shanghaitech_b", "vgg_cells", "adipocyte", "urban_trees_socal"}
    assert {f"best/{name}" for name in names} | {"best/cells"} == set(BEST)


@pytest.mark.parametrize("name", BEST)
def test_a_best_counter_trains_in_a_fixed_number_of_epochs(name):
    built = load(name)
    losses.create(built.loss.name, **built.loss.options)
    models.models.get(built.model.name)
    assert built.training.epochs
    assert built.training.steps_per_epoch
    assert built.training.calibrate
    assert built.data.format in (*BENCHMARKS, "auto")
    assert recipes.find(name).read_text(encoding="utf-8").startswith("# ")


@pytest.mark.parametrize("name", NAMES)
def test_it_says_where_it_comes_from_and_writes_no_key_twice(name):
    text = recipes.find(name).read_text(encoding="utf-8")
    assert text.startswith(("# Table", "# Study"))
    assert "he paper" in text
    assert all(len(line) <= 120 for line in text.splitlines())
    keys = [re.match(r"\w+:", line) for line in text.splitlines()]
    top = [key.group() for key in keys if key]
    assert len(top) == len(set(top)) == len(yaml.safe_load(text))


@pytest.mark.parametrize("name", TABLE1)
def test_table_1_follows_the_protocols(name):
    data, loss = name.removeprefix("table1/").split("-")
    built = load(name)
    crop = {"nwpu": 384, "sha": 256}.get(data, 512)
    rules = {"nwpu": (384, 2048), "jhu": (512, 2048), "qnrf": (512, None, 2048), "sha": (256,), "shb": ()}
    assert built.training.crop == crop
    assert ResizeRule.of(built.data) == ResizeRule(*rules[data])
    assert (built.training.batch_size, built.training.ema_decay, built.optimizer.clip_norm) == (1, 0, None)
    assert built.optimizer.name == "adam"
    assert built.optimizer.learning_rate == (1e-6 if name == "table1/sha-bl" else 1e-5)
    assert built.optimizer.weight_decay == (1e-5 if loss == "uot" else 1e-4)
    assert built.schedule.name == ("polynomial" if loss == "uot" else "constant")
    if loss == "uot":
        assert {"cost": "l2", "penalty": "kl", "epsilon": 0.01}.items() <= built.loss.options.items()
    if loss == "bl":
        assert built.loss.options["background_ratio"] == (0.1 if data == "sha" else 1.0)


def test_the_benchmarks_own_resize_rules_are_the_recipes():
    """Where a recipe states no side, the benchmark's rule must not step in with another."""
    for name in TABLE1:
        built = load(name)
        mine = ResizeRule.of(built.data)
        assert mine.or_else(BENCHMARKS.create(built.data.format).resize) == mine, name


@pytest.mark.parametrize("loss", ["l2", "bl", "uot"])
def test_table_5_differs_from_table_1_in_the_points_alone(loss):
    one, five = (config.to_dict(load(f"{table}/qnrf-{loss}")) for table in ("table1", "table5"))
    assert five.pop("peaks")["method"] == "nms"
    assert one.pop("peaks")["method"] == "mass"
    assert one == five


def test_table_6_and_the_study_differ_in_the_loss_alone():
    for first, second in itertools.pairwise([n for n in NAMES if n.startswith("table6/")]):
        a, b = config.to_dict(load(first)), config.to_dict(load(second))
        assert a.pop("loss") != b.pop("loss")
        assert a == b
    assert load("table6/qnrf-l2-kl") == load("table1/qnrf-uot")
    assert load("epsilon/shb-0.01") == load("table1/shb-uot")
    assert load("epsilon/shb-0.003").loss.options["epsilon"] == 0.003
    assert load("table6/qnrf-wfr-quadratic").loss.options["delta"] == 0.2


def test_a_file_goes_before_a_recipe_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("training: {seed: 3}\n")
    assert config.load(recipes.find("mine.yaml")).training.seed == 3


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(ConfigError, match=r"table1/shb-uto is neither .* Did you mean 'table1/shb-uot'\?") as caught:
        recipes.find("table1/shb-uto")
    assert "\n" not in str(caught.value)


def test_the_help_names_every_recipe():
    from dotcount.cli.train import EXAMPLES

    told = set()
    for pattern in re.findall(r"(?<= )(?:table\d|epsilon|best)/\S*{\S+}", EXAMPLES):
        parts = [part.strip("{}").split(",") for part in re.findall(r"{[^}]*}|[^{}]+", pattern)]
        told |= {"".join(choice) for choice in itertools.product(*parts)}
    assert told == set(ALL)
