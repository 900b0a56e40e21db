"""Show the refusals of the gate as pages, below the path of the dashboard.

The gate decides and answers as everywhere; a browser is shown the same status as a page that says
what to do. It stands inside of the wall and changes no decision.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from starlette.datastructures import Headers, MutableHeaders

from stockade.core.problems import CONTENT_TYPE

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from stockade.dashboard.rendering import Renderer

_MOST: Final = 65_536
_REPLACED: Final = frozenset({"content-type", "content-length"})


class _Text(NamedTuple):
    heading: str
    advice: str


_BY_CODE: Final = {
    "step_up_required": _Text(
        "Sign in again",
        "What you asked for needs a sign-in that is fresh. Nothing was changed. Sign in again, and"
        " then repeat it.",
    ),
    "rate_limited": _Text(
        "Too many requests", "A limit is used up. Wait a little, and load the page again."
    ),
    "banned": _Text("Too many requests", "Wait a little, and load the page again."),
}
_BY_STATUS: Final = {
    403: _Text(
        "Not for this account",
        "The dashboard is for super administrators, and changes come from its own pages alone."
        " Sign in with another account, or ask whoever runs the application.",
    ),
    404: _Text("There is no such page", "Go to the overview, and choose one from the navigation."),
    422: _Text(
        "That was not understood",
        "A field was missing, or too long. Go back, and fill in the form again.",
    ),
    429: _BY_CODE["rate_limited"],
    503: _Text(
        "A store does not answer",
        "Redis or the database is away, so that there is nothing to show. Nothing was changed. The"
        " events say which one; load the page again once it is back.",
    ),
}
_UNEXPECTED: Final = _Text(
    "Something went wrong",
    "Nothing more can be said here. The log of the server has the details, under the number below.",
)


class RefusalPagesMiddleware:
    """Shows refusals as pages.

    Args:
        app: What is inside.
        renderer: Renders pages.
    """

    def __init__(self, app: ASGIApp, *, renderer: Renderer) -> None:
        self._app = app
        self._renderer = renderer
        self._path = renderer.path
        self._below = f"{renderer.path}/"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call what is inside; a problem that it answers with becomes a page."""
        if scope["type"] != "http" or not self._is_ours(scope):
            await self._app(scope, receive, send)
            return
        answer = _Answer(self._renderer, scope, receive, send)
        await self._app(scope, receive, answer.send)

    def _is_ours(self, scope: Scope) -> bool:
        root: str = scope.get("root_path", "")
        whole: str = scope["path"]
        path = whole.removeprefix(root) if whole.startswith(f"{root}/") else whole
        return path == self._path or path.startswith(self._below)


class _Answer:
    def __init__(self, renderer: Renderer, scope: Scope, receive: Receive, send: Send) -> None:
        self._renderer = renderer
        self._scope = scope
        self._receive = receive
        self._send = send
        self._start: Message | None = None
        self._body = b""

    async def send(self, message: Message) -> None:
        """Hold back a problem until it is whole; everything else goes out as it is."""
        if message["type"] == "http.response.start":
            kind = Headers(raw=message["headers"]).get("content-type", "")
            if kind.partition(";")[0] == CONTENT_TYPE:
                self._start = message
                return
        elif self._start is not None and message["type"] == "http.response.body":
            self._body += message.get("body", b"")[: _MOST - len(self._body)]
            if not message.get("more_body", False):
                await self._show(self._start)
            return
        await self._send(message)

    async def _show(self, start: Message) -> None:
        status: int = start["status"]
        problem = _read(self._body)
        headers = MutableHeaders(raw=list(start["headers"]))
        for name in _REPLACED:
            del headers[name]
        if status == 401 and problem.get("code") != "step_up_required":  # noqa: PLR2004 - unauthenticated
            page = self._renderer.render(self._scope, "sign_in.html", status=status, problem="")
        else:
            text = _BY_CODE.get(str(problem.get("code"))) or _BY_STATUS.get(status, _UNEXPECTED)
            page = self._renderer.render(
                self._scope,
                "problem.html",
                status=status,
                heading=text.heading,
                advice=text.advice,
                request_id=problem.get("request_id") or "",
            )
        page.raw_headers += [pair for pair in headers.raw if pair[0] not in dict(page.raw_headers)]
        await page(self._scope, self._receive, self._send)


def _read(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:  # It is longer than what is kept of it.
        return {}
    return found if isinstance(found, dict) else {}
