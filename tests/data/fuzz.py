"""Feed every reader damaged files for a while: ``python -m tests.data.fuzz --minutes 30 --out found``.

Starts from small valid files, changes them at random and keeps what reaches new lines where ``atheris`` is installed
(``pip install atheris``); without it the changes are drawn blindly. A reader may return dots or raise an error of the
package; anything else (another exception, a warning turned error, more than five seconds) is written to ``--out`` with
its traceback, once for each place in the code. Each target runs in a process of its own, so that a crash of a decoder
is found too. Cases that were found are tests in ``test_found.py``.
"""

from __future__ import annotations

import argparse
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

TOKENS = [b"null", b"[]", b"{}", b'"x"', b"1e999", b"-1", b"<a>", b"\x00", b"NaN", b"\n", b",", b"[[", b"1e-320"]
TOKENS += [b"9" * 25, b"\xff\xfe", b"\xef\xbb\xbf", b"true", b"&x;", b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"../"]
SLOW = 5.0
IMAGES = (".png", ".jpg", ".tif", ".bmp", ".gif", ".webp", ".ppm", ".jp2")
LAYOUTS = ("shanghaitech", "vgg_cells", "urban_trees", "ucf_qnrf", "ucf_cc_50", "jhu_crowd", "nwpu", "bone_marrow")
Target = tuple[list[bytes], Callable[[bytes], None]]


def format_target(name: str, folder: Path) -> Target:
    """Recognise and read a file of one annotation format, alone and as the dots of a folder."""
    from dotcount.data import open_collection
    from dotcount.data.formats import FORMATS, Sidecar
    from dotcount.errors import DotcountError

    from .formats.test_roundtrip import collection_of, sample, spread

    reader = FORMATS.create(name)
    (folder / "set").mkdir()
    collection_of(folder / "set", {"a.png": spread(2, 40, 30)})
    alone, within = folder / f"b{reader.suffixes[0]}", folder / f"set/a{reader.suffixes[0]}"
    within = within if not reader.pictures else folder / f"set/a_dots{reader.suffixes[0]}"

    def run(content: bytes) -> None:
        alone.write_bytes(content)
        reader.recognises(alone)
        with suppress(DotcountError):
            if isinstance(reader, Sidecar):
                assert reader.read(alone, 40, 30).xy.shape[1] == 2
            else:
                for _, listed in reader.read(alone):  # type: ignore[attr-defined]
                    assert listed.read(40, 30).xy.shape[1] == 2
        within.write_bytes(content)
        with suppress(DotcountError):
            open_collection(folder / "set", strict=False)

    return [sample(name, folder), *more_samples(name, folder)], run


def more_samples(name: str, folder: Path) -> list[bytes]:
    """Return valid files of other kinds that a format knows."""
    if name != "mat":
        return []
    import h5py
    import numpy as np

    path = folder / "v73.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["annPoints"] = np.ones((2, 4))
        group = file.create_group("#refs#")
        group["p"] = np.ones((2, 3))
        info = file.create_dataset("image_info", (1, 1), dtype=h5py.ref_dtype)
        info[0, 0] = group["p"].ref
    content = bytearray(path.read_bytes())
    content[:128] = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    return [bytes(content)]


def image_target(suffix: str, folder: Path) -> Target:
    """Read the size and the pixels of an image."""
    from dotcount.data.images import image_size, orientation, read_pixels
    from dotcount.errors import ImageReadError

    from .layouts import picture

    path = folder / f"b{suffix}"

    def run(content: bytes) -> None:
        path.write_bytes(content)
        for read in (image_size, orientation, read_pixels):
            try:
                read(path)
            except ImageReadError as error:
                if "\n" in str(error):
                    raise ValueError("an error of several lines") from error

    return [picture(folder / f"a{suffix}", 16, 12).read_bytes(), *deep_samples(suffix)], run


