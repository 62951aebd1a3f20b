"""Learn to count from images with one dot per object.

DATA is a folder, an annotation file, or recipe:PATH; what was recognised is printed. Where DATA has no validation part,
a tenth of the training images is held out; test images are never used. RUN receives config.yaml (every setting as it
was resolved), metrics.csv (a row per epoch), last.ckpt (for --resume), model/ (the weights) and report.html.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dotcount.cli.common import (
    add_classes,
    add_device,
    add_out,
    add_seed,
    positive_number,
    progress,
    quoted,
    require_output_folder,
    whole_number,
)

if TYPE_CHECKING:
    from dotcount.config import RunConfig
    from dotcount.training.resolve import Plan

EXAMPLES = """\
examples:
  dotcount train cells/ --out runs/cells --max-minutes 20
  dotcount train shanghaitech_b:ShanghaiTech/part_B --out runs/crowd --model vgg19 --crop 512 --epochs 200
  dotcount train cells/ --out runs/cells --max-minutes 20 --resume
  dotcount train cells/ --out runs/b --loss bayesian --set optimizer.learning_rate=0.0003 --set training.batch_size=8
  dotcount train cells/ --out runs/again --config runs/cells/config.yaml --seed 1
  dotcount train ShanghaiTech/part_B --out runs/shb-uot --config table1/shb-uot

recipes, one for each line of the paper's tables, and the best counters that two cores train:
  table1/{nwpu,jhu,qnrf,sha,shb}-{l2,bl,uot}  table5/qnrf-{l2,bl,uot}  table6/qnrf-{l1,l2,wfr}-{kl,quadratic}
  epsilon/shb-{0,0.001,0.003,0.01,0.03,0.1}  best/{shanghaitech_b,vgg_cells,adipocyte,urban_trees_socal,cells}
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("data", metavar="DATA", help="folder, annotation file, or recipe:PATH")
    add_out(parser, "folder for the run", "RUN")
    parser.add_argument("--loss", metavar="NAME", help="loss function (default: uot, unbalanced optimal transport)")
    parser.add_argument("--model", metavar="NAME", help="network (default: compact, which trains in minutes on a CPU)")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=whole_number(1), metavar="N", help="length of the run (default: 100)")
    length.add_argument("--max-minutes", type=positive_number, metavar="M", help="fit the run to this time instead")
    parser.add_argument(
        "--crop", type=whole_number(1), metavar="PX", help="side of the square training crops (default: by image size)"
    )
    parser.add_argument(
        "--config", metavar="FILE", help="YAML file with settings, or a recipe (see below); flags take precedence"
    )
    parser.add_argument("--resume", action="store_true", help="continue the run in RUN exactly where it stopped")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides", help="any setting; may be repeated"
    )
    parser.add_argument("--format", metavar="NAME", help="layout of DATA (default: recognised and said)")
    add_classes(parser)
    add_device(parser)
    add_seed(parser, "seed of weights, data order and augmentation (default: 0)", default=None)


def run(args: argparse.Namespace) -> int:
    """Train, then report on the validation images."""
    require_output_folder(args.out)
    config = requested(args)
    from dotcount.training import train

    check_names(config)
    if not (args.resume and (args.out / "config.yaml").exists()):
        require_new(args.out)
        plan = resolve(config)
        print(describe(plan))
    result = train(config, args.out, resume=args.resume)
    write_report(args.out, args.device)
    best = result.best
    print(
        f"trained {result.epochs} epochs in {result.seconds / 60:.1f} min; validation MAE {best['val_mae']:.2f}, "
        f"RMSE {best['val_rmse']:.2f} at epoch {best['epoch']}: {args.out / 'report.html'}"
    )
    print(f"next: dotcount evaluate {quoted(args.out)} {quoted(args.data)} --out {quoted(args.out / 'test')}")
    print(f"  or: dotcount predict {quoted(args.out)} IMAGES --out counts")
    return 0


