"""The application that every tool is served by: its routes behind the guard, with static files and plain errors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from dotcount.errors import DataError, DotcountError, OutputError
from dotcount.theme import THEME
from dotcount.web.access import LOCAL, Access, Guard
from dotcount.web.limits import DEFAULT, Refusal, ServerLimits

STATIC, TEMPLATES = Path(__file__).parent / "static", Path(__file__).parent / "templates"
Endpoint = Callable[[Request], Awaitable[Response]]


def build_app(
    routes: Sequence[BaseRoute],
    access: Access = LOCAL,
    limits: ServerLimits = DEFAULT,
    *,
    lifespan: Callable[[Starlette], AbstractAsyncContextManager[None]] | None = None,
) -> ASGIApp:
    """Return the application of a tool.

    Parameters
    ----------
    routes
        Of the tool; those that answer with data begin with ``/api/``.
    access, limits
        Who may ask, and how much.
    lifespan
        What is to be done before the first request and after the last.
    """
    app = Starlette(
        routes=[*routes, Route(f"/static/{THEME.name}", _theme), Mount("/static", StaticFiles(directory=STATIC))],
        exception_handlers={
            Refusal: _refused,
            DotcountError: _refused,
            HTTPException: _not_found,
            Exception: _failed,
        },
        lifespan=lifespan,
    )
    return Guard(app, access, limits.requests)


def page(template: str) -> Endpoint:
    """Return the endpoint that answers with a page of ``templates/``."""

    async def endpoint(_: Request) -> Response:
        return FileResponse(TEMPLATES / template, media_type="text/html")

    return endpoint


async def _theme(_: Request) -> Response:
    return FileResponse(THEME, media_type="text/css")


def _refused(_: Request, error: Exception) -> Response:
    status = 400
    if isinstance(error, Refusal):
        status = error.status
    elif isinstance(error, (DataError, OutputError)):
        status = 422 if isinstance(error, DataError) else 507
    headers = {"Connection": "close"} if status in (408, 413) else None  # what is still coming is not to be read
    return JSONResponse({"error": " ".join(str(error).split())}, status_code=status, headers=headers)


def _not_found(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = {404: "there is no such page or image", 405: "this can't be done here"}.get(
        error.status_code, error.detail
    )
    return JSONResponse({"error": message}, status_code=error.status_code, headers=error.headers)


def _failed(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"this may be a defect of dotcount: {type(error).__name__}"}, status_code=500)
