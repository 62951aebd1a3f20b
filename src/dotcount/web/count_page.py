"""The page that counts photos: its routes.

``PUT /api/images?name=...`` (the file is the body) gives ``{"id"}``; ``POST /api/images/ID/count`` the result, once it
is there; below ``/api/images/ID/`` lie ``tiles/LEVEL/COLUMN/ROW``, ``density`` (float32, row by row) and ``points``
(float32 x, y, score); ``POST .../regions`` counts in outlines, ``POST /api/sum`` adds counts up, ``POST /api/results``
gives files. ``GET /api/info`` tells of the model and the limits.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from dotcount.errors import DataError
from dotcount.metadata import CountInterval
from dotcount.metadata.familiarity import WARN_BELOW
from dotcount.temporary import remove
from dotcount.web.access import LOCAL, Access
from dotcount.web.app import build_app, page
from dotcount.web.counting import OUTPUTS, CountJob, Model, WriteJob, kept
from dotcount.web.jobs import Worker
from dotcount.web.limits import DEFAULT, Refusal, ServerLimits, receive_file, receive_json
from dotcount.web.pyramid import read_tile
from dotcount.web.store import ImageStore, StoredImage


def count_app(
    run: str | Path,
    access: Access = LOCAL,
    limits: ServerLimits = DEFAULT,
    *,
    device: str = "auto",
    tile: int | None = None,
) -> ASGIApp:
    """Return the application that counts photos with a trained model.

    Parameters
    ----------
    run
        What ``dotcount train`` wrote, or a published model.
    access, limits
        Who may ask, and how much.
    device, tile
        See :func:`dotcount.load`.
    """
    page_ = CountPage(Model(Path(run), device, tile, limits.pixels), limits)
    return build_app(page_.routes(), access, limits, lifespan=page_.lifespan)


class CountPage:
    """Answers the requests of the page; one worker counts."""

    def __init__(self, model: Model, limits: ServerLimits) -> None:
        self.model, self.limits = model, limits
        self.worker = Worker(model, seconds=limits.seconds, waiting=limits.waiting)
        self.store: ImageStore
        self._info: dict[str, Any] | None = None

    def routes(self) -> list[Route]:
        """Return the routes."""
        one = "/api/images/{key}"
        return [
            Route("/", page("count.html")),
            Route("/api/info", self.info),
            Route("/api/images", self.upload, methods=["PUT"]),
            Route(one, self.delete, methods=["DELETE"]),
            Route(f"{one}/count", self.count, methods=["POST"]),
            Route(f"{one}/density", self.density),
            Route(f"{one}/points", self.points),
            Route(f"{one}/regions", self.regions, methods=["POST"]),
            Route(f"{one}/tiles/{{level:int}}/{{column:int}}/{{row:int}}", self.tile),
            Route("/api/sum", self.sum, methods=["POST"]),
            Route("/api/results", self.results, methods=["POST"]),
        ]

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Load the model while the page is opened; at the end remove all images."""
        self.store = ImageStore(self.limits)
        try:
            await asyncio.to_thread(self.worker.start)
            yield
        finally:
            self.worker.close()
            self.store.close()

    async def info(self, _: Request) -> Response:
        """Tell of the model and the limits."""
        limits = {"bytes": self.limits.upload_bytes, "pixels": self.limits.pixels}
        return JSONResponse({**await self._described(), "run": self.model.run.name, "limits": limits})

    async def upload(self, request: Request) -> Response:
        """Receive a file."""
        if request.headers.get("content-type") != "application/octet-stream":
            raise Refusal(415, "send the file as application/octet-stream")
        image = self.store.add(request.query_params.get("name", ""))
        try:
            await receive_file(request, image.upload, self.limits)
        except BaseException:
            self.store.drop(image)
            raise
        self.store.keep(image)
        return JSONResponse({"id": image.key, "name": image.name}, status_code=201)

    async def count(self, request: Request) -> Response:
        """Count an image, once; an image that can't be counted is forgotten."""
        image = self.store.find(request.path_params["key"])
        async with image.turn:
            if image.result is None:
                try:
                    image.result = await self.worker.run(CountJob(image.upload, image.name))
                except (DataError, Refusal) as error:
                    if not (isinstance(error, Refusal) and error.status == 503):
                        self.store.drop(image)
                    raise
        self.store.measure(image)
        return JSONResponse(image.result)

    async def delete(self, request: Request) -> Response:
        """Forget an image."""
        self.store.drop(self.store.find(request.path_params["key"]))
        return Response(status_code=204)

    async def tile(self, request: Request) -> Response:
        """Send a tile of the picture."""
        image = self._counted(request)
        level, column, row = (request.path_params[name] for name in ("level", "column", "row"))
        data = await asyncio.to_thread(read_tile, image.folder, level, column, row)
        return Response(data, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=86400, immutable"})

    async def density(self, request: Request) -> Response:
        """Send the density, objects per cell."""
        found = await asyncio.to_thread(kept, self._counted(request).folder)
        return Response(found.density.astype("<f4").tobytes(), media_type="application/octet-stream")

    async def points(self, request: Request) -> Response:
        """Send the located points with their scores."""
        found = await asyncio.to_thread(kept, self._counted(request).folder)
        rows = np.column_stack([found.points, found.scores]).astype("<f4")
        return Response(rows.tobytes(), media_type="application/octet-stream")

    async def regions(self, request: Request) -> Response:
        """Count in outlines: ``{"regions": [{"name", "corners": [[x, y], ...]}, ...]}``."""
        image = self._counted(request)
        asked = _outlines(await receive_json(request, self.limits))
        found = await asyncio.to_thread(_count_regions, image.folder, asked)
        return JSONResponse(found)

    async def sum(self, request: Request) -> Response:
        """Tell the sum of counts with its interval."""
        from dotcount.prediction.journal import Standing, Summary

        asked = await receive_json(request, self.limits)
        if not isinstance(asked, dict) or not isinstance(keys := asked.get("images"), list) or not keys:
            raise Refusal(400, "a message with images is needed")
        images = {str(key): self.store.find(str(key)) for key in keys}
        results = [image.result for image in images.values() if image.result is not None]
        if len(results) < len(images):
            raise Refusal(409, "an image is not counted yet; wait for its count")
        summary = Summary()
        for one in results:
            strange = one["familiarity"] is not None and one["familiarity"] < WARN_BELOW
            summary.add(one["count"], None, bool(one["warnings"]), Standing(one["interval"] is not None, strange))
        found = summary.sum(await self._interval())
        interval = None if found.low is None else [found.low, found.high]
        return JSONResponse({"count": found.value, "interval": interval, "reason": found.reason})

    async def _described(self) -> dict[str, Any]:
        if self._info is None:
            self._info = await self.worker.run(None)
        return self._info

    async def _interval(self) -> CountInterval | None:
        values = (await self._described())["interval"]
        return None if values is None else CountInterval.from_dict(values)

    async def results(self, request: Request) -> Response:
        """Write results of images by sinks, and send them as a file."""
        asked = _Asked.of(await receive_json(request, self.limits))
        images = [self.store.find(key) for key in asked.images]
        if any(image.result is None for image in images):
            raise Refusal(409, "an image is not counted yet; wait for its count")
        out = Path(tempfile.mkdtemp(dir=self.store.root, prefix="results-"))
        try:
            job = WriteJob(tuple((image.folder, image.name) for image in images), asked.write, out)
            path, name = await self.worker.run(job)
        except BaseException:
            remove(out)
            raise
        return FileResponse(path, filename=name, background=BackgroundTask(remove, out))

    def _counted(self, request: Request) -> StoredImage:
        image = self.store.find(request.path_params["key"])
        if image.result is None:
            raise Refusal(409, "the image is not counted yet; wait for its count")
        return image


MOST_REGIONS, MOST_CORNERS = 200, 10_000
"""Regions of one image, and corners of all of them."""


def _outlines(message: Any) -> list[tuple[str, Any]]:
    try:
        asked = [(str(one["name"])[:100], one["corners"]) for one in message["regions"]]
        corners = sum(len(one) for _, one in asked)
    except (TypeError, KeyError) as error:
        raise Refusal(400, "a message with regions, their names and corners is needed") from error
    if len(asked) > MOST_REGIONS or corners > MOST_CORNERS:
        raise Refusal(413, f"at most {MOST_REGIONS} regions with {MOST_CORNERS:,} corners together are counted at once")
    return asked


def _count_regions(folder: Path, asked: list[tuple[str, Any]]) -> dict[str, Any]:
    from dotcount.regions import Region, count_regions

    prediction = kept(folder)
    regions = [Region(name, [[corners]]) for name, corners in asked]
    found = count_regions(prediction.density, prediction.stride, regions, (prediction.width, prediction.height))
    rows = [
        {
            "count": one.count,
            "area": one.area,
            "notes": one.notes,
            "interval": prediction.part(one.count),
        }
        for one in found.regions
    ]
    return {"regions": rows, "rest": found.rest, "shared": found.shared}


@dataclass(frozen=True)
class _Asked:
    """A message that asks for results."""

    images: tuple[str, ...]
    write: tuple[str, ...]

    @classmethod
    def of(cls, message: Any) -> _Asked:
        try:
            images, write = (tuple(map(str, message[name])) for name in ("images", "write"))
        except (TypeError, KeyError, ValueError) as error:
            raise Refusal(400, "a message with images and write is needed") from error
        unknown = set(write) - set(OUTPUTS)
        if not images or not write or unknown:
            raise Refusal(400, f"name images, and of {', '.join(OUTPUTS)} what to write")
        return cls(tuple(dict.fromkeys(images)), tuple(dict.fromkeys(write)))