def requested(args: argparse.Namespace) -> RunConfig:
    """Return the configuration that the arguments ask for.

    Resuming with nothing but DATA and RUN takes the settings of the run; otherwise they must be the ones it began with.
    """
    from dotcount import config, recipes

    file = None if args.config is None else recipes.find(args.config)
    recorded = args.out / "config.yaml"
    length = (args.epochs, args.max_minutes)
    settings = (args.loss, args.model, *length, args.crop, args.seed, args.config, args.format, args.classes)
    if args.resume and recorded.exists() and not args.overrides and all(value is None for value in settings):
        file = recorded
    overrides = list(args.overrides)
    if args.epochs or args.max_minutes:
        # A recorded file holds the length of its own run, in both forms that a flag may change.
        unset = ("training.epochs", "training.max_minutes", "schedule.cooldown_epochs")
        given = {"training.epochs": args.epochs, "training.max_minutes": args.max_minutes}
        overrides = [f"{key}=null" for key in unset if not given.get(key)] + overrides
    if file is not None and args.max_minutes and _needs_length(config.read_tree(file)):
        # Put first, so that --set schedule.name=... still has the last word.
        overrides = ["schedule.name=trapezoid", *overrides]
        print(f"schedule: trapezoid instead of that in {args.config}, which needs a number of epochs, not of minutes")
    return config.load(
        file,
        overrides,
        data__path=args.data,
        data__format=args.format,
        data__classes=args.classes,
        loss__name=args.loss,
        model__name=args.model,
        training__epochs=args.epochs,
        training__max_minutes=args.max_minutes,
        training__crop=args.crop,
        training__device=args.device,
        training__seed=args.seed,
    )


def _needs_length(tree: dict[str, Any]) -> bool:
    """Return whether a configuration's course of the learning rate can't begin before the number of steps is known."""
    schedule = tree.get("schedule")
    return isinstance(schedule, dict) and schedule.get("name") in ("cosine", "polynomial")


def check_names(config: RunConfig) -> None:
    """Raise a usage error for an unknown loss, model or option, before any data is read."""
    from dotcount import losses, models

    losses.create(config.loss.name, **config.loss.options)
    models.create(config.model.name, **config.model.options)


def require_new(out: Path) -> None:
    """Raise an error if ``out`` holds a run already, before its folder is touched or the data is read."""
    from dotcount.errors import UsageError

    if any((out / name).exists() for name in ("config.yaml", "last.ckpt", "metrics.csv", "model")):
        raise UsageError(f"{out} already holds a run; continue it with --resume, or choose another --out")


def resolve(config: RunConfig) -> Plan:
    """Read the data and settle the open settings; fails before the run's folder is made."""
    from dotcount.training.resolve import make_plan

    return make_plan(config)


def describe(plan: Plan) -> str:
    """Return what was recognised and resolved, for the terminal."""
    config = plan.config
    training = config.training
    length = f"{training.epochs} epochs" if training.epochs else f"{training.max_minutes:g} min"
    lines = [
        f"model: {config.model.name}{_options(config.model.options)}, on {training.device}",
        f"loss: {config.loss.name}{_options(config.loss.options)}{_epsilon(config)}",
        f"training: {length}, crops of {training.crop} px, {training.batch_size} at a time, seed {training.seed}",
    ]
    return "\n".join(lines)


def _options(options: dict[str, Any]) -> str:
    shown = [f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}" for key, value in options.items()]
    return f" ({', '.join(text for text in shown if not text.endswith(' None'))})" if shown else ""


def _epsilon(config: RunConfig) -> str:
    """Return the entropic blur in pixels, for losses that have one in units of a length scale."""
    import inspect

    from dotcount.losses import LOSSES

    parameters = inspect.signature(LOSSES.get(config.loss.name)).parameters
    scale = config.loss.options.get("length_scale")
    if "epsilon" not in parameters or not scale:
        return ""
    epsilon = float(config.loss.options.get("epsilon", parameters["epsilon"].default))
    return f", epsilon {epsilon:g} = {epsilon * float(scale):.3g} px"


def write_report(out: Path, device: str) -> None:
    """Write RUN/report.html: how training went, and the validation images with the weights that were kept."""
    from dotcount import config
    from dotcount.evaluation import evaluate
    from dotcount.prediction import load
    from dotcount.report import Report
    from dotcount.report import write_report as write
    from dotcount.training.resolve import make_plan

    settings = config.load(out / "config.yaml")
    plan, predictor = make_plan(settings), load(out, device=device)
    with progress("validating") as step:
        result = evaluate(predictor, plan.validation, None, progress=step, seed=settings.training.seed)
    metadata = predictor.metadata
    write(
        out / "report.html",
        Report(
            title=f"Training run {out.resolve().name}",
            subtitle=f"{settings.model.name} with {settings.loss.name} on {plan.train.name}: {plan.note}",
            evaluation=result,
            history=read_history(out / "metrics.csv"),
            metadata=metadata,
            config=config.to_dict(settings),
            notes=[
                f"The numbers below are from the {result.metrics['images']} validation images on which the weights "
                "were chosen; expect somewhat larger errors on new ones. Score test images with dotcount evaluate."
            ],
        ),
    )


def read_history(path: Path) -> list[dict[str, float]]:
    """Return the rows of metrics.csv as numbers; empty fields are left out."""
    with path.open(newline="", encoding="utf-8") as file:
        return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]
