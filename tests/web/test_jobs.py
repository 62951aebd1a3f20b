"""Work in a process of its own: errors, time-outs, deaths and queues."""

from __future__ import annotations

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from dotcount.errors import DataError
from dotcount.web.jobs import Worker
from dotcount.web.limits import Refusal


def act(job):
    name, value = job
    if name == "sleep":
        time.sleep(value)
    if name == "die":
        os._exit(3)
    if name == "data":
        raise DataError(value)
    if name == "odd":
        raise ZeroDivisionError(value)
    return os.getpid()


def run_apart(session):
    """Run a coroutine function in a thread of its own: the browser of other tests may hold this thread's event loop."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: asyncio.run(session())).result()


def make():
    return act


def make_nothing():
    raise DataError("no such model; choose another")


def test_a_worker_outlives_errors_and_is_replaced_when_it_hangs_or_dies():
    async def session():
        worker = Worker(make, seconds=1.0, waiting=4)
        try:
            first = await worker.run(("say", 0))
            with pytest.raises(DataError, match="broken"):
                await worker.run(("data", "broken"))
            with pytest.raises(Refusal, match="ZeroDivisionError"):
                await worker.run(("odd", "x"))
            assert await worker.run(("say", 0)) == first
            for job, status in ((("sleep", 60), 504), (("die", 0), 500)):
                with pytest.raises(Refusal) as refused:
                    await worker.run(job)
                assert refused.value.status == status
            second = await worker.run(("say", 0))
            assert second != first
            jobs = [asyncio.create_task(worker.run(("sleep", 0.3))) for _ in range(5)]
            await asyncio.sleep(0.05)
            jobs[0].cancel()  # a visitor who leaves: the job goes on, and the next does not read its answer
            results = await asyncio.gather(*jobs, return_exceptions=True)
            assert isinstance(results[0], asyncio.CancelledError)
            assert results[1:4] == [second] * 3
            assert isinstance(results[4], Refusal)
            assert results[4].status == 503
        finally:
            worker.close()

    run_apart(session)


def test_a_worker_that_cannot_start_says_why_each_time():
    async def session():
        worker = Worker(make_nothing, seconds=5, waiting=4)
        try:
            for _ in range(2):
                with pytest.raises(DataError, match="no such model"):
                    await worker.run(1)
        finally:
            worker.close()

    run_apart(session)
