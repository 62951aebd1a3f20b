"""A JSON file of results that fills up item by item, so that a run that was cut off goes on where it was."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import machine
from dotcount.files import write_text


class Record:
    """Results by section and item; an item that is there already is not measured again.

    ``minutes`` is the time from now after which no further item is begun.
    """

    def __init__(self, path: Path, device: torch.device, tiny: bool, minutes: float) -> None:
        self.path, self.end = path, time.monotonic() + 60 * minutes
        self.about = {"device": name(device), "machine": machine(), "torch": torch.__version__, "tiny": tiny}
        self.about["python"] = platform.python_version()
        self.content: dict[str, Any] = {"about": self.about, "left_out": []}
        if path.is_file():
            found = json.loads(path.read_text(encoding="utf-8"))
            if found.get("about") == self.about:  # figures of another machine or version are not gone on with
                self.content = found | {"left_out": []}

    def item(self, section: str, key: str, run: Callable[[], Any]) -> Any:
        """Measure an item unless it is known or time is up; a failure is a result, too."""
        known = self.content.setdefault(section, {})
        if key in known and "error" not in known[key]:
            return known[key]
        if time.monotonic() > self.end:
            self.content["left_out"].append(f"{section}: {key}")
            self.write()
            return None
        try:
            known[key] = run()
        except Exception as error:  # the other items are worth having all the same
            known[key] = {"error": f"{type(error).__name__}: {error}".splitlines()[0][:300]}
        self.write()
        print(json.dumps({section: {key: known[key]}}), flush=True)
        return known[key]

    def write(self) -> None:
        """Write the file under a temporary name and rename it."""
        write_text(self.path, json.dumps(self.content, indent=1) + "\n")


def name(device: torch.device) -> str:
    """Return what the device is called."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def seconds(run: Callable[[], object], device: torch.device, repeats: int) -> float:
    """Return the least seconds of ``repeats`` runs after one that warms up, each with an empty queue at its ends."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    run()
    times = []
    for _ in range(repeats):
        wait()
        started = time.perf_counter()
        run()
        wait()
        times.append(time.perf_counter() - started)
    return float(f"{min(times):.4g}")
