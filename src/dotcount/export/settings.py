"""An exported model with other settings: the network in the file stays as it is."""

from __future__ import annotations

import json
from pathlib import Path

from dotcount.errors import ModelError, OutputError
from dotcount.files import reason, replacing
from dotcount.inference.runtimes.onnx_runtime import SETTINGS, read_facts
from dotcount.metadata import ModelMetadata

OUTPUT_SCALING = "reg_output_scaling"
"""The entry that the plug-in Deepness multiplies the density by."""


def with_settings(source: Path, target: Path, metadata: ModelMetadata) -> None:
    """Write an exported model anew, with other metadata.

    Parameters
    ----------
    source
        What ``dotcount export`` wrote.
    target
        The file to write; appears complete or not at all.
    metadata
        Of the same network.

    Raises
    ------
    ModelError
        If the file is damaged, or the metadata is of another network.
    OutputError
        If it can't be written.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from dotcount.export import export
    >>> _ = export("cells", "cells.onnx")
    >>> metadata = read_facts(Path("cells.onnx")).metadata
    >>> with_settings(Path("cells.onnx"), Path("mine.onnx"), replace(metadata, count_scale=2.0))
    >>> read_facts(Path("mine.onnx")).metadata.count_scale
    2.0
    """
    import onnx

    known = read_facts(source).metadata
    if (known.model, known.stride) != (metadata.model, metadata.stride):
        raise ModelError(f"{source} holds the model {known.model}, not {metadata.model}")
    file = onnx.load(source)
    for each in file.metadata_props:
        if each.key == SETTINGS:
            each.value = metadata.to_json()
        elif each.key == OUTPUT_SCALING:
            each.value = json.dumps(metadata.count_scale)
    try:
        with replacing(target) as temporary:
            temporary.write_bytes(file.SerializeToString())
    except OSError as error:
        raise OutputError(f"can't write {target}: {reason(error)}; choose another `out`") from error
