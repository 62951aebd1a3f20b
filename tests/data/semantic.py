"""Semantic fuzzing: valid annotations, changed so that they stay valid or turn ambiguous, never lose a dot in silence.

    python -m tests.data.semantic --minutes 30 --seed 0 [--format coco]

Random dots are written by every writer of the package. A change then keeps what the file means (another order, unknown
keys, numbers in another form, another spelling of the image's name) or leaves it open (an image listed again, another
shape, half the size, a value that is missing). Opening the folder must give the same dots, or an error. Anything else
is printed with the seed that brings it back.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import sys
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import numpy as np
import scipy.io
from PIL import Image

from dotcount.data import Collection, convert, open_collection
from dotcount.data.formats import FORMATS
from dotcount.errors import DotcountError

from .formats.test_roundtrip import by_position, collection_of, spread

NAMES = ("a b.png", "Übung.png", "IMG_1.png", "plot/c.png")
WRITTEN = tuple(name for name in FORMATS if FORMATS.create(name).writable)
JSON, XML = ("coco", "label_studio", "labelme", "via", "geojson", "jsonl"), ("cvat", "voc")
IDS, SIZES = ("id", "image_id", "category_id"), ("width", "height", "imageWidth", "imageHeight")
KINDS = ("shape_type", "type", "name")
Change = Callable[[Any, random.Random], Any]


def nodes(value: Any) -> Iterator[Any]:
    """Yield all objects and lists of a JSON value, outermost first."""
    if isinstance(value, (dict, list)):
        yield value
        for item in value.values() if isinstance(value, dict) else value:
            yield from nodes(item)


def one(value: Any, rng: random.Random, fits: Callable[[Any], bool]) -> Any:
    """Return one of the nodes that fit; an empty object where none does."""
    found = [node for node in nodes(value) if fits(node)]
    return rng.choice(found) if found else {}


def reorder(value: Any, rng: random.Random) -> Any:
    if isinstance(value, dict):
        items = [(k, reorder(v, rng)) for k, v in value.items()]
        return dict(rng.sample(items, len(items)))
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return [reorder(item, rng) for item in rng.sample(value, len(value))]
    return value


def add_key(value: Any, rng: random.Random) -> Any:
    node = one(value, rng, lambda n: isinstance(n, dict))
    node[rng.choice(["zz", "note", "attributes", "score"])] = rng.choice([None, 1, "x", [], {}, {"a": [1]}])
    return value


def numbers(value: Any, form: Callable[[float], Any], keys: tuple[str, ...] | None = None, inside: bool = False) -> Any:
    """Return the value with its numbers, or those under some keys, in another form."""
    if isinstance(value, dict):
        return {k: numbers(v, form, keys, keys is None or k in keys) for k, v in value.items()}
    if isinstance(value, list):
        return [numbers(v, form, keys, keys is None) for v in value]
    return form(value) if inside and isinstance(value, (int, float)) and not isinstance(value, bool) else value


def damage(value: Any, rng: random.Random) -> Any:
    node = one(value, rng, lambda n: bool(n))
    key = rng.choice(list(node) if isinstance(node, dict) else range(len(node))) if node else None
    if key is None:
        return value
    what = rng.randrange(5)
    if what == 0 and isinstance(node, dict):
        del node[key]
    else:
        node[key] = [None, float("nan"), {}, [], "x"][what]
    return value


def another_kind(value: Any, rng: random.Random) -> Any:
    node = one(value, rng, lambda n: isinstance(n, dict) and any(isinstance(n.get(k), str) for k in KINDS))
    for key in KINDS:
        if isinstance(node.get(key), str):
            node[key] = rng.choice(
                ["blob", "brushlabels", "mask", "cuboid", "polygon", "points", "Cell", "rect", "circle"]
            )
            break
    return value


def again(value: Any, rng: random.Random) -> Any:
    """List an image again: as it was, without dots, or under a second key."""
    copy = json.loads(json.dumps(value))
    if isinstance(value, dict) and isinstance(value.get("images"), list):
        entry = rng.choice(copy["images"])
        value["images"].append({**entry, "id": rng.choice([entry["id"], 999])})
    elif isinstance(value, list) and value and "data" in value[0]:
        entry = rng.choice(copy)
        entry["annotations"] = rng.choice([entry["annotations"], [{"result": []}], []])
        value.append(entry)
    elif isinstance(value, dict) and value and all(isinstance(v, dict) and "regions" in v for v in value.values()):
        entry = rng.choice(list(copy.values()))
        value["again"] = {**entry, "regions": rng.choice([entry["regions"], [], {}])}
    return value


def renamed(value: Any, rng: random.Random) -> Any:
    keys = ("file_name", "image", "filename", "imagePath")
    node = one(value, rng, lambda n: isinstance(n, dict) and any(isinstance(n.get(k), str) for k in keys))
    for key in keys:
        if isinstance(node.get(key), str):
            node[key] = respelt(node[key], rng)
    return value


def respelt(name: str, rng: random.Random) -> str:
    """Return another spelling of a name, as tools and systems write it, or a name that may be another's."""
    return rng.choice(
        [
            quote(name),
            "images/" + name,
            "C:\\data\\" + name.replace("/", "\\"),
            name.upper(),
            unicodedata.normalize("NFD", name),
            "/data/upload/1/0a1b2c3d-" + quote(name),
            "https://host/x/" + quote(name),
            "./" + name,
            Path(name).name,
            Path(name).stem,
            " " + name,
        ]
    )


