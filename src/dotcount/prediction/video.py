"""Reading and writing of videos; the only file that imports PyAV."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from dotcount.data.images import PixelArray
from dotcount.data.images.opening import open_raster
from dotcount.errors import ImageReadError, InputError


@dataclass(frozen=True)
class VideoSampling:
    """Which frames of a video are counted: each ``frames``-th, or one in ``seconds``; one of the two is given.

    Examples
    --------
    >>> VideoSampling(seconds=2.0).described()
    'one frame in 2 s'
    """

    seconds: float | None = None
    frames: int | None = None

    def __post_init__(self) -> None:
        if (self.seconds is None) == (self.frames is None):
            raise InputError("give either the seconds or the number of frames from one counted frame to the next")
        if self.seconds is not None and not (math.isfinite(self.seconds) and self.seconds > 0):
            raise InputError(f"seconds from frame to frame must be positive; got {self.seconds}")
        if self.frames is not None and self.frames < 1:
            raise InputError(f"number of frames must be at least 1; got {self.frames}")

    def described(self) -> str:
        """Return the choice in words."""
        if self.frames is not None:
            return "every frame" if self.frames == 1 else f"one of {self.frames} frames"
        return f"one frame in {self.seconds:g} s"


EACH_SECOND = VideoSampling(seconds=1.0)


@dataclass(frozen=True, eq=False)
class VideoPicture:
    """One frame: its number from 0, its time from the beginning, s, and its pixels, converted when asked for."""

    index: int
    time: float
    _frame: Any

    def pixels(self) -> PixelArray:
        """Return (H, W, 3) uint8 RGB, turned upright as players show it."""
        rgb: PixelArray = self._frame.to_ndarray(format="rgb24")
        turns = round((getattr(self._frame, "rotation", 0) or 0) / 90) % 4
        return np.ascontiguousarray(np.rot90(rgb, turns)) if turns else rgb


def read_video(path: Path, sampling: VideoSampling = EACH_SECOND) -> Iterator[VideoPicture]:
    """Yield the chosen frames of a video, in order.

    Raises
    ------
    ImageReadError
        After the readable frames: if the file can't be opened, ends too early, or has damaged parts.
    """
    av = _av(path)
    try:
        container = av.open(str(path))
        stream = container.streams.video[0]
    except (av.error.FFmpegError, IndexError, OSError, ValueError) as error:
        reason = "it holds no moving pictures" if isinstance(error, IndexError) else getattr(error, "strerror", error)
        raise ImageReadError(f"video {path} can't be read ({reason}); check the file") from error
    with container:
        stream.thread_type = "AUTO"
        number, damaged, last, due, first = 0, 0, 0.0, 0.0, None
        for frames in _decoded(av, container, stream):
            if frames is None:
                damaged += 1
                continue
            for frame in frames:
                stamp = float(frame.time) if frame.time is not None else number / float(stream.average_rate or 25)
                first = stamp if first is None else first
                last = stamp - first
                if sampling.frames is not None:
                    chosen = number % sampling.frames == 0
                else:
                    assert sampling.seconds is not None
                    chosen = last >= due - 1e-6
                    if chosen:
                        due = (math.floor(last / sampling.seconds + 1e-6) + 1) * sampling.seconds
                if chosen:
                    yield VideoPicture(number, last, frame)
                number += 1
        _require_whole(path, container, stream, number, damaged, last)


def _decoded(av: Any, container: Any, stream: Any) -> Iterator[list[Any] | None]:
    """Yield the frames of each packet; ``None`` for a packet that can't be decoded."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                return
            frames = packet.decode()
        except (av.error.FFmpegError, OSError):
            yield None
            if packet is None:
                return
        else:
            yield frames


def _require_whole(path: Path, container: Any, stream: Any, number: int, damaged: int, last: float) -> None:
    """Raise an error if a video holds fewer frames than it states, or had parts that could not be read."""
    read = f"{number:,} frame{'' if number == 1 else 's'}, up to {last:.2f} s, could be read"
    if damaged:
        raise ImageReadError(f"video {path} is damaged in {damaged:,} places; {read}; copy it again")
    if stream.frames and number < stream.frames:
        raise ImageReadError(f"video {path} is cut off: it states {stream.frames:,} frames; {read}; copy it again")
    rate = float(stream.average_rate or 0)
    length = float(container.duration) / 1e6 if container.duration else 0.0
    if not number or (rate and length and last + 2.5 / rate + 0.2 < length and not stream.frames):
        raise ImageReadError(f"video {path} is cut off: it states {length:.2f} s; {read}; copy it again")


_TICKS = 1000
"""Moments of a written video in a second."""


def write_video(path: Path, pictures: Sequence[tuple[Path, float]], last: float = 1.0) -> None:
    """Write pictures as a video (H.264 in MP4), each shown from its own time until that of the next one.

    Smaller pictures are shown in the middle of the upper edge of what the largest ones need.

    Parameters
    ----------
    path
        The video.
    pictures
        Files and their times, s, ascending.
    last
        How long the last picture is shown, s.
    """
    av = _av(path)
    sizes = [open_raster(picture).size for picture, _ in pictures]
    width, height = (max(sides) + max(sides) % 2 for sides in zip(*sizes))  # colours are stored for each 2 x 2 pixels
    order = np.arange(len(pictures))
    ticks = np.rint([(seconds - pictures[0][1]) * _TICKS for _, seconds in pictures]) - order
    ticks = np.maximum.accumulate(ticks) + order  # no two at one moment
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(_TICKS), options={"bf": "0"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = Fraction(1, _TICKS)
        packets: list[Any] = []
        for (picture, _), tick in zip(pictures, ticks):
            frame = av.VideoFrame.from_ndarray(_padded(picture, width, height), format="rgb24")
            frame.pts, frame.time_base = int(tick), Fraction(1, _TICKS)
            packets += stream.encode(frame)
            while len(packets) > 1:
                container.mux(packets.pop(0))
        packets += stream.encode()
        packets[-1].duration = max(1, round(last / packets[-1].time_base))  # the one without a next
        container.mux(packets)


def _padded(picture: Path, width: int, height: int) -> PixelArray:
    image = open_raster(picture).convert("RGB")
    canvas = np.zeros((height, width, 3), np.uint8)
    left = (width - image.width) // 2
    canvas[: image.height, left : left + image.width] = np.asarray(image)
    return canvas


def _av(path: Path) -> Any:
    try:
        import av
    except ImportError as error:
        raise ImageReadError(f"{path} is a video; run `pip install dotcount[video]`") from error
    return av
