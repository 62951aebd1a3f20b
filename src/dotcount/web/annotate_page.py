"""The page that dots are made on, and what it asks for."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from dotcount.data.editing import ConflictError, EditableDots
from dotcount.data.images import open_raster, orientation, read_pixels, to_unit
from dotcount.errors import DataError
from dotcount.web.access import LOCAL, Access
from dotcount.web.annotating import AnnotationSession
from dotcount.web.app import build_app, page
from dotcount.web.background_training import BackgroundTraining
from dotcount.web.limits import DEFAULT, Refusal, ServerLimits, receive_json

LARGEST_SIDE = 8192
"""Longest side of the picture that a page shows, px; larger images are shown smaller, their dots stay exact."""

_EXACT = 4_000_000  # px up to which pictures are sent without loss


def annotate_app(
    annotations: EditableDots,
    training: BackgroundTraining,
    access: Access = LOCAL,
    limits: ServerLimits = DEFAULT,
    *,
    run: Path | None = None,
    device: str = "auto",
) -> ASGIApp:
    """Return the application for a data set that is open.

    Parameters
    ----------
    annotations
        The data set; closed when the server ends.
    training
        Trainings that the page starts.
    access, limits
        Who may ask, and how much.
    run, device
        A model whose suggestions are shown, and where it counts.
    """
    session = AnnotationSession(annotations, training, run, device, limits)

    async def marks(request: Request) -> Response:
        return JSONResponse(await asyncio.to_thread(session.marks, _image(request)))

    async def edit(request: Request) -> Response:
        content = await receive_json(request, limits)
        try:
            return JSONResponse(await asyncio.to_thread(session.edit, content))
        except ConflictError as error:
            raise Refusal(409, str(error)) from error

    async def picture(request: Request) -> Response:
        annotations.image(_image(request))  # one of ours, whatever the name looks like
        return await asyncio.to_thread(_picture, annotations.root / _image(request))

    async def suggestions(request: Request) -> Response:
        return JSONResponse(await session.suggestions(_image(request)))

    async def overview(_: Request) -> Response:
        return JSONResponse(session.overview())

    async def ordered(_: Request) -> Response:
        return JSONResponse(await session.order())

    async def trained(_: Request) -> Response:
        return JSONResponse(session.trained())

    async def train(request: Request) -> Response:
        content = await receive_json(request, limits)
        await asyncio.to_thread(_train, session, content)
        return JSONResponse(session.trained())

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        with annotations:
            try:
                yield
            finally:
                await asyncio.to_thread(session.close)

    routes = [
        Route("/", page("annotate.html")),
        Route("/api/set", overview),
        Route("/api/marks", marks),
        Route("/api/edit", edit, methods=["POST"]),
        Route("/api/picture", picture),
        Route("/api/suggestions", suggestions),
        Route("/api/order", ordered),
        Route("/api/training", trained),
        Route("/api/training", train, methods=["POST"]),
    ]
    return build_app(routes, access, limits, lifespan=lifespan)


def _image(request: Request) -> str:
    return request.query_params.get("image", "")


def _train(session: AnnotationSession, content: Any) -> None:
    action = content.get("action") if isinstance(content, dict) else None
    if action == "start":
        minutes = content.get("minutes")
        if isinstance(minutes, bool) or not isinstance(minutes, (int, float)) or not 0.1 <= minutes <= 100_000:
            raise Refusal(400, "the time for training must be a number of minutes from 0.1 up")
        beginnings, chosen = session.beginnings(), content.get("begin", "")
        if chosen not in ("", *beginnings):
            raise Refusal(400, f"a training begins with new weights, or those of {', '.join(beginnings)}")
        session.training.start(session.annotations, float(minutes), beginnings.get(chosen))
    elif action == "cancel":
        session.training.cancel()
    elif action == "resume":
        session.training.resume()
    else:
        raise Refusal(400, "training can be started, cancelled and resumed")


def _picture(path: Path) -> Response:
    """Return an image as a browser shows it: upright, 8 bits, not larger than browsers draw."""
    if path.suffix.lower() in (".jpg", ".jpeg") and orientation(path) == 1 and path.stat().st_size < 1 << 26:
        with open_raster(path) as opened:
            plain = opened.format == "JPEG" and opened.mode in ("L", "RGB") and max(opened.size) <= LARGEST_SIDE
        if plain:
            return FileResponse(path, media_type="image/jpeg")
    pixels = read_pixels(path)
    values = pixels if pixels.dtype == np.uint8 else (255 * to_unit(pixels)).round().astype(np.uint8)
    if values.ndim != 3:
        raise DataError(f"image {path} has no pixels to show")
    shown = Image.fromarray(values[..., :3] if values.shape[2] >= 3 else values[..., 0])
    shown.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    buffer = io.BytesIO()
    if shown.width * shown.height <= _EXACT:
        shown.save(buffer, "PNG", compress_level=1)
        return Response(buffer.getvalue(), media_type="image/png")
    shown.save(buffer, "JPEG", quality=92, subsampling=0)
    return Response(buffer.getvalue(), media_type="image/jpeg")
