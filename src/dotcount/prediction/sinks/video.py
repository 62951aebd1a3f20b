"""Videos with density and located points drawn in."""

from __future__ import annotations

import json
from collections import defaultdict

import numpy as np

from dotcount.inference.result import Prediction
from dotcount.prediction.frame import Frame
from dotcount.prediction.output import OutputFolder
from dotcount.prediction.sinks.base import SINKS, Sink
from dotcount.prediction.video import write_video
from dotcount.report.overlay import overlay
from dotcount.temporary import remove


@SINKS.register("video")
class AnnotatedVideos(Sink):
    """``videos/NAME.mp4``, of the frames that were counted, in their own time."""

    title = "videos with density and points drawn in"
    names = ("videos/",)

    def open(self, out: OutputFolder) -> None:
        """Begin or continue."""
        self._out, self._file = out, out.grow("videos/rows", scratch=True)

    def write(self, frame: Frame, prediction: Prediction | None) -> None:
        """Draw one frame; a run that is stopped keeps it."""
        if prediction is None or frame.meta.time is None:
            return
        video, _, number = frame.name.rpartition("#")
        side = max(prediction.width, prediction.height)  # the same for all, whatever their points
        with self._out.file(f"videos/{video}.frames/{number}.jpg") as path:
            overlay(frame.display, prediction, side=min(1280, side)).save(path, format="JPEG", quality=90)
        self._file.write(json.dumps([video, number, frame.meta.time]) + "\n")

    def close(self) -> None:
        """Make the videos of the pictures."""
        videos = defaultdict(list)
        for video, number, seconds in map(json.loads, self._file.text().splitlines()):
            videos[video].append((number, seconds))
        for video, frames in videos.items():
            folder = self._out.path / "videos" / f"{video}.frames"
            steps = np.diff([seconds for _, seconds in frames])
            length = float(np.median(steps)) if len(steps) and np.median(steps) > 0 else 1.0
            with self._out.file(f"videos/{video}.mp4") as path:
                write_video(path, [(folder / f"{number}.jpg", seconds) for number, seconds in frames], length)
            remove(folder)
