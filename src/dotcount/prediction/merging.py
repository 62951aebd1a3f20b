"""From the results of all shards of a job to those of the whole, as one run would have written them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dotcount.data.formats.base import Table
from dotcount.errors import DataError, UsageError
from dotcount.files import mark_output, nearest, reason
from dotcount.folders import writing_folder
from dotcount.prediction.journal import JOURNAL, Settings, Summary, read_manifest, write_manifest
from dotcount.prediction.output import KIND
from dotcount.prediction.sinks import Annotations, Sink, create_sink
from dotcount.prediction.sinks.annotations import ROWS
from dotcount.tables import concatenate

FOLDER = "shard-{:0{width}}-of-{}"


def shard_folder(out: Path, index: int, number: int) -> Path:
    """Return where the results of a shard go.

    Examples
    --------
    >>> from pathlib import Path
    >>> shard_folder(Path("counts"), 3, 16).as_posix()
    'counts/shard-03-of-16'
    """
    return out / FOLDER.format(index, number, width=len(str(number)))


def merge(sources: Sequence[str | Path], out: str | Path) -> Summary:
    """Write the results of all shards of one job as one run would have written them.

    Rows come in the order of the images. The shards stay as they are; ``out`` appears complete or not at all.

    Parameters
    ----------
    sources
        Folders of shards, or folders that hold them.
    out
        The folder to write.

    Raises
    ------
    DataError
        If a shard is missing, unfinished, there twice, or of another job.
    OutputError
        If the folder is there and not empty, or can't be written.

    Examples
    --------
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> import dotcount
    >>> from dotcount.prediction import find
    >>> for name in "abc":
    ...     Image.new("L", (64, 48)).save(f"{name}.png")
    >>> predictor, files = dotcount.load("cells"), find("*.png")
    >>> for k in (1, 2):
    ...     _ = list(predictor.stream(files.sharded(k, 2), out=shard_folder(Path("job"), k, 2), sinks=["csv"]))
    >>> merge(["job"], "counts").counted
    3
    """
    shards = _shards([Path(source) for source in sources])
    settings = replace(shards[0][1], shard=(1, 1))
    summary = _sum([found for _, _, found in shards])
    sinks = [_sink(name, shards[0][0]) for name in settings.write]
    names = list(dict.fromkeys(name for sink in sinks for name in sink.names))
    with writing_folder(Path(out)) as target:
        for sink in sinks:
            for name in sink.names:
                _join(sink, name, [folder for folder, _, _ in shards], target)
        write_manifest(target, settings, summary)
        mark_output(target, KIND, "dotcount merge", [name.rstrip("/") for name in (*names, "prediction.json")])
    return summary


def _shards(sources: Sequence[Path]) -> list[tuple[Path, Settings, Summary]]:
    """Return folder, settings and summary of each shard, in order."""
    folders: list[Path] = []
    for source in sources:
        if not source.exists():
            raise DataError(f"folder {source} does not exist; check the path.{nearest(source)}")
        inside = sorted(source.glob("shard-*-of-*")) if source.is_dir() else []
        folders += inside or [source]
    found: dict[int, tuple[Path, Settings, Summary]] = {}
    for folder in folders:
        manifest = read_manifest(folder)
        if manifest is None:
            state = "is not finished" if (folder / JOURNAL).exists() else "holds no results of a shard"
            raise DataError(f"{folder} {state}; run its shard, which goes on where it stopped, then merge again")
        settings, summary = manifest
        index = settings.shard[0]
        if index in found:
            raise DataError(f"{folder} and {found[index][0]} are both shard {index}; name one of them")
        found[index] = folder, settings, summary
    if not found:
        raise DataError("no shard given; name the folder that `dotcount predict` wrote shards to")
    first, wanted, _ = next(iter(found.values()))
    for folder, settings, _ in found.values():
        if settings.shard[1] != wanted.shard[1]:
            raise DataError(f"{folder} is one of {settings.shard[1]} shards, {first} one of {wanted.shard[1]}")
        difference = replace(settings, shard=(1, 1)).difference(replace(wanted, shard=(1, 1)))
        if difference is not None:
            raise DataError(
                f"{folder} and {first} are not of one job: the second is {difference}; run one of them again"
            )
    missing = [str(k) for k in range(1, wanted.shard[1] + 1) if k not in found]
    if missing:
        raise DataError(
            f"of {wanted.shard[1]} shards, {', '.join(missing[:10])} {'is' if len(missing) == 1 else 'are'} missing; "
            "run them, then merge again"
        )
    return [found[k] for k in sorted(found)]


def _sum(parts: Sequence[Summary]) -> Summary:
    total = Summary(left_out=list(parts[0].left_out))
    for part in parts:
        for name in ("counted", "failed", "warned", "count", "without_interval", "unlike", "moments"):
            setattr(total, name, getattr(total, name) + getattr(part, name))
        total.common, total.squares = total.common + part.common, total.squares + part.squares
        total.rule = total.rule or part.rule
        total.first_error = total.first_error or part.first_error
        total.files.update(part.files)
    return total


def _sink(name: str, folder: Path) -> Sink:
    try:
        return create_sink(name.partition(" ")[0])  # merging needs no settings
    except UsageError as error:
        raise DataError(
            f"{folder} holds what {name!r} wrote, which this dotcount does not know; merge it there"
        ) from error


def _join(sink: Sink, name: str, folders: Sequence[Path], target: Path) -> None:
    """Write what a sink wrote into all shards."""
    if len(folders) == 1 and name.endswith("/"):
        _copy(folders[0] / name, target / name)
        return
    if isinstance(sink, Annotations) and isinstance(sink.form, Table):
        rows = "".join((folder / name / ROWS).read_text(encoding="utf-8") for folder in folders)
        (target / name).mkdir()
        sink.write_table(target / name / sink.form.filename, rows)
        return
    if name.endswith("/"):
        for folder in folders:
            _copy(folder / name, target / name)
        return
    if name.endswith(".parquet"):
        concatenate(target / name, [folder / name for folder in folders])
        return
    with (target / name).open("wb") as whole:
        header = b""
        for folder in folders:
            with (folder / name).open("rb") as part:
                if name.endswith(".csv"):
                    first = part.readline()
                    if header and first != header:
                        raise DataError(f"{folder / name} has other columns than those of the shards before")
                    whole.write(b"" if header else first)
                    header = first
                shutil.copyfileobj(part, whole, 1 << 20)


def _copy(source: Path, target: Path) -> None:
    """Copy the files of a folder, none of which may be there already."""
    for path in sorted(source.rglob("*")) if source.is_dir() else ():
        place = target / path.relative_to(source)
        if path.is_dir():
            continue
        if place.exists():
            raise DataError(f"two shards wrote {place.name}; rename one of the images, and run both again")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, place)
        except OSError as error:
            raise DataError(f"can't copy {path}: {reason(error)}; free some space") from error
