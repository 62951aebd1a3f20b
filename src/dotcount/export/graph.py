"""From a network to an ONNX file; the only file that imports onnx and onnxscript.

The tracing exporter is used, not the one by ``torch.export``: see docs/decisions/0030-exported-models.md.
"""

from __future__ import annotations

import copy
import io
import json
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from dotcount.errors import ModelError
from dotcount.export.base import TrainedModel
from dotcount.inference.runtimes import as_runtime
from dotcount.inference.runtimes.base import facts
from dotcount.inference.runtimes.onnx_runtime import NETWORK, SETTINGS
from dotcount.inference.runtimes.pytorch import feature_layers, tapped, weights_digest

OPSET = 18
INPUT, OUTPUT, FEATURES = "images", "density", "features"
_DYNAMIC = {INPUT: {0: "batch", 2: "height", 3: "width"}, OUTPUT: {0: "batch", 2: "rows", 3: "columns"}}
_AXES = {0: "batch", 2: "feature_rows", 3: "feature_columns"}
_TRACED = (2, 3, 97, 161)
"""Shape of the example; no multiple of any grid, so that the padding is part of what is traced."""


def onnx_bytes(model: TrainedModel, *, properties: Mapping[str, str] = {}, side: int | None = None) -> bytes:
    """Return an ONNX file of a model: ``images`` (B, 3, H, W) in [0, 1] to ``density`` (B, 1, h, w).

    Further outputs ``features_0``, ... (B, C, h, w) are those of :mod:`dotcount.inference.features`.

    Parameters
    ----------
    model
        What to export.
    properties
        More entries for the file's metadata, beside the model's settings.
    side
        For programs that take one size only: B = 1, H = W = ``side``, and the density in objects per pixel, at the size
        of the image. Absent: any size.

    Raises
    ------
    ModelError
        If the network can't be traced.
    """
    import onnx
    from onnxscript import optimizer

    module = copy.deepcopy(model.module).cpu().eval()
    graph: nn.Module = _WithFeatures(module) if side is None else _Pixels(module, side)
    names = [f"{FEATURES}_{k}" for k in range(len(feature_layers(module)))] if side is None else []
    example = torch.zeros(_TRACED) if side is None else torch.zeros(1, 3, side, side)
    buffer = io.BytesIO()
    try:
        with warnings.catch_warnings(), torch.no_grad():
            # Branches on shapes are fixed by the trace; whether that matters, the comparison at other sizes tells.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                graph,
                (example,),
                buffer,  # type: ignore[arg-type]
                dynamo=False,
                input_names=[INPUT],
                output_names=[OUTPUT, *names],
                dynamic_axes=_DYNAMIC | dict.fromkeys(names, _AXES) if side is None else None,
                opset_version=OPSET,
            )
            # A trace computes even the widths of paddings. As constants, ONNX Runtime makes them part of the
            # convolutions: the same numbers, in three quarters of the time and half the memory with lite0.
            file = optimizer.optimize(onnx.load_model_from_string(buffer.getvalue()))
    except Exception as error:  # whatever an operator without a counterpart leads to
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"model {model.metadata.model} can't be exported to ONNX ({reason}); use PyTorch") from error
    file.producer_name, file.producer_version = "dotcount", model.metadata.dotcount_version
    onnx.helper.set_model_props(file, {**properties, **_described(model, module)})
    written: bytes = file.SerializeToString()
    return written


def _described(model: TrainedModel, module: nn.Module) -> dict[str, str]:
    runtime = as_runtime(module)
    network: dict[str, Any] = facts(runtime) | {
        "weights": weights_digest(module),
        "source": model.source,
    }
    return {SETTINGS: model.metadata.to_json(), NETWORK: json.dumps(network)}


class _WithFeatures(nn.Module):
    """The density, and after it what each feature layer of the network has, see :mod:`dotcount.inference.features`."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return (B, 1, h, w) and (B, C, h', w') for each layer."""
        with tapped(self.network) as features:
            density = self.network(images)
        return (density, *features)


class _Pixels(nn.Module):
    """The density in objects per pixel, at the size of the image: the mass of a cell is shared evenly by its pixels."""

    def __init__(self, network: nn.Module, side: int) -> None:
        super().__init__()
        self.network, self.side = network, side

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, 1, side, side)."""
        stride = int(self.network.stride)  # type: ignore[arg-type]
        cells = self.network(images) / stride**2
        return cells.repeat_interleave(stride, 2).repeat_interleave(stride, 3)[..., : self.side, : self.side]
