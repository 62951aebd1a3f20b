"""Notebooks of the documentation: run them, keep what they print, show them as pages.

``python docs/notebooks.py docs/how-to/stream.ipynb`` runs a notebook in an empty folder and writes its outputs into it.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

Notebook = dict[str, Any]


def executed(notebook: Notebook) -> list[list[dict[str, Any]]]:
    """Return the outputs of each cell, run one after the other in a folder of their own."""
    names: dict[str, Any] = {"__name__": "__main__"}
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            return [_run("".join(cell["source"]), names) for cell in notebook["cells"] if cell["cell_type"] == "code"]
        finally:
            os.chdir(before)


def _run(code: str, names: dict[str, Any]) -> list[dict[str, Any]]:
    """Run one cell; what it prints, and the value of its last expression, are its outputs."""
    tree = ast.parse(code)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed, value = io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, "<cell>", "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), names)
    found: list[dict[str, Any]] = []
    if printed.getvalue():
        lines = printed.getvalue().splitlines(keepends=True)
        found.append({"output_type": "stream", "name": "stdout", "text": lines})
    if value is not None:
        data: dict[str, Any] = {"text/plain": repr(value).splitlines(keepends=True)}
        if isinstance(value, Image.Image):
            png = io.BytesIO()
            value.quantize(128).save(png, "PNG", optimize=True)  # small enough to be kept
            data = {"text/plain": ["a picture"], "image/png": base64.b64encode(png.getvalue()).decode()}
        found.append({"output_type": "execute_result", "execution_count": None, "metadata": {}, "data": data})
    return found


def page(notebook: Notebook, pictures: Path) -> str:
    """Return a notebook as Markdown; its pictures are written into a folder.

    Parameters
    ----------
    notebook
        With its outputs.
    pictures
        The folder, beside the page.
    """
    parts, number = [], 0
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(text)
            continue
        parts.append(f"```python\n{text}\n```")
        for output in cell["outputs"]:
            data = output.get("data", {"text/plain": output.get("text", [])})
            if "image/png" in data:
                number += 1
                pictures.mkdir(parents=True, exist_ok=True)
                (pictures / f"{number}.png").write_bytes(base64.b64decode(data["image/png"]))
                parts.append(f"![the picture above]({pictures.name}/{number}.png)")
            else:
                parts.append("```text\n" + "".join(data["text/plain"]).rstrip("\n") + "\n```")
    return "\n\n".join(parts) + "\n"


def main(path: Path) -> None:
    """Run a notebook and keep its outputs."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    found = iter(executed(notebook))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = next(found)
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
