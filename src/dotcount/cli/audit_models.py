"""The models that judge in ``dotcount audit``: the one that was given, or one trained for each fold."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dotcount.errors import UsageError

if TYPE_CHECKING:
    from dotcount.audit import Fold
    from dotcount.config import RunConfig
    from dotcount.data import Collection
    from dotcount.prediction import Predictor

Judges = Iterable[tuple["Predictor", "Collection"]]


def judges(args: argparse.Namespace, usable: Collection) -> tuple[str, Judges]:
    """Return who judges, a sentence, and each model with the images that it judges."""
    if args.folds is None:
        if args.overrides or args.max_minutes or args.by != "image":
            raise UsageError("--set, --max-minutes and --by are about the trainings of --folds; give --folds K")
        from dotcount.cli.common import require_model
        from dotcount.prediction import load

        require_model(args.run, [args.data])
        print("note: errors in images that RUN learned from show only in part; --folds K judges every image fairly")
        return (
            f"Judged by {args.run}. Errors in images that it learned from show only in part.",
            [(load(args.run, device=args.device, tile=args.tile), usable)],
        )
    from dotcount.audit import deal, record_folds

    settings = _settings(args.run)
    folds = deal(usable, args.folds, by=args.by, seed=args.seed)
    record_folds(folds, args.out / "folds")
    told = f"Cross-fitted: {args.folds} models with the settings of {args.run}, none of which judged what it learned."
    return told, _trained(args, folds, settings)


def _settings(run: Path) -> Path:
    """Return the configuration that a run was trained with, or a recipe or configuration file."""
    from dotcount import recipes, weights

    recorded = run / "config.yaml"
    if recorded.is_file():
        return recorded
    if run.is_dir() or weights.find(run) is not None:
        raise UsageError(
            f"{run} holds no config.yaml, by which the models of the folds are trained; "
            "give a run, a recipe such as best/vgg_cells, or a configuration file"
        )
    return recipes.find(run)


def _trained(args: argparse.Namespace, folds: list[Fold], settings: Path) -> Iterator[tuple[Predictor, Collection]]:
    """Train the model of each fold, or go on with it, and hand it out with the images that it judges."""
    from dotcount.cli.training import console_listener
    from dotcount.prediction import load
    from dotcount.training import holds_run, train

    for fold in folds:
        place = args.out / "folds" / str(fold.number)
        run = place / "run"
        print(f"fold {fold.number} of {len(folds)}: {len(fold.rest):,} images to learn, {len(fold.judged):,} to judge")
        config = _config(args, fold, settings, fold.write(place / "data"), run)
        train(config, run, resume=holds_run(run), listener=console_listener())
        yield load(run, device=args.device, tile=args.tile), fold.judged


def _config(args: argparse.Namespace, fold: Fold, settings: Path, data: Path, run: Path) -> RunConfig:
    """Return the settings for one fold: those given, but for what is about the data set that they were made for."""
    from dotcount.cli.train import requested

    absent = dict.fromkeys(("loss", "model", "epochs", "crop", "classes"))
    asked = argparse.Namespace(
        **absent,
        data=str(data),
        out=run,
        config=settings,
        resume=False,
        overrides=args.overrides,
        max_minutes=args.max_minutes,
        format="csv",
        strict=False,
        device=args.device,
        seed=args.seed,
    )
    return fold.settings(requested(asked), data)
