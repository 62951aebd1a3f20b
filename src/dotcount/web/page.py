"""A counter as one page: the network, its settings and ONNX Runtime in a file that any browser opens, without a server.

Scripts, styles and data are inside ``index.html``, so that it works from a disk, too (``file://``), where browsers let
pages load nothing. ``vendor/`` holds ONNX Runtime's build for browsers (npm package ``onnxruntime-web`` 1.30.0, MIT),
its WebAssembly packed with xz; see docs/decisions/0036-pages-in-the-browser.md.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import lzma
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dotcount.folders import writing_folder
from dotcount.metadata import Familiarity, ModelMetadata
from dotcount.metadata.familiarity import BRIGHTNESS_MARGIN, TIMES_AS_LARGE, WARN_BELOW
from dotcount.prediction.frame import Frame
from dotcount.prediction.scale import LEAST_POINTS, SIZE_MARGIN, Scaling
from dotcount.theme import THEME

if TYPE_CHECKING:
    from dotcount.export import Parity
    from dotcount.inference.pixels import ImageLike

HERE = Path(__file__).parent
STATIC, VENDOR = HERE / "static", HERE / "vendor"
MODULES = (
    *("api", "viewer", "layers", "regions", "count"),
    *("pixels", "peaks", "familiarity", "network", "results", "local"),
)
"""The scripts of the page, each after those that it imports from."""


def write_page(run: str | Path, out: str | Path, images: Sequence[ImageLike] = (), *, replace: bool = False) -> Parity:
    """Write a page that counts photos by itself.

    Parameters
    ----------
    run
        What ``dotcount train`` wrote, or a published model.
    out
        The folder to make: ``index.html`` and the licence of what is inside.
    images
        Images on which the exported network is compared with PyTorch, besides made ones.
    replace
        Take the place of a folder that is there.

    Returns
    -------
    Parity
        How far the network's counts are apart, see :func:`dotcount.export.export`.

    Raises
    ------
    ModelError
        If there is no model, or the network can't be exported.
    OutputError
        If the folder is there already, or can't be written.

    Examples
    --------
    >>> parity = write_page("cells", "counter")
    >>> sorted(path.name for path in Path("counter").iterdir())
    ['LICENSE-onnxruntime', 'index.html']
    """
    from dotcount.export import export
    from dotcount.inference.runtimes.onnx_runtime import read_facts

    with writing_folder(Path(out), replace=replace) as folder, tempfile.TemporaryDirectory() as scratch:
        network = Path(scratch) / "model.onnx"
        parity = export(run, network, images=images)
        found = read_facts(network)
        settings = page_settings(Path(run).name, found.metadata, dict(found.network))
        (folder / "index.html").write_text(page_html(settings, network.read_bytes()), encoding="utf-8")
        licence = VENDOR / "LICENSE-onnxruntime"
        (folder / licence.name).write_bytes(licence.read_bytes())
    return parity


def page_settings(run: str, metadata: ModelMetadata, facts: dict[str, Any]) -> dict[str, Any]:
    """Return what the scripts of the page must know."""
    interval, training, validation = metadata.interval, metadata.training, metadata.validation
    deep = "the model was trained on images of more than 8 bits; in those of 8 bits objects may look different"
    cautions = [validation.caution] if validation is not None and validation.caution else []
    return {
        "info": {
            "run": run,
            "model": metadata.model,
            "data": training.data if training is not None else "",
            "level": interval.level if interval is not None and interval.finite else None,
            "caution": "; ".join(cautions),
            "outputs": ["csv", "overlays", "geojson"],
        },
        "metadata": {
            "input": {"resize": metadata.input.resize.to_dict()},
            "mirror": metadata.mirror,
            "peaks": {
                "method": metadata.peaks.method,
                "radius": metadata.peaks.radius,
                "threshold": metadata.peaks.threshold,
            },
            "count_scale": metadata.count_scale,
            "interval": interval.to_dict() if interval is not None else None,
        },
        "facts": {name: facts[name] for name in ("stride", "size_multiple", "receptive_radius", "ground")},
        "count_range": {"min": training.count.min, "max": training.count.max} if training is not None else None,
        "known": _known(metadata.familiarity),
        "distances": _distances(metadata.scale.object_sizes),
        "notes": [*_of_scale(metadata), *([deep] if metadata.input.intensity.low is not None else [])],
    }


def _known(rule: Familiarity | None) -> dict[str, Any] | None:
    """Return what a model knows of its training images: :class:`~dotcount.metadata.Familiarity` in the page's words."""
    if rule is None:
        return None
    return {
        **{
            name: getattr(rule, name)
            for name in ("features", "relative", "statistics", "variances", "rest", "threshold", "area", "brightness")
        },
        "warn_below": WARN_BELOW,
        "most": TIMES_AS_LARGE * rule.area,
        "margin": BRIGHTNESS_MARGIN,
    }


def _distances(sizes: tuple[float, float] | None) -> dict[str, Any] | None:
    """Return what distances of neighbours are foreign to a model."""
    return None if sizes is None else {"range": sizes, "points": LEAST_POINTS, "margin": SIZE_MARGIN}


def _of_scale(metadata: ModelMetadata) -> list[str]:
    """Return what is to be said of every photo, none of which states the size of its pixels."""
    photo = Frame("photo", error="none")
    Scaling(metadata)(photo)
    return photo.warnings


def page_html(settings: dict[str, Any], network: bytes) -> str:
    """Return the page: the markup of the server's page with everything inside; its policy lets in nothing else."""
    script = bundled(MODULES)
    style = "\n".join(path.read_text(encoding="utf-8") for path in (THEME, STATIC / "base.css", STATIC / "count.css"))
    wasm = lzma.decompress((VENDOR / "ort-wasm-simd-threaded.wasm.xz").read_bytes())
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src '{_digest(script)}' blob: 'wasm-unsafe-eval'",
            f"style-src '{_digest(style)}'",
            "img-src blob: data:",
            "worker-src blob:",
            "connect-src blob: data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    data = {
        "settings": ("application/json", json.dumps(settings, allow_nan=False).replace("<", "\\u003c")),
        "worker": ("text/plain", (STATIC / "worker.js").read_text(encoding="utf-8")),
        "ort": ("text/plain", _packed((VENDOR / "ort.wasm.bundle.min.mjs").read_bytes())),
        "wasm": ("text/plain", _packed(wasm)),
        "onnx": ("text/plain", _packed(network)),
    }
    parts = [f'<script type="{kind}" id="{name}">{text}</script>' for name, (kind, text) in data.items()]
    html = (HERE / "templates" / "count.html").read_text(encoding="utf-8")
    head, body = html.split("</head>")
    head = re.sub(r"<(link rel=\"stylesheet\"|script).*\n", "", head)
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    head = head.replace('<meta charset="utf-8">', f'<meta charset="utf-8">\n{meta}')
    main = body.replace("</body>", "\n".join((*parts, f'<script type="module">{script}</script>', "</body>")))
    return f"{head}<style>{style}</style>\n</head>{main}"


def bundled(names: Sequence[str]) -> str:
    """Return scripts as one module: what they import from each other is in it, and nothing is exported."""
    parts = []
    for name in names:
        text = (STATIC / f"{name}.js").read_text(encoding="utf-8")
        text = re.sub(r"^import [^;]*;\n", "", text, flags=re.MULTILINE)
        parts.append(re.sub(r"^export ", "", text, flags=re.MULTILINE))
    return "\n".join(parts)


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _packed(data: bytes) -> str:
    return base64.b64encode(gzip.compress(data, 9, mtime=0)).decode()
