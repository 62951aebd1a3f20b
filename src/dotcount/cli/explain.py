"""Show what a trained model sees in one image, and which dot explains which part of it.

Writes OUT/figure2.png (image, density map, located points) and, where dots are given, OUT/figure1.png and
OUT/transport.png (every cell in the colour of the dot that takes most of its mass), OUT/dots.csv (what each dot
receives and from how far), OUT/unmatched.csv (where predicted mass is destroyed) and OUT/explanation.json.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from dotcount.cli.common import (
    add_data_format,
    add_device,
    add_out,
    add_run,
    add_runtime,
    add_seed,
    add_tile,
    require_model,
    require_output_folder,
)

if TYPE_CHECKING:
    from dotcount.audit import TransportMap
    from dotcount.points import Points

WRITTEN = (
    "figure1.png",
    "figure2.png",
    "transport.png",
    "dots.csv",
    "unmatched.csv",
    "explanation.json",
)
"""What is written to OUT; marked, so that it isn't taken for images and dots later."""

EXAMPLES = """\
examples:
  dotcount explain runs/cells photo.png --dots photo.csv --out why
  dotcount explain runs/crowd IMG_5.jpg --dots ground-truth/GT_IMG_5.mat --out why
  dotcount explain runs/cells test/images/0003.png --data cells/ --out why
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_run(parser)
    parser.add_argument("image", metavar="IMAGE", help="an image file, or the name of an image in DATA")
    dots = parser.add_mutually_exclusive_group()
    dots.add_argument(
        "--dots",
        type=Path,
        metavar="FILE",
        help="its dots, in any known format: csv x,y or image,x,y, .mat, JSON, dot mask, ...",
    )
    dots.add_argument("--data", metavar="DATA", help="folder, annotation file, or BENCHMARK:PATH that holds its dots")
    add_out(parser, "folder for the pictures and tables")
    add_data_format(parser)
    add_tile(parser)
    add_device(parser)
    add_runtime(parser)
    add_seed(parser, "accepted for uniformity; nothing is drawn at random")


def run(args: argparse.Namespace) -> int:
    """Predict, solve the transport, draw and write."""
    require_output_folder(args.out)
    from dotcount.errors import DataError
    from dotcount.files import mark_output
    from dotcount.prediction import load
    from dotcount.report import located_figure, save_figure

    require_model(args.run, [args.image, *([args.data] if args.data else [])])
    image, points = find_image(args)
    predictor = load(args.run, device=args.device, tile=args.tile, runtime=args.runtime)
    frame, prediction = next(predictor.predict_many(image))
    if prediction is None:
        raise DataError(frame.error or f"image {image} can't be counted")
    pixels = frame.display
    for warning in frame.warnings:
        print(f"note: {warning}")
    mark_output(args.out, "explanation", "dotcount explain", WRITTEN)
    truth = [None if points is None else len(points)]
    save_figure(args.out / "figure2.png", located_figure([pixels], [prediction], truth))
    low, high = prediction.interval or (None, None)
    interval = "" if low is None else f" (interval {low:.1f} to {high:.1f})"
    print(f"{image.name}: {prediction.count:.1f} objects{interval}, {len(prediction.points)} points")
    if points is None:
        print(f"wrote {args.out / 'figure2.png'}; no transport map without dots (give --dots or --data)")
        return 0
    from dotcount.audit import transport_map, transport_settings
    from dotcount.report import map_picture, transport_figure
    from dotcount.report.view import View

    settings = transport_settings(predictor.metadata)
    result = transport_map(prediction, points.xy, predictor.stride, settings)
    save_figure(args.out / "figure1.png", transport_figure(pixels, prediction, result))
    from dotcount.files import replacing

    with replacing(args.out / "transport.png") as temporary:
        map_picture(result, prediction, View.fit(pixels, 1600)).save(temporary, format="PNG")
    result.save(args.out)
    print(summary_text(result))
    print(f"pictures and tables: {args.out}")
    return 0


def find_image(args: argparse.Namespace) -> tuple[Path, Points | None]:
    """Return the image file and its dots, from ``--dots``, from ``--data``, or none."""
    from dotcount.data import open_collection
    from dotcount.data.images import image_size
    from dotcount.data.single import read_dots
    from dotcount.errors import DataError
    from dotcount.registry import did_you_mean

    path = Path(args.image)
    if args.data is None:
        image_size(path)  # so that a missing image is reported before the model is loaded
        return path, None if args.dots is None else read_dots(args.dots, path)
    collection = open_collection(args.data, format=args.format, selection=None)
    records = {record.name: record for record in collection.records}
    found = [r for r in records.values() if r.image.resolve() == path.resolve()] or [
        r for name, r in records.items() if args.image in (name, Path(name).name)
    ]
    if len(found) != 1:
        what = "holds several images" if found else "holds no image"
        raise DataError(f"{collection.root} {what} {args.image!r}.{did_you_mean(args.image, records)}")
    record = found[0]
    if record.points is None or record.error is not None:
        raise DataError(record.error or f"image {record.image} has no dots in {collection.root}; annotate it")
    return record.image, record.points


def summary_text(result: TransportMap) -> str:
    """Return what the map shows as lines for the terminal."""
    summary = result.summary()
    distance = summary["mean_distance_px"]
    way = "" if distance is None else f", over {distance:.1f} px on average"
    settings = summary["settings"]
    return (
        f"{summary['dots']} dots receive {summary['transported']:.1f} objects{way}; {summary['destroyed_mass']:.1f} "
        f"are destroyed, in {summary['unmatched_places']} places a quarter or more\n"
        f"less than half a predicted object is near {summary['missed_dots']} dots, more than one and a half go to "
        f"{summary['overcounted_dots']}\nepsilon {settings['epsilon']:g} = {settings['epsilon_px']:.3g} px, "
        f"cost {settings['cost']}, {settings['penalty']}; value {summary['value']:.4g}, gap {summary['gap']:.1g}"
        f"{'' if summary['converged'] else ' (NOT converged)'}"
    )
