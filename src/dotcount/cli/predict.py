"""Count and locate objects in images.

Writes OUT/counts.csv (image, count, low, high, status, error, warning, familiarity), OUT/points.csv (image, x, y,
score; pixels, origin at the top-left corner) and OUT/overlays/NAME.jpg with density and located points drawn in, or
what --write names. An image that can't be read is a row with its error; the others go on. A run that was stopped goes
on where it was when the same command is given again.

Exit code: 0 if at least one image was counted, else 1; with --strict 0 only if every image was counted, none was left
out and none has a warning.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dotcount.cli.common import (
    add_device,
    add_out,
    add_run,
    add_runtime,
    add_seed,
    add_tile,
    positive_number,
    progress,
    require_model,
    require_output_folder,
    whole_number,
)
from dotcount.cli.predict_outcome import exit_code, summary_lines
from dotcount.errors import DataError, UsageError

if TYPE_CHECKING:
    from dotcount.prediction import PredictionRun, Sink
    from dotcount.selection import ImageSelection

EXAMPLES = """\
examples:
  dotcount predict runs/cells photo.jpg --out counts
  dotcount predict trees aerial/ --out counts
  dotcount predict cells fluorescence/ --out counts --write csv,overlays,imagej
  dotcount predict runs/cells photos/ more/*.png --out counts
  dotcount predict trees county.tif --regions blocks.geojson --out counts
  dotcount predict runs/cells https://example.org/photos/list.csv --out counts
  dotcount predict runs/cells 'survey/**/*.tif' --out counts --write csv --tile 2048
