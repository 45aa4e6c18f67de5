"""Serve a page that shows what is watched, as it is seen, and numbers for monitors.

Whoever looks is told what is new four times a second, out of a board that holds only what is recent: a slow
browser is told less often, and one that takes nothing any more is given up. Nothing waits for it, and the
watcher never does.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from importlib import resources

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from mulde.pipeline.watch.address import Listener, is_named_rightly
from mulde.pipeline.watch.board import Camera, Cursor
from mulde.pipeline.watch.monitor import CONTENT_TYPE, Monitor

_STEP_SECONDS = 0.25
"""Between two looks for what is new."""
_QUIET_STEPS = 20
"""After so many without news a sign of life is sent: a page that gets none is cut off, and says so."""
_MOST_CONNECTIONS = 64
"""From which on whoever asks is told that there is no room; beyond twice as many, they are closed at once."""
_ASKING_SECONDS = 10.0
"""A connection on which no whole request has come after so long is closed."""
_STUCK_SECONDS = 20.0
"""A browser that takes nothing for so long is given up."""
_LAST_SECONDS = 2
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_FILES = {
    "page.html": "text/html",
    "page.css": "text/css",
    "page.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


class PageServer:
    """Serves the page of some cameras, and /metrics, in a thread of its own."""

    def __init__(self, listener: Listener, cameras: Sequence[Camera]) -> None:
        """Take a port that is listened to already, and the cameras, whose names differ."""
        self._listener, self._cameras, self._monitor = listener, cameras, Monitor(cameras)
        self._is_ending = threading.Event()
        guard = Middleware(_Guard, listener=listener)
        application = Starlette(routes=self._routes(), middleware=[guard])
        config = uvicorn.Config(
            application, log_config=None, log_level="critical", access_log=False, lifespan="off", ws="none",
            http=_Connection, loop="asyncio", server_header=False, limit_concurrency=_MOST_CONNECTIONS,
            timeout_graceful_shutdown=_LAST_SECONDS,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="page", daemon=True)

    @contextmanager
    def running(self) -> Iterator[PageServer]:
        """Answer whoever asks, until the end."""
        self._thread.start()
        try:
            yield self
        finally:
            self._is_ending.set()
            self._server.should_exit = True
            self._thread.join(2 * _LAST_SECONDS)

    def _serve(self) -> None:
        self._server.run(sockets=[self._listener.socket])

    def _routes(self) -> list[Route]:
        return [
            Route("/", self._page),
            Route("/news", self._news),
            Route("/metrics", self._metrics),
            Route("/cameras/{camera:int}/picture", self._picture),
            Route("/cameras/{camera:int}/{name:path}", self._file),
            Route("/{name}", self._static),
        ]

    async def _page(self, request: Request) -> Response:
        return _static("page.html")

    async def _static(self, request: Request) -> Response:
        return _static(request.path_params["name"])

    async def _news(self, request: Request) -> Response:
        return StreamingResponse(self._all_news(), media_type="text/event-stream")

    async def _all_news(self) -> AsyncIterator[str]:
        """Give what is new of any camera, an event of the protocol each."""
        cursors = [Cursor() for _ in self._cameras]
        n_quiet = 0
        while not self._is_ending.is_set():
            for number, (camera, cursor) in enumerate(zip(self._cameras, cursors, strict=True)):
                news = camera.news(cursor)
                if news is not None:
                    n_quiet = 0
                    yield f"data: {json.dumps({'camera': number, **news})}\n\n"
            n_quiet += 1
            if n_quiet % _QUIET_STEPS == 0:
                yield "data: {}\n\n"
            await asyncio.sleep(_STEP_SECONDS)

    async def _metrics(self, request: Request) -> Response:
        return Response(self._monitor.text(), headers={"Content-Type": CONTENT_TYPE})

    def _picture(self, request: Request) -> Response:  # in a thread of its own, for it is drawn here
        jpeg = self._camera(request).picture()
        if jpeg is None:
            raise HTTPException(404)
        return Response(jpeg, media_type="image/jpeg")

    def _file(self, request: Request) -> Response:
        path = self._camera(request).file(request.path_params["name"])
        if path is None or not path.is_file():
            raise HTTPException(404)
        return FileResponse(path)

    def _camera(self, request: Request) -> Camera:
        number: int = request.path_params["camera"]
        if number >= len(self._cameras):
            raise HTTPException(404)
        return self._cameras[number]


def _static(name: str) -> Response:
    if name not in _FILES:
        raise HTTPException(404)
    text = (
        resources.files("mulde.pipeline.watch")
        .joinpath("templates")
        .joinpath(name)
        .read_text(encoding="utf-8")
    )
    return Response(text, media_type=_FILES[name])


class _Connection(H11Protocol):
    """A connection that is closed when nothing is asked on it, so that it takes nobody's place for long."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > 2 * _MOST_CONNECTIONS:
            transport.abort()
        else:
            self._set_timer()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._unset_timer()
        elif self._timer is None:  # of a further request only a part has come
            self._set_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unset_timer()
        super().connection_lost(exc)

    def _set_timer(self) -> None:
        self._timer = self.loop.call_later(_ASKING_SECONDS, self.transport.abort)

    def _unset_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Guard:
    """Lets through whoever may look, forbids browsers what was not written here, gives up stuck ones."""

    def __init__(self, app: ASGIApp, listener: Listener) -> None:
        self._app, self._listener = app, listener
        self._cookie = f"mulde-{listener.port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        is_stuck = False

        async def send_with_headers(message: Message) -> None:
            nonlocal is_stuck
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
            try:
                await asyncio.wait_for(send(message), _STUCK_SECONDS)
            except asyncio.TimeoutError:
                is_stuck = True
                raise

        answer = self._answer(Request(scope)) or self._app
        try:
            await answer(scope, receive, send_with_headers)
        except Exception:
            if not is_stuck:  # else there is nobody to be told, and the connection is closed
                raise

    def _answer(self, request: Request) -> Response | None:
        """Return what whoever may not look is told; None for all others."""
        token, own = self._listener.token, self._listener.host
        if not token and not is_named_rightly(request.headers.get("host", ""), own):
            return PlainTextResponse("This page is for this machine: open it as localhost.\n", 421)
        if not token or self._is_known(request.headers, request.cookies):
            return None
        if request.url.path == "/" and _is_same(request.query_params.get("token", ""), token):
            answer = RedirectResponse("/", 303)  # so that the token stands in no history
            answer.set_cookie(self._cookie, token, httponly=True, samesite="lax")
            return answer
        return PlainTextResponse("Open the address with the token that mulde printed.\n", 401)

    def _is_known(self, headers: Headers, cookies: dict[str, str]) -> bool:
        kind, _, bearer = headers.get("authorization", "").partition(" ")
        given = bearer.strip() if kind.lower() == "bearer" else cookies.get(self._cookie, "")
        return _is_same(given, self._listener.token)


def _is_same(given: str, token: str) -> bool:
    return secrets.compare_digest(given.encode(), token.encode())
