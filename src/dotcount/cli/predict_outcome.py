"""What came of a prediction run, in lines for the terminal and as an exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dotcount.metadata import CountInterval
    from dotcount.prediction import Summary


def summary_lines(summary: Summary, table: str, caution: str = "", interval: CountInterval | None = None) -> list[str]:
    """Return what came of a run as lines for the terminal; the last one sums up everything.

    Parameters
    ----------
    summary
        Of the run.
    table
        Where the counts are.
    caution
        What the validation images say against the model.
    interval
        Of the model, where it is known.
    """
    lines = []
    if summary.earlier:
        whole = summary.earlier == summary.total
        what = "all images were done" if whole else f"{summary.earlier:,} of {summary.total:,} images were done"
        lines.append(f"{what} by an earlier run of this command, and are kept{' (--overwrite repeats it)' * whole}")
    if summary.left_out:
        lines.append(f"left out: {left_out(summary)}")
    if summary.first_error is not None:
        lines.append(f"the first that failed: {summary.first_error}")
    if caution:
        lines.append(f"warning: the model on its validation images: {caution}")
    parts = [f"{summary.counted:,} of {summary.total:,} images counted{_total(summary, interval)}"]
    if summary.failed:
        parts.append(f"{summary.failed:,} FAILED (see the column error)")
    if summary.lacking:
        parts.append(f"{summary.lacking:,} left out")
    if summary.warned:
        parts.append(f"{summary.warned:,} with a warning (see the column warning)")
    return [*lines, f"{'; '.join(parts)}: {table}"]


def _total(summary: Summary, interval: CountInterval | None) -> str:
    """Return what the counts come to, with its interval or the reason why it has none; of a video, in one frame."""
    if not summary.counted:
        return ""
    of_video = summary.moments == summary.counted
    total = summary.mean(interval) if of_video else summary.sum(interval)
    text = f", {total.described()} objects {'a frame on average' if of_video else 'in all'}"
    if total.low is None and total.reason:
        text += f" (no interval: {total.reason})"
    if 0 < summary.moments < summary.counted:
        text += f", those of {summary.moments:,} frames of videos counted in each frame"
    return text


def left_out(summary: Summary) -> str:
    """Return what was left out, by kind, with an example and the way out."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name, kind, remedy in summary.left_out:
        groups.setdefault((kind, remedy), []).append(name)
    return "; ".join(f"{len(names):,} {kind}, such as {names[0]}: {remedy}" for (kind, remedy), names in groups.items())


def exit_code(summary: Summary, *, strict: bool) -> int:
    """Return 0 for a run that is good enough."""
    if strict:
        return int(bool(summary.failed or summary.lacking or summary.warned or not summary.counted))
    return 0 if summary.counted or not summary.total else 1