def deep_samples(suffix: str) -> list[bytes]:
    """Return colours of more than 8 bits, which are decoded on a way of their own."""
    import imagecodecs
    import numpy as np

    pixels = np.arange(16 * 12 * 3, dtype=np.uint16).reshape(12, 16, 3)
    if suffix == ".ppm":
        return [b"P6 16 12 4095\n" + pixels.astype(">u2").tobytes()]
    encode = {".png": imagecodecs.png_encode, ".jp2": imagecodecs.jpeg2k_encode}.get(suffix)
    return [bytes(encode(pixels))] if encode is not None else []


def layout_target(name: str, folder: Path) -> Target:
    """Open a benchmark's layout in which one annotation or list is damaged; the first byte chooses which."""
    from dotcount.data import open_collection
    from dotcount.errors import DotcountError

    from . import layouts

    root = folder / ("part_B" if name == "shanghaitech" else name)
    getattr(layouts, name)(root)
    (root / "splits.csv").write_text("image,split\na.png,train\n")
    files = sorted(p for p in root.rglob("*") if p.suffix in (".mat", ".txt", ".csv", ".json") and p.is_file())
    sound = {path: path.read_bytes() for path in files}
    (root / "splits.csv").unlink()

    def run(content: bytes) -> None:
        path = files[content[0] % len(files)] if content else files[0]
        path.write_bytes(content[1:])
        try:
            open_collection(root, strict=False)
        except DotcountError:
            pass
        finally:
            path.write_bytes(sound[path]) if path.name != "splits.csv" else path.unlink()

    return [bytes([k]) + content for k, content in enumerate(sound.values())], run


def model_target(_name: str, folder: Path) -> Target:
    """Load a model folder whose config.json or weights are damaged, and count a picture with what still loads.

    The first byte chooses the file.
    """
    import numpy as np

    from dotcount.errors import DotcountError
    from dotcount.prediction import load

    source = Path(__file__).parents[1] / "inference" / "old-model"
    place = folder / "model"
    shutil.copytree(source, place)
    files = [place / "config.json", place / "model.safetensors"]
    sound = [path.read_bytes() for path in files]
    picture = np.random.default_rng(0).integers(0, 255, (24, 32, 3), dtype=np.uint8)

    def run(content: bytes) -> None:
        which = content[0] % 2 if content else 0
        files[which].write_bytes(content[1:])
        try:
            found = load(place, device="cpu").predict(picture)
            low, high = found.interval or (0.0, np.inf)
            if not (np.isfinite(found.count) and 0 <= low <= found.count <= high):
                raise ValueError(f"count {found.count}, interval {found.interval}")
        except DotcountError as error:
            if "\n" in str(error):
                raise ValueError("an error of several lines") from error
        finally:
            files[which].write_bytes(sound[which])

    return [bytes([k]) + content for k, content in enumerate(sound)], run


def targets() -> dict[str, Callable[[str, Path], Target]]:
    """Return what can be fuzzed, by name."""
    from dotcount.data.formats import FORMATS

    found: dict[str, Callable[[str, Path], Target]] = {f"format-{name}": format_target for name in FORMATS}
    found |= {f"image-{suffix}": image_target for suffix in IMAGES}
    found["model-folder"] = model_target
    return found | {f"layout-{name}": layout_target for name in LAYOUTS}


