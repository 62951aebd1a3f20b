"""Draw the pictures of docs/how-to/figures.md on made-up scenes: ``python experiments/figures.py [RUN] [--early RUN]``.

RUN is what ``dotcount demo --out DIR`` leaves in DIR/run: a model trained for minutes on scenes of the same kind, none
of which are drawn here. The early one has taken 40 steps:

    dotcount data synth --out scenes
    dotcount train scenes --out early --epochs 1 --set training.steps_per_epoch=40
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import dotcount
from dotcount.audit import transport_map, transport_settings
from dotcount.data import to_unit
from dotcount.data.synthetic import generate
from dotcount.points import Points
from dotcount.report import located_figure, save_figure, transport_figure

SEED = 2024
SPURIOUS = (232.0, 165.0)
IMAGES = Path(__file__).parents[1] / "docs" / "images"


def main() -> None:
    """Figure 1 of one scene with a dot too few and a dot too many, Figure 2 of two scenes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--early", type=Path)
    parser.add_argument("--out", type=Path, default=IMAGES)
    args = parser.parse_args()
    scenes = [generate("cells", SEED, index) for index in (0, 1)]
    if args.early is not None:
        draw_early(args.early, *scenes[0], args.out)
    if args.run is None:
        return
    predictor = dotcount.load(args.run, device="cpu")
    predictions = [predictor.predict(image) for image, _ in scenes]
    image, points = scenes[0]
    # The dot that has most room around it is left out, so that its object has no other one near.
    alone = np.sort(np.linalg.norm(points.xy[:, None] - points.xy, axis=2), axis=1)[:, 1].argmax()
    dots = np.concatenate([np.delete(points.xy, alone, axis=0), [SPURIOUS]])
    settings = transport_settings(predictor.metadata)
    result = transport_map(predictions[0], dots, predictor.stride, settings)
    print(f"left out {points.xy[alone].round(1)}, added {SPURIOUS}:", result.summary())
    save_figure(args.out / "figure1.jpg", transport_figure(to_unit(image), predictions[0], result, side=700), dpi=110)
    images, counts = [to_unit(image) for image, _ in scenes], [len(points) for _, points in scenes]
    save_figure(args.out / "figure2.jpg", located_figure(images, predictions, counts, side=600), dpi=80)


def draw_early(run: Path, image: np.ndarray, points: Points, out: Path) -> None:
    """Figure 1 of the same scene, with all its dots, by a model that has hardly begun."""
    predictor = dotcount.load(run, device="cpu")
    prediction = predictor.predict(image)
    result = transport_map(prediction, points.xy, predictor.stride, transport_settings(predictor.metadata))
    print("early:", result.summary())
    save_figure(out / "figure1-early.jpg", transport_figure(to_unit(image), prediction, result, side=700), dpi=110)


if __name__ == "__main__":
    main()
