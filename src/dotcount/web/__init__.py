"""Pages in the browser: a sibling of the command line, which starts them and is never imported here.

The room is built on Starlette and uvicorn (``pip install dotcount[web]``), which no other room imports. Pages are plain
HTML, CSS and JavaScript modules in ``templates/`` and ``static/``; there is no build step, and no request leaves the
machine.

A tool, such as the page that counts photos, is a list of Starlette routes. What all tools share:

:mod:`~dotcount.web.access`
    Who may ask: ``Access`` (address, token, names) and ``Guard``, which refuses foreign hosts, origins and wrong
    tokens, bounds the requests at work, and sets the Content-Security-Policy.
:mod:`~dotcount.web.limits`
    How much may be asked: ``ServerLimits``, ``receive_file`` (a body streamed to disk), ``receive_json``, and
    ``Refusal``, the error with an HTTP status. Any :class:`~dotcount.errors.DotcountError` becomes a refusal, too.
:mod:`~dotcount.web.app`
    ``build_app(routes, access, limits)``: the guarded application with ``/static``, and ``page("count.html")``, the
    endpoint of a template. Every error answers ``{"error": "one line"}``.
:mod:`~dotcount.web.server`
    ``listen(host, port)`` and ``serve(app, socket, limits)``: uvicorn on a socket that is open already.
:mod:`~dotcount.web.jobs`
    ``Worker``: heavy work in one process of its own, with a time limit; it is started anew when it hangs or dies.

In the browser: ``static/theme.css`` (:mod:`dotcount.theme`: colours of both modes, buttons, what reports have, too),
``static/base.css`` (headings and tables of served pages), ``static/api.js`` (requests whose errors are sentences) and
``static/viewer.js`` (a picture to zoom and pan, in tiles, by mouse, touch and keys, with layers drawn on top in pixels
of the image).
"""

from __future__ import annotations

from importlib import import_module

from dotcount.errors import UsageError


def require() -> None:
    """Raise a :class:`~dotcount.errors.UsageError` with the remedy where the packages of this room are missing."""
    for package in ("starlette", "uvicorn"):
        try:
            import_module(package)
        except ImportError as error:
            raise UsageError(f"pages need the package {package}; run `pip install dotcount[web]`") from error
