"""The model card, README.md beside the weights."""

from __future__ import annotations

import math
from typing import Any

from dotcount.data import ResizeRule

_CARD = """# {model}: counts objects from images

A density regressor trained by dotcount on one dot per object. Its output has cells of {stride} x {stride} px; the
sum of a density map is the count, its peaks are locations.

## Use

```python
import dotcount

predictor = dotcount.load("path/to/this/folder")
prediction = predictor.predict("image.jpg")
print(prediction.count, prediction.interval, prediction.points)
```

or `dotcount predict path/to/this/folder images/ --out results`.

## Trained on

- data: {data} ({format}), {images:,} images with {dots:,} dots; counts {least} to {most}, median {median:g}{license}
- loss: {loss}{unit}; crops of {crop} px; {epochs} epochs, {steps:,} steps, {minutes:g} minutes; seed {seed}; {start}
- images are {resize}

## Measured on {n} validation images that were not trained on

| MAE | RMSE | bias (predicted - true) |
|---|---|---|
| {mae:.3g} | {rmse:.3g} | {bias:+.3g} |

Always answering the mean count of the training images has an MAE of {baseline:.3g}{verdict}.
Each image is judged by the choices that the others would make, so that none has a say in its own error.
{look}{scaling}This is the checkpoint with the {selected}. A peak needs a mass of {threshold:g} to be reported as a
location, the value with the best F on these images.

{interval}

## Limits

The counts above are what the model knows. Images with other objects, scales, light or much higher counts than
these are outside what was measured; look at some results before you rely on them.
{citation}"""


def model_card(metadata: dict[str, Any]) -> str:
    """Return the text of the card from the metadata in config.json."""
    data, metrics = metadata["trained_on"], metadata["metrics"]["validation"]
    return _CARD.format(
        model=metadata["model"],
        stride=metadata["stride"],
        data=data["data"],
        format=data["format"],
        images=data["images"],
        dots=data["dots"],
        least=data["count"]["min"],
        most=data["count"]["max"],
        median=data["count"]["median"],
        license=f"; licence of the data: {data['license']}" if data["license"] else "",
        loss=metadata["loss"],
        unit=f" (length scale {metadata['length_scale']:g} px)" if metadata["length_scale"] else "",
        crop=data["crop"],
        epochs=data["epochs"],
        steps=data["steps"],
        minutes=data["minutes"],
        seed=data["seed"],
        start="from pretrained weights" if data["pretrained"] else "from random weights",
        resize=ResizeRule.of(metadata["resize"]).described(),
        n=metrics["n"],
        mae=metrics["mae"],
        rmse=metrics["rmse"],
        bias=metrics["bias"],
        baseline=metadata["metrics"]["baseline_mae"],
        verdict=": **this model is no better**" if no_better_than_mean(metadata["metrics"]) else "",
        selected=metadata["selected_by"],
        threshold=metadata["peaks"]["threshold"],
        interval=_interval(metadata["interval"]),
        scaling=_scaling(metadata["count_scale"]),
        look=_look(metadata["metrics"]["looks"]),
        citation=f"\n## Please cite\n\n{data['citation']}\n" if data["citation"] else "",
    )


def no_better_than_mean(metrics: dict[str, Any]) -> bool:
    """Return whether the validation error is at least that of always answering the mean count in training."""
    return bool(metrics["validation"]["mae"] >= metrics["baseline_mae"] > 0)


def _look(tried: list[dict[str, Any]]) -> str:
    if len(tried) < 2:
        return ""
    errors = ", ".join(
        f"{one['magnify']:g}{' with mirror images' if one['mirror'] else ''}: {one['mae']:.3g}" for one in tried
    )
    return (
        f"How images are looked at was chosen by these errors; MAE by magnification over that of training: {errors}. "
    )


def _scaling(scale: float) -> str:
    if scale == 1:
        return ""
    return f"Densities are multiplied by {scale:.4g}, which removes the mean error on these images. "


def _interval(interval: dict[str, Any]) -> str:
    if interval["scale"] is None or not math.isfinite(interval["scale"]):
        return f"No count interval: {interval['reason']}."
    return (
        f"The count interval (count -+ {interval['scale']:.3g} sqrt(count + 1)) holds the true count of "
        f"{interval['level']:.0%} of such images; it was calibrated on the {interval['n']} validation images."
    )
