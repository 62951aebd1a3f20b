"""Heavy work in one process of its own: it has a time limit, and whatever a picture does to it, the server goes on.

Decoders and networks can't be interrupted, and a damaged file may end a process. So the server itself decodes nothing
and holds no network; a worker does, one job after the other, and is ended and started anew when a job takes too long.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from dotcount.errors import DotcountError
from dotcount.process import keep_freed_memory, let_threads_sleep
from dotcount.web.limits import Refusal

Work = Callable[[Any], Any]
START_SECONDS = 300.0
"""Time for loading a model."""


class Worker:
    """Runs jobs one after the other in a process of its own.

    Parameters
    ----------
    make
        Called in the new process, where it imports and loads what takes long; returns what does a job. It and all jobs
        and results must be picklable. A ``Refusal`` or :class:`~dotcount.errors.DotcountError` of a job is raised here.
    seconds
        Time for one job.
    waiting
        Jobs that may wait.

    Examples
    --------
    >>> import asyncio
    >>> from functools import partial
    >>> from operator import mul
    >>> async def ask():
    ...     worker = Worker(partial(partial, mul, 2), seconds=60, waiting=4)  # makes what doubles numbers
    ...     try:
    ...         return await worker.run(21)
    ...     finally:
    ...         worker.close()
    >>> asyncio.run(ask())
    42
    """

    def __init__(self, make: Callable[[], Work], *, seconds: float, waiting: int) -> None:
        self._make, self._seconds, self._most = make, seconds, waiting
        self._process: Any = None
        self._pipe: Connection | None = None
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._fresh = True

    def start(self) -> None:
        """Start the process, unless it runs; :meth:`run` does so by itself."""
        if self._process is not None and self._process.is_alive():
            return
        self.close()
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(self._make, theirs), daemon=True, name="dotcount-worker")
        self._process.start()
        theirs.close()
        self._fresh = True

    async def run(self, job: Any) -> Any:
        """Return what comes of a job.

        Raises
        ------
        Refusal
            503 if too many jobs wait, 504 if this one takes too long, 500 if it ends its process.
        DotcountError
            What the job raises.
        """
        if self._waiting >= self._most:
            raise Refusal(503, f"{self._waiting} images are waiting already; try again in a moment")
        self._waiting += 1
        task = asyncio.create_task(self._run(job))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # told even if nobody waits for it
        # A visitor who leaves must not leave a half-read answer in the pipe: the job is finished all the same.
        return await asyncio.shield(task)

    async def _run(self, job: Any) -> Any:
        try:
            async with self._turn:
                return await asyncio.to_thread(self._ask, job)
        finally:
            self._waiting -= 1

    def _ask(self, job: Any) -> Any:
        self.start()
        assert self._pipe is not None
        try:
            if self._fresh:
                self._await_start()
            self._pipe.send(job)
            return self._receive(self._seconds)
        except (EOFError, OSError) as error:
            self.close()
            raise Refusal(500, "this image ended the process that counts; convert it to PNG and try again") from error

    def _await_start(self) -> None:
        """Wait until what does the work is made; if it can't be, the next job tries anew."""
        try:
            self._receive(START_SECONDS)
        except (DotcountError, Refusal):
            self.close()
            raise
        self._fresh = False

    def _receive(self, seconds: float) -> Any:
        assert self._pipe is not None
        if not self._pipe.poll(seconds):
            self.close()
            raise Refusal(504, f"it took longer than {seconds:,.0f} s and was ended; cut the image into parts")
        kind, value = self._pipe.recv()
        if kind == "error":
            raise value
        return value

    def close(self) -> None:
        """End the process."""
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            self._process.kill()
            self._process.join()
        self._pipe = self._process = None


def _work(make: Callable[[], Work], pipe: Connection) -> None:
    """Be the worker: answer jobs until the server is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server is interrupted, and ends this process
    keep_freed_memory()
    let_threads_sleep()
    with suppress(EOFError, OSError):
        work = _answer(pipe, make)
        while work is not None:
            job = pipe.recv()
            _answer(pipe, lambda job=job: work(job))  # type: ignore[misc]


def _answer(pipe: Connection, act: Callable[[], Any]) -> Any:
    """Do something and send what came of it; returns it, None after an error."""
    try:
        value = act()
    except (DotcountError, Refusal) as error:
        pipe.send(("error", error))
        return None
    except MemoryError:
        pipe.send(("error", Refusal(507, "not enough memory for this image; cut it into tiles")))
        return None
    except Exception as error:  # one odd image must not end the process: loading a model takes seconds
        pipe.send(("error", Refusal(500, f"this may be a defect of dotcount: {type(error).__name__}: {error}"[:300])))
        return None
    pipe.send(("done", None if callable(value) else value))
    return value