ANY_JSON: dict[str, Change] = {
    "reordered": reorder,
    "unknown key": add_key,
    "whole numbers as floats": lambda v, _: numbers(v, float),
    "numbers as text": lambda v, _: numbers(v, str),
    "ids as text": lambda v, _: numbers(v, str, IDS),
    "half the size": lambda v, _: numbers(v, lambda n: n / 2, SIZES),
    "damaged": damage,
    "another kind": another_kind,
    "listed again": again,
    "renamed": renamed,
}


def change_xml(root: ElementTree.Element, rng: random.Random) -> str:
    """Change a tree in place and return what was done."""
    elements = list(root.iter())
    node = rng.choice(elements)
    what = rng.randrange(8)
    if what == 0:
        node[:] = rng.sample(list(node), len(node))
    elif what == 1:
        node.set("zz", "1")
    elif what == 2:
        node.append(ElementTree.Element(rng.choice(["zz", "attribute", "mask", "skeleton", "object"])))
    elif what == 3:
        node.tag = (
            rng.choice(["mask", "skeleton", "tag", "object", "part", "polygon"]) if node is not root else node.tag
        )
    elif what == 4 and node.attrib:
        del node.attrib[rng.choice(list(node.attrib))]
    elif what == 5 and len(root):
        entry = ElementTree.fromstring(
            ElementTree.tostring(rng.choice([e for e in root if e.tag != "version"] or list(root)))
        )
        if entry.tag == "image":  # of objects in a file of one image a second one is a second object
            if rng.random() < 0.5:
                entry[:] = []
            root.append(entry)
    elif what == 6:
        for e in elements:
            for key in ("width", "height"):
                if key in e.attrib:
                    e.set(key, str(int(e.attrib[key]) // 2))
            if e.tag in ("width", "height"):
                e.text = str(int(e.text or 0) // 2)
    else:
        for e in (e for e in elements if "name" in e.attrib):
            e.set("name", respelt(e.attrib["name"], rng))
    return f"xml change {what} at {node.tag}"


def change_text(text: str, rng: random.Random, table: bool) -> tuple[str, str]:
    """Return a csv or text file with what is nothing to its meaning, or names in another spelling."""
    lines = text.splitlines()
    what = rng.randrange(7)
    if what == 0:
        return "\r\n".join(lines) + "\r\n", "CRLF"
    if what == 1:
        return "\ufeff" + text, "a byte order mark"
    if what == 2:
        return "\n".join([*lines, "", ""]), "blank lines"
    if what == 3:
        body = lines[1:] if table else lines
        return "\n".join(lines[: len(lines) - len(body)] + rng.sample(body, len(body))) + "\n", "rows in another order"
    if table and what == 4:
        return "\n".join(f"{line},{'zz' if k == 0 else 7}" for k, line in enumerate(lines)) + "\n", "one more column"
    if table and what == 5 and '"' not in text:
        turned = [",".join(reversed(line.split(","))) for line in lines]
        return "\n".join(turned) + "\n", "columns in another order"
    if table and lines and lines[0].startswith("image,"):
        rows = [line.split(",", 1) for line in lines[1:] if "," in line]
        return "\n".join([lines[0], *(f"{respelt(a, rng)},{b}" for a, b in rows)]) + "\n", "renamed"
    return "\n".join(line + " " for line in lines) + "\n", "blanks at the end"


def change_mat(path: Path, rng: random.Random) -> str:
    held = {k: v for k, v in scipy.io.loadmat(path).items() if not k.startswith("_")}
    xy = held.pop("annPoints", None)
    if xy is None:
        return "mat: nothing"
    extra = rng.choice([{"comments": np.zeros((0, 0))}, {"area_range": np.array([[10.0, 20.0]])}, {"n": len(xy)}, {}])
    name = rng.choice(["annPoints", "points", "mine", "gt"])
    cells = np.empty((1, len(xy)), dtype=object)
    for k, row in enumerate(xy):
        cells[0, k] = row[None]
    form = rng.choice([xy, cells, {"location": xy}, {"x": xy[:, :1], "y": xy[:, 1:]}])
    scipy.io.savemat(path, rng.choice([{**extra, name: form}, {name: form, **extra}]))
    return f"mat: {name} as {type(form).__name__}, with {', '.join(extra) or 'nothing'}"


def change_mask(path: Path, rng: random.Random) -> str:
    stored = np.asarray(Image.open(path))
    marks = stored.max(axis=-1) > 0 if stored.ndim == 3 else stored > 0
    marks = ~marks if marks.mean() > 0.5 else marks
    what = rng.randrange(4)
    if what == 0:
        Image.fromarray(marks.astype(np.uint8)).save(path)
    elif what == 1:
        Image.fromarray(np.stack([marks * np.uint8(255), marks * 0, marks * 0], axis=-1).astype(np.uint8)).save(path)
    elif what == 2:
        Image.fromarray(np.where(marks, 0, 255).astype(np.uint8)).save(path)
    else:
        Image.fromarray((np.cumsum(marks.ravel()).reshape(marks.shape) * marks).astype(np.uint16)).save(path)
    return f"mask {('0/1', 'red', 'black on white', 'numbered')[what]}"


def change(format: str, path: Path, rng: random.Random) -> str:
    """Change one annotation file of a format and return what was done."""
    if format == "mat":
        return change_mat(path, rng)
    if format == "dot_mask":
        return change_mask(path, rng)
    if format == "imagej":
        return "nothing"
    if format in JSON:
        text = path.read_text(encoding="utf-8")
        done = rng.choice(list(ANY_JSON))
        lines = text.splitlines() if format == "jsonl" else [text]
        at = rng.randrange(len(lines))
        lines[at] = json.dumps(ANY_JSON[done](json.loads(lines[at]), rng))
        if format == "jsonl" and done == "listed again":
            lines.append(json.dumps({**json.loads(lines[at]), "points": []}))
            lines[-1] = json.dumps({k: v for k, v in json.loads(lines[-1]).items() if k != "classes"})
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return done
    if format in XML:
        root = ElementTree.parse(path).getroot()
        done = change_xml(root, rng)
        encoding = rng.choice(["utf-8", "utf-16", "us-ascii"])
        buffer = io.BytesIO()
        ElementTree.ElementTree(root).write(buffer, encoding=encoding, xml_declaration=True)
        path.write_bytes(buffer.getvalue())
        return done
    text, done = change_text(path.read_text(encoding="utf-8-sig"), rng, table=format != "yolo")
    path.write_text(text, encoding="utf-8", newline="")
    return done


def written(format: str, folder: Path, rng: random.Random) -> Collection:
    """Write random dots in a format, with classes or without, and read them back."""
    names = rng.sample(NAMES, rng.randint(1, 3))
    dots = {n: spread(rng.choice([0, 1, 2, 5]), 40, 30, rng.randrange(10**6)) for n in names}
    if not any(
        (xy > 1).any() for xy in dots.values()
    ):  # dots in the first pixel alone are refused: they look like shares
        dots[names[0]] = spread(3, 40, 30, 1)
    source = collection_of(folder / "in", dots)
    if rng.random() < 0.5:
        source = source.where(
            [replace(r, classes=tuple(rng.choice("ab") for _ in range(len(dots[r.name])))) for r in source.records]
        )
    return open_collection(convert(source, folder / "out", format), format=format)


def attempt(format: str, folder: Path, seed: int) -> str | None:
    """Write, change, read; return what was lost in silence, if anything was."""
    rng = random.Random(f"{format} {seed}")
    before = written(format, folder, rng)
    images = {r.image for r in before.records}
    beside = [p for p in sorted(before.root.rglob("*")) if p.is_file() and p not in images and p.name != "images.csv"]
    suffixes = FORMATS.create(format).suffixes
    files = [p for p in beside if p.suffix in suffixes and p.name != "classes.txt" and p.stat().st_size]
    done = ", ".join(change(format, rng.choice(files), rng) for _ in range(rng.randint(1, 2)))
    try:
        after = open_collection(before.root, format=rng.choice(["auto", format]))
    except DotcountError:
        return None
    found = {r.name: r.points for r in after.records}
    for record in before.records:
        expected, points = record.points, found.get(record.name)
        assert expected is not None
        if points is None or len(points) != len(expected):
            return f"{done}: {record.name} had {len(expected)} dots, has {'none' if points is None else len(points)}"
        if not np.allclose(by_position(points.xy), by_position(expected.xy), rtol=0, atol=0.51):
            return f"{done}: dots of {record.name} moved"
    return None


def main() -> int:
    """Try every format in turn until the time is over; 1 if a dot was lost in silence."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--format", choices=WRITTEN)
    args = parser.parse_args()
    until, tries, wrong = time.monotonic() + 60 * args.minutes, 0, 0
    while time.monotonic() < until:
        for format in [args.format] if args.format else WRITTEN:
            with tempfile.TemporaryDirectory() as folder:
                lost = attempt(format, Path(folder), args.seed + tries)
            if lost is not None:
                wrong += 1
                print(f"{format}, seed {args.seed + tries}: {lost}", flush=True)
        tries += 1
    print(f"{tries} rounds of {1 if args.format else len(WRITTEN)} formats, {wrong} silent losses")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
