"""The check of a whole collection."""

from __future__ import annotations

import dataclasses
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dotcount.data.benchmarks import BENCHMARKS
from dotcount.data.checks.dots import check_dots
from dotcount.data.checks.duplicates import duplicate_images
from dotcount.data.checks.finding import Finding
from dotcount.data.checks.pictures import ImageFacts, read_facts
from dotcount.data.checks.relation import check_relation
from dotcount.data.checks.statistics import Statistics, Suggestions, statistics, suggest
from dotcount.data.records import Collection, Record
from dotcount.data.splits import listed_digests
from dotcount.files import write_text

_ORDER = {"error": 0, "warning": 1, "info": 2}


@dataclass(frozen=True)
class DataCheck:
    """Findings, worst first, with the figures and what they suggest."""

    collection: Collection
    findings: tuple[Finding, ...]
    figures: Statistics | None
    suggestions: Suggestions | None

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Findings that make the data unfit."""
        return tuple(f for f in self.findings if f.severity == "error")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return {
            "root": str(self.collection.root),
            "format": self.collection.format,
            "note": self.collection.note,
            "left_out": [dataclasses.asdict(each) for each in self.collection.left_out],
            "findings": [dataclasses.asdict(f) for f in self.findings],
            "statistics": None if self.figures is None else dataclasses.asdict(self.figures),
            "suggestions": None if self.suggestions is None else dataclasses.asdict(self.suggestions),
        }

    def write_json(self, path: Path) -> None:
        """Write the report for programs."""
        write_text(path, json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n")


def check(collection: Collection, workers: int = 2) -> DataCheck:
    """Look for everything that commonly goes wrong with dots and images.

    Parameters
    ----------
    collection
        Opened with ``strict=False``, so that what the reader found is reported too.
    workers
        Threads that decode images.

    Notes
    -----
    Kinds of findings: what the reader found (``missing_image``, ``missing_annotation``, ``unreadable_annotation``,
    ``unreadable_image``, ``not_finite``), dots against their frame (``outside``, ``swapped_axes``, ``scaled``,
    ``off_by_one``, ``exif_rotated``), dots against the pictures (``misplaced``), ``duplicate_dots``, ``near_dots``,
    ``duplicate_across_splits``, ``duplicate_image``, ``empty``, ``exif``, ``class_imbalance``, ``totals``,
    ``changed`` (since the splits were made), ``partly_read``, ``mixed_depths``, ``no_dots``.
    """
    records = collection.records
    pictures = read_facts(records, workers)
    findings = [*_from_reader(collection)]
    named = {f.name for f in findings if f.kind in ("unreadable_image", "missing_image")}
    for record, picture in zip(records, pictures):
        if picture.error is not None and record.name not in named:
            findings.append(Finding("unreadable_image", "error", record.name, picture.error))
        findings += check_dots(record, picture)
    findings += duplicate_images(records, pictures)
    findings += check_relation(records, pictures)
    findings += _exif(records, pictures, {f.name for f in findings if f.kind == "exif_rotated"})
    findings += _partly_read(records, pictures)
    findings += _mixed_depths(records, pictures)
    findings += _changed(collection, pictures)
    findings += _empty(records)
    figures = statistics(collection)
    if figures is not None:
        findings += _imbalance(figures)
        findings += _totals(collection, figures)
    findings.sort(key=lambda f: (_ORDER[f.severity], f.kind, f.name))
    return DataCheck(collection, tuple(findings), figures, suggest(figures) if figures is not None else None)


def _from_reader(collection: Collection) -> Iterator[Finding]:
    for problem in collection.problems:
        if problem.kind != "outside":  # explained in detail by the check of the dots
            yield Finding(problem.kind, "error", problem.name, problem.message)


def _exif(records: Sequence[Record], pictures: Sequence[ImageFacts], explained: set[str]) -> Iterator[Finding]:
    for record, picture in zip(records, pictures):
        if picture.orientation != 1 and record.name not in explained:
            message = (
                f"{record.name} is stored turned or mirrored (EXIF orientation {picture.orientation}) and shown "
                "upright here; make sure that the dots were made on the upright picture"
            )
            yield Finding("exif", "warning", record.name, message)


def _partly_read(records: Sequence[Record], pictures: Sequence[ImageFacts]) -> Iterator[Finding]:
    """Tell of pages, channels and pixels that were not read; the same of many images once."""
    concerned: dict[str, list[str]] = defaultdict(list)
    for record, picture in zip(records, pictures):
        for note in picture.notes:
            concerned[note].append(record.name)
    for note, names in concerned.items():
        rest = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
        yield Finding("partly_read", "warning", names[0], f"{names[0]}{rest}: {note}", tuple(names[1:]))


def _mixed_depths(records: Sequence[Record], pictures: Sequence[ImageFacts]) -> Iterator[Finding]:
    """Tell of images of 8 bits beside deeper ones, in which the same object may be brighter or darker."""
    read = [(r.name, p.deep) for r, p in zip(records, pictures) if p.error is None]
    deep, shallow = ([name for name, is_deep in read if is_deep == wanted] for wanted in (True, False))
    if deep and shallow:
        message = (
            f"{len(deep):,} images have more than 8 bits (such as {deep[0]}) and {len(shallow):,} have 8 (such as "
            f"{shallow[0]}): the same object may differ in brightness; save all in one depth"
        )
        yield Finding("mixed_depths", "warning", "", message)


def _changed(collection: Collection, pictures: Sequence[ImageFacts]) -> Iterator[Finding]:
    """DataCheck files that differ from when the splits were made."""
    listed = listed_digests(collection.root)
    for record, picture in zip(collection.records, pictures):
        if picture.digest and listed.get(record.name, picture.digest) != picture.digest:
            message = (
                f"{record.name} is not the file that it was when splits.csv was written; split anew, or restore it"
            )
            yield Finding("changed", "warning", record.name, message)


def _empty(records: Sequence[Record]) -> Iterator[Finding]:
    """DataCheck images without dots where they are rare."""
    counted = [r for r in records if r.points is not None and r.error is None]
    empty = [r for r in counted if not r.count]
    if counted and len(empty) == len(counted):
        message = f"not one of the {len(counted):,} images has a dot; annotate some, or name the format of the dots"
        yield Finding("no_dots", "error", "", message)
        return
    if 0 < len(empty) <= max(1, len(counted) // 50):
        least = min((r.count or 0 for r in counted if r.count), default=0)
        for record in empty:
            message = f"{record.name} has no dots, while nearly all others have {least} or more; make sure it is empty"
            yield Finding("empty", "warning", record.name, message)


def _imbalance(figures: Statistics) -> Iterator[Finding]:
    total = sum(figures.classes.values())
    rare = {name: n for name, n in figures.classes.items() if n < 0.02 * total}
    if rare:
        text = ", ".join(f"{name} {n}" for name, n in rare.items())
        message = f"classes with less than 2 % of the {total:,} dots: {text}; too few to be learned apart"
        yield Finding("class_imbalance", "info", "", message)


def _totals(collection: Collection, figures: Statistics) -> Iterator[Finding]:
    """Compare with the published totals of a benchmark."""
    if collection.format not in BENCHMARKS:
        return
    benchmark = BENCHMARKS.create(collection.format)
    found = dict(figures.splits) | {"all": (figures.images, figures.dots)}
    for split, totals in benchmark.totals.items():
        if split not in found:
            continue
        images, dots = found[split]
        release = benchmark.release(split, images, dots)
        label = "" if split == "all" else f"{split}: "
        if release is not None:
            yield Finding("totals", "info", "", f"{label}{images:,} images, {dots:,} dots: {release}")
        else:
            known = " or ".join(f"{t.images:,} images, {t.dots:,} dots ({t.release})" for t in totals)
            message = f"{label}{images:,} images, {dots:,} dots; published: {known}; compare with a fresh copy"
            yield Finding("totals", "warning", "", message)
