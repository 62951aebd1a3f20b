"""Model metadata of older versions, brought to the present form; add a step here whenever the form changes.

Version 0, of dotcount 0.1, had no number: settings, training and figures lay side by side in one mapping. Version 2
added the confidence of the interval, the errors behind it, familiarity, and what a model was calibrated on again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dotcount.errors import ModelError
from dotcount.registry import did_you_mean

_KNOWN = (
    ("model", "options", "stride", "resize", "mirror", "peaks", "count_scale", "interval")
    + ("dotcount_version", "loss", "loss_options", "length_scale", "epsilon")
    + ("trained_on", "selected_by", "metrics")
)


def upgraded(values: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """Return metadata of any version in the present form; types and ranges are checked afterwards."""
    plain = dict(values) if "schema" in values else _from_version_0(values, origin)
    if plain["schema"] == 1 and not isinstance(plain["schema"], bool):
        plain["schema"] = 2  # everything that version 2 added may be absent
    return plain


def _from_version_0(values: Mapping[str, Any], origin: str) -> dict[str, Any]:
    for key in values:
        if key not in _KNOWN:
            hint = did_you_mean(str(key), _KNOWN)
            raise ModelError(f"{origin}: field {str(key)!r} is not known; remove or correct it.{hint}")
    same = ("model", "options", "stride", "mirror", "peaks", "count_scale", "interval", "dotcount_version")
    new = {"schema": 1} | {key: values[key] for key in same if values.get(key) is not None}
    new["input"] = {"resize": values.get("resize") if values.get("resize") is not None else {}}
    trained = values.get("trained_on")
    if trained is not None:
        new["training"], terms = _training(values, _mapping(trained, "trained_on", origin), origin)
        new |= terms
    metrics = _mapping(values["metrics"] if values.get("metrics") is not None else {}, "metrics", origin)
    if metrics.get("validation") is not None:
        new["validation"] = _validation(values, metrics, origin)
    return new


def _training(
    values: Mapping[str, Any], trained: Mapping[str, Any], origin: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    settings = {key: values[key] for key in ("length_scale", "epsilon") if values.get(key) is not None}
    options = _mapping(values["loss_options"] if values.get("loss_options") is not None else {}, "loss_options", origin)
    loss = {"name": values.get("loss", "uot"), "options": settings | dict(options)}
    facts = {key: value for key, value in trained.items() if key not in ("license", "citation")}
    return facts | {"loss": loss}, {"license": trained.get("license"), "citation": trained.get("citation")}


def _validation(values: Mapping[str, Any], metrics: Mapping[str, Any], origin: str) -> dict[str, Any]:
    best = metrics.get("best") or {}
    facts = {
        "counting": metrics["validation"],
        "baseline_mae": metrics.get("baseline_mae"),
        "selected_by": values.get("selected_by", ""),
        "trials": metrics.get("looks", []),
    }
    if best:
        best = _mapping(best, "metrics.best", origin)
        columns = {"epoch": "epoch", "step": "step", "mae": "val_mae", "rmse": "val_rmse", "bias": "val_bias"}
        facts["checkpoint"] = {new: best[old] for new, old in columns.items() if old in best}
    return facts


def _mapping(value: object, place: str, origin: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ModelError(f"{origin}: field {place!r} must hold names and values; got {type(value).__name__}")
    return value