def changed(content: bytes, rng: random.Random) -> bytes:
    """Return the content with one to four random changes."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(6)
        if kind == 0 and data:
            data[at % len(data)] = rng.randrange(256)
        elif kind == 1 and data:
            data[at % len(data)] ^= 1 << rng.randrange(8)
        elif kind == 2:
            data[at : at + rng.randrange(9)] = rng.choice(TOKENS)
        elif kind == 3:
            data[at : at + rng.randrange(1, 64)] = b""
        elif kind == 4:
            piece = data[at : at + rng.randrange(1, 64)]
            data[rng.randrange(len(data) + 1) :][:0] = piece
            data[at:at] = piece
        elif rng.random() < 0.2:
            del data[at:]
    return bytes(data)


class Watch:
    """Calls a target, and keeps what it should not do: one file for each place."""

    def __init__(self, name: str, run: Callable[[bytes], None], out: Path) -> None:
        self.name, self.run, self.out = name, run, out
        self.calls, self.seen = 0, set[str]()

    def __call__(self, content: bytes) -> None:
        self.calls += 1
        started = time.process_time()  # of this process alone: others may take the machine for a while
        (self.out / f"{self.name}.last").write_bytes(content)  # what it was, should the process end here
        try:
            self.run(content)
        except Exception as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            self._keep(f"{type(error).__name__} at {frame.filename}:{frame.lineno}", content, traceback.format_exc())
        if time.process_time() - started > SLOW:
            self._keep("slow", content, f"{time.process_time() - started:.1f} s")

    def _keep(self, what: str, content: bytes, told: str) -> None:
        if what not in self.seen:
            self.seen.add(what)
            stem = self.out / f"{self.name}-{len(self.seen)}"
            stem.with_suffix(".bin").write_bytes(content)
            stem.with_suffix(".txt").write_text(f"{what}\n{told}", encoding="utf-8")
            print(f"{self.name}: {what}", flush=True)


def fuzz(name: str, seconds: float, out: Path, seed: int) -> int:
    """Fuzz one target in this process; return the number of different findings."""
    resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30, 6 * 2**30))
    try:
        import atheris
    except ImportError:
        atheris = None
    with tempfile.TemporaryDirectory() as folder:
        if atheris is not None:
            with atheris.instrument_imports(include=["dotcount"]):
                samples, run = targets()[name](name.split("-", 1)[1], Path(folder))
        else:
            samples, run = targets()[name](name.split("-", 1)[1], Path(folder))
        watch = Watch(name, run, out)
        if atheris is None:
            rng, until = random.Random(seed), time.monotonic() + seconds
            while time.monotonic() < until:
                watch(changed(rng.choice(samples), rng))
        else:
            _with_atheris(atheris, watch, samples, seconds, seed, out / f"{name}.corpus")
    return len(watch.seen)


def _with_atheris(atheris, watch: Watch, samples: list[bytes], seconds: float, seed: int, corpus: Path) -> None:
    corpus.mkdir(exist_ok=True)
    for k, content in enumerate(samples):
        (corpus / f"sample{k}").write_bytes(content)

    def mutate(content: bytes, most: int, number: int) -> bytes:
        rng = random.Random(number)
        return (changed(content, rng) if rng.random() < 0.5 else atheris.Mutate(content, most))[:most]

    most = 2 * max(map(len, samples)) + 64
    words = [watch.name, f"-max_total_time={seconds:.0f}", f"-seed={seed + 1}", f"-max_len={most}", "-rss_limit_mb=0"]
    words.append(f"-artifact_prefix={corpus.parent}/")
    atheris.Setup([*words, "-verbosity=0", str(corpus)], watch, custom_mutator=mutate)
    atheris.Fuzz()


def main() -> int:
    """Fuzz all targets one after the other, each in its own process; 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--out", type=Path, default=Path("found"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", help="one target only, in this process")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    if args.target:
        return 1 if fuzz(args.target, args.minutes * 60, args.out, args.seed) else 0
    names = list(targets())
    crashed = []
    for name in names:
        words = ["--target", name, "--minutes", str(args.minutes / len(names)), "--out", str(args.out)]
        done = subprocess.run([sys.executable, "-m", "tests.data.fuzz", *words, "--seed", str(args.seed)], check=False)
        last = args.out / f"{name}.last"
        if done.returncode not in (0, 1):
            crashed.append(name)
            last.rename(args.out / f"{name}-crash.bin")
            print(f"{name}: ended with {done.returncode}", flush=True)
        last.unlink(missing_ok=True)
    found = sorted(args.out.glob("*.bin"))
    print(f"{len(names)} targets, {len(found)} findings, {len(crashed)} crashes")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