"""

OUTPUTS = (
    "csv, parquet, overlays, heatmap (pictures of the density), density (float32 TIFF), jsonl, regions, geopackage and "
    "wgs84 (of maps), timeline and video (of videos), or an annotation format that can be written: coco, cvat, "
    "geojson, imagej, label_studio, labelme, napari, via, voc, yolo, ..."
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    from dotcount.selection import POINTS

    add_run(parser)
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="image files, folders (searched with sub-folders), patterns, URLs, or lists (.txt, .csv, .parquet)",
    )
    add_out(parser, "folder for the results")
    write = parser.add_mutually_exclusive_group()
    write.add_argument(
        "--write",
        default="csv,overlays",
        metavar="NAMES",
        dest="sinks",
        help=f"what to write, with commas between: {OUTPUTS} (default: csv,overlays)",
    )
    write.add_argument(
        "--no-overlays", action="store_const", const="csv", dest="sinks", help="write the tables only: --write csv"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the results of another run in DIR")
    parser.add_argument(
        "--shard",
        type=_shard,
        metavar="I/N",
        help="count the I-th of N parts of the images, into DIR/shard-I-of-N; `dotcount merge DIR` joins them",
    )
    parser.add_argument(
        "--max-failures",
        type=_share,
        metavar="SHARE",
        help="stop with exit code 1 once more than this share of the images has failed, such as 0.01",
    )
    parser.add_argument(
        "--strict", action="store_true", help="exit code 1 if anything failed, was left out, or has a warning"
    )
    parts = parser.add_argument_group("files of many pages or channels (default: what the model was trained on)")
    parts.add_argument(
        "--page",
        type=_page,
        metavar="N|all",
        help="page, plane of a stack or frame to count, from 1; all: each, in rows NAME#1, NAME#2, ...",
    )
    parts.add_argument("--projection", choices=("none", "max"), help="max: the largest values over all pages")
    parts.add_argument(
        "--channels", type=int, nargs="+", metavar="N", help="one channel, shown grey, or those of red, green and blue"
    )
    scale = parser.add_mutually_exclusive_group()
    scale.add_argument(
        "--pixel-size",
        type=positive_number,
        metavar="M",
        help="side of a pixel on the ground in metres; images are resampled to the pixel size that the model was "
        "trained at (default: what the file states)",
    )
    scale.add_argument(
        "--object-size",
        type=positive_number,
        metavar="PX",
        help="distance from an object's centre to its nearest neighbour's in pixels, the median; images are resampled "
        "so that it is that of the training images",
    )
    parser.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="ray: on the workers of a Ray cluster, or of one that is started here (default: local)",
    )
    parser.add_argument(
        "--workers",
        type=whole_number(1),
        default=2,
        metavar="N",
        help="networks at work with --engine ray (default: 2)",
    )
    film = parser.add_argument_group("videos (rows NAME#FRAME; --write csv,timeline,video for counts over time)")
    film.add_argument(
        "--every",
        type=_every,
        metavar="N|SECONDS",
        help="count each N-th frame, or one in so many seconds, such as 0.5s (default: 1s)",
    )
    film.add_argument(
        "--smooth",
        type=float,
        metavar="SECONDS",
        help="length of the median in the timeline (default: 5; 0: none)",
    )
    parser.add_argument(
        "--regions",
        type=Path,
        metavar="FILE",
        help="areas to count one by one, written to regions.csv: GeoJSON (also QuPath's), ImageJ .roi or .zip, COCO "
        "polygons, in pixels or map coordinates; or a folder with a file for each image",
    )
    parser.add_argument(
        "--points",
        default="auto",
        choices=POINTS,
        help="peaks of the density, or as many points as the rounded count, placed by transport (default: as trained)",
    )
    elsewhere = parser.add_argument_group("images by URLs (https, s3, ...), alone or in lists")
    elsewhere.add_argument(
        "--max-download", type=positive_number, metavar="MB", help="largest file that is downloaded (default: 4000)"
    )
    elsewhere.add_argument(
        "--download-timeout", type=positive_number, metavar="SECONDS", help="longest download (default: 300)"
    )
    add_tile(parser)
    add_device(parser)
    add_runtime(parser)
    add_seed(parser, "accepted for uniformity; prediction draws nothing at random")


def run(args: argparse.Namespace) -> int:
    """Predict; the exit code is explained in the help."""
    require_output_folder(args.out)
    from dotcount.prediction import find
    from dotcount.remote import DownloadLimits

    require_model(args.run, args.sources)
    limits = {"megabytes": args.max_download, "seconds": args.download_timeout}
    listing = find(args.sources, downloads=DownloadLimits(**{key: x for key, x in limits.items() if x is not None}))
    sinks = _outputs(args)
    from dotcount.prediction import ImageScale, load, shard_folder
    from dotcount.prediction.engines import LocalEngine
    from dotcount.prediction.video import VideoSampling

    options = {"device": args.device, "tile": args.tile, "runtime": args.runtime, "points": args.points}
    predictor = load(args.run, **options)
    if args.runtime == "openvino":
        from dotcount.prediction.predictor import runtime_difference

        reference = load(args.run, **{**options, "runtime": "onnx"})
        off, number = runtime_difference(predictor, reference, [path for path, _ in listing.files])
        print(f"openvino against onnx: counts differ by at most {off:.1e} of themselves on {number} of these images")
    if args.engine == "ray":
        from dotcount.prediction.engines.ray_data import RayEngine

        by = LocalEngine(predictor).counted_by
        predictor.engine = RayEngine(args.run, by, workers=args.workers, options=options)
    out = args.out
    if args.every is not None:
        listing = replace(listing, video=VideoSampling(**args.every))
    if args.shard is not None:
        listing, out = listing.sharded(*args.shard), shard_folder(args.out, *args.shard)
    going = predictor.stream(
        listing,
        out=out,
        sinks=sinks,
        overwrite=args.overwrite,
        selection=_selection(args, predictor.metadata.input.selection),
        every_page=args.page == "all",
        regions=args.regions,
        scale=ImageScale(args.pixel_size, args.object_size),
    )
    with progress("predicting") as step:
        predictor.progress = lambda share: step(going.summary.total + share, len(listing))
        for _ in going:
            step(going.summary.total, max(len(listing), going.summary.total))
            _bear(going, args.max_failures, len(listing))
    _bear(going, args.max_failures, len(listing))
    validation = predictor.metadata.validation
    caution = "" if validation is None else validation.caution
    for line in summary_lines(going.summary, str(out / "counts.csv"), caution, predictor.metadata.interval):
        print(line)
    return exit_code(going.summary, strict=args.strict)


def _outputs(args: argparse.Namespace) -> list[str | Sink]:
    """Return what to write."""
    sinks: list[str | Sink] = [name.strip() for name in args.sinks.split(",") if name.strip()]
    if "csv" not in sinks:
        sinks.insert(0, "csv")  # the one place where every image, counted or not, has its row
    if args.regions is not None and "regions" not in sinks:
        sinks.append("regions")
    if args.smooth is not None:
        from dotcount.prediction.sinks.timeline import Timeline

        if args.smooth < 0:
            raise UsageError(f"--smooth is {args.smooth:g}; it must be a number of seconds, or 0 for none")
        sinks = [sink for sink in sinks if sink != "timeline"] + [Timeline(args.smooth)]
    return sinks


def _every(text: str) -> dict[str, float]:
    """Return ``{"frames": N}`` of ``N``, ``{"seconds": x}`` of ``xs``."""
    seconds = text.endswith("s")
    try:
        value = float(text[:-1]) if seconds else int(text)
    except ValueError:
        value = 0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(
            f"{text!r} must be a number of frames, such as 30, or of seconds, such as 0.5s"
        )
    return {"seconds" if seconds else "frames": value}


def _shard(text: str) -> tuple[int, int]:
    """Return (i, n) of ``i/n``."""
    index, slash, number = text.partition("/")
    if not (slash and index.isdecimal() and number.isdecimal() and 1 <= int(index) <= int(number)):
        raise argparse.ArgumentTypeError(f"{text!r} must be I/N, such as 3/16, with I from 1 to N")
    return int(index), int(number)


def _share(text: str) -> float:
    """Return a number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a share of the images, from 0 to 1")
    return value


def _bear(going: PredictionRun, most: float | None, images: int) -> None:
    """Stop a run of which too much has failed."""
    summary = going.summary
    images = max(images, summary.total)  # a file may hold many
    if most is not None and summary.failed > most * images:
        going.close()
        raise DataError(
            f"{summary.failed:,} of {images:,} images failed, more than a share of {most:g}; the first: "
            f"{summary.first_error}"
        )


def _page(text: str) -> int | str:
    return text if text == "all" else whole_number(1)(text)


def _selection(args: argparse.Namespace, trained: ImageSelection) -> ImageSelection | None:
    """Return what the options choose; what they leave open is as the model was trained."""
    if args.page is None and args.projection is None and args.channels is None:
        return None
    from dotcount.selection import ImageSelection

    if args.page == "all" and args.projection == "max":
        raise UsageError("--page and --projection max are two ways to read a stack; give one of them")
    if args.page is None and args.projection is None:
        page, projection = trained.page, trained.projection
    else:
        page, projection = args.page if isinstance(args.page, int) else 1, args.projection or "none"
    return ImageSelection(page, projection, trained.channels if args.channels is None else tuple(args.channels))
