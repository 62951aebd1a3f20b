"""Learn to count from images with one dot per object.

DATA is a folder, an annotation file, or BENCHMARK:PATH; what was recognised is printed. Without a validation part,
a tenth of the training images is held out; test images are never used. RUN receives config.yaml (every setting as it
was resolved), metrics.csv (a row per epoch), last.ckpt (for --resume), model/ (the weights) and report.html.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from dotcount.cli.common import (
    add_classes,
    add_device,
    add_out,
    add_seed,
    add_strict,
    positive_number,
    quoted,
    require_output_folder,
    whole_number,
)

if TYPE_CHECKING:
    from dotcount.config import RunConfig

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
    parser.add_argument("data", metavar="DATA", help="folder, annotation file, or BENCHMARK:PATH")
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
    add_strict(parser)
    add_device(parser)
    add_seed(parser, "seed of weights, data order and augmentation (default: 0)", default=None)


def run(args: argparse.Namespace) -> int:
    """Train, and say what came of it."""
    require_output_folder(args.out)
    config = requested(args)
    from dotcount.cli.training import console_listener, summary
    from dotcount.training import train

    result = train(config, args.out, resume=args.resume, listener=console_listener())
    print(summary(result))
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
        data__strict=args.strict or None,
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
