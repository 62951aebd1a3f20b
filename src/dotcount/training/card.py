"""The model card, README.md beside the weights."""

from __future__ import annotations

from dotcount.metadata import AugmentationTrial, CountInterval, LossFacts, ModelMetadata

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
- images are {resize}; brightness is {intensity}

## Measured on the validation images, which were not trained on

{errors}. {baseline}
Each image is judged by the choices that the others would make, so that none has a say in its own error.
{trials}{scaling}The weights are those of {selected}. A peak needs a mass of {threshold:g} to be reported as a location,
the value with the best F on these images.

{interval}

## Limits

The counts above are what the model knows. Images with other objects, scales, light or much higher counts than
these are outside what was measured; look at some results before you rely on them.
{citation}"""


def _unit(loss: LossFacts) -> str:
    """Return in words what a distance of 1 is to the loss."""
    own = loss.options.get("neighbour_scale")
    if own:
        return f" (length scale of each dot {own:g} times the distance to its neighbours)"
    return f" (length scale {loss.length_scale:g} px)" if loss.length_scale else ""


def model_card(metadata: ModelMetadata) -> str:
    """Return the text of the card."""
    data, found = metadata.training, metadata.validation
    assert data is not None, "training describes itself"
    assert found is not None, "training measures on validation images"
    return _CARD.format(
        model=metadata.model,
        stride=metadata.stride,
        data=data.data,
        format=data.format,
        images=data.images,
        dots=data.dots,
        least=data.count.min,
        most=data.count.max,
        median=data.count.median,
        license=f"; licence of the data: {metadata.license}" if metadata.license else "",
        loss=data.loss.name,
        unit=_unit(data.loss),
        crop=data.crop,
        epochs=data.epochs,
        steps=data.steps,
        minutes=data.minutes,
        seed=data.seed,
        start="from pretrained weights" if data.pretrained else "from random weights",
        resize=metadata.input.resize.described(),
        intensity=metadata.input.intensity.described(),
        errors=found.described(),
        baseline=f"**{found.caution}**" if found.caution else found.sentence,
        selected=found.selected_by,
        threshold=metadata.peaks.threshold,
        interval=_interval(metadata.interval),
        scaling=_scaling(metadata.count_scale),
        trials=_trials(found.trials),
        citation=f"\n## Please cite\n\n{metadata.citation}\n" if metadata.citation else "",
    )


def _trials(trials: tuple[AugmentationTrial, ...]) -> str:
    if len(trials) < 2:
        return ""
    errors = ", ".join(f"{one.magnify:g}{' with mirror images' if one.mirror else ''}: {one.mae:.3g}" for one in trials)
    return f"Test-time augmentation was chosen by these errors; MAE by magnification over that of training: {errors}. "


def _scaling(scale: float) -> str:
    if scale == 1:
        return ""
    return f"Densities are multiplied by {scale:.4g}, which removes the mean error on these images. "


def _interval(interval: CountInterval | None) -> str:
    if interval is None or not interval.finite:
        return f"No count interval: {interval.reason if interval else 'not calibrated'}."
    return (
        f"The count interval (count -+ {interval.scale:.3g} sqrt(count + 1)) holds {interval.promise}; it was "
        f"calibrated on the {interval.n} validation images."
    )
