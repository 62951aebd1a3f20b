"""Measure the scale of the training images of the published models and write it into their config.json.

    python -m experiments.model_scale [--data ../shared/data]

``trees``: the training split of urban trees, whose pixels are 60 cm (Ventura et al. 2024). ``cells``: 400 scenes drawn
by ``dotcount.data.synthetic`` with 0 to 255 objects, as its model card states.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from dotcount.data import Record, open_collection
from dotcount.data.synthetic import generate
from dotcount.metadata import ModelMetadata, ScaleRule
from dotcount.training.scale import training_scale

WEIGHTS = Path(__file__).parents[1] / "src" / "dotcount" / "weights"


def cells() -> ScaleRule:
    scenes = (generate("cells", seed=0, index=k, count=(0, 255))[1] for k in range(400))
    return training_scale([Record(Path(f"{k}.png"), f"{k}.png", points) for k, points in enumerate(scenes)])


def trees(data: Path) -> ScaleRule:
    collection = open_collection(data / "urban_trees_socal")
    return training_scale(collection.split("train").annotated().records, pixel_size=0.6)


def write(name: str, scale: ScaleRule) -> None:
    path = WEIGHTS / name / "config.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    ordered = {}
    for key, value in values.items():
        if key != "scale":
            ordered[key] = value
        if key == "input":
            ordered["scale"] = json.loads(json.dumps(asdict(scale)))
    ModelMetadata.from_dict(ordered, str(path))
    path.write_text(json.dumps(ordered, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    data = parser.parse_args().data
    for name, scale in (("cells", cells()), ("trees", trees(data))):
        write(name, scale)
        print(name, scale)


if __name__ == "__main__":
    main()
