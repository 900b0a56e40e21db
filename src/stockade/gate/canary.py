"""Prove at start-up that the gate bites, in this process and with the installed FastAPI.

Tests of routes that look at one route and pass have gone vacuous before, when a framework changed
how it keeps its routes. So nothing is taken for granted here: each closed leaf of the real
application is called as nobody and has to refuse, and a planted application goes through routing in
every way a route can hang on the tree.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, FastAPI, WebSocket
from pydantic import Field, FiniteFloat
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Router

from stockade.core.exchange import SCOPE_KEY, Exchange
from stockade.errors import ConfigurationError
from stockade.gate.dependencies import public
from stockade.gate.gates import Gate
from stockade.gate.plans import Access
from stockade.web.channel import Channel

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from stockade.gate.binder import Binder
    from stockade.gate.guard import Guard
    from stockade.gate.tree import Leaf, Tree

_REFUSED = frozenset({401, 403, 404, 429})


async def prove_leaves(tree: Tree, guard: Guard) -> None:
    """Call each leaf that is not public as nobody; each has to refuse before anything of it runs.

    Raises:
        ConfigurationError: A leaf has no gate, no plan, or lets nobody through.
    """
    for leaf in tree.leaves:
        gate = getattr(leaf.holder, leaf.attribute)
        plan = guard.plans.get(id(leaf.key))
        if not isinstance(gate, Gate) or plan is None:
            message = (
                f"{leaf.label}: the gate is not in front of it (is this version of FastAPI "
                "supported?)"
            )
            raise ConfigurationError(message)
        if plan.access is not Access.PUBLIC:
            await _prove_leaf(leaf, gate, guard)


async def _prove_leaf(leaf: Leaf, gate: Gate, guard: Guard) -> None:
    reached = False

    async def tripwire(_scope: Scope, _receive: Receive, _send: Send) -> None:
        nonlocal reached
        reached = True

    scope = make_scope("websocket" if leaf.kind == "websocket" else "http", leaf.template, guard)
    if leaf.key is not leaf.holder:
        scope["fastapi"] = {"effective_route_context": leaf.key}
    # A twin that leads nowhere: another application may be serving through the gate itself.
    answer = await drive(type(gate)(tripwire, gate.holder), scope)
    if reached or answer.body_reads or not answer.refused:
        message = f"{leaf.label}: the gate let an unknown caller through"
        raise ConfigurationError(message)


class Answer:
    """What came back from a planted request.

    Attributes:
        status: HTTP status; None where a websocket was closed or nothing was sent.
        accepted: Whether a websocket was accepted.
        body_reads: How often the body was asked for.
    """

    def __init__(self) -> None:
        self.status: int | None = None
        self.accepted = False
        self.body_reads = 0
        self.closed = False

    @property
    def refused(self) -> bool:
        """Whether the answer is a refusal."""
        return not self.accepted and (self.closed or self.status in _REFUSED)


async def drive(app: ASGIApp, scope: Scope, *, body: bytes = b"{}") -> Answer:
    """Send one planted request through an ASGI application, past any server."""
    answer = Answer()

    async def receive() -> Message:
        if scope["type"] == "websocket":
            return {"type": "websocket.connect"}
        answer.body_reads += 1
        if answer.body_reads > 1:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        kind = message["type"]
        if kind.endswith("response.start"):
            answer.status = message["status"]
        elif kind == "websocket.accept":
            answer.accepted = True
        elif kind == "websocket.close":
            answer.closed = True

    await app(scope, receive, send)
    return answer


def make_scope(
    kind: str,
    path: str,
    guard: object,
    *,
    method: str = "GET",
    headers: tuple[tuple[bytes, bytes], ...] = (),
) -> dict[str, Any]:
    """Make the ASGI scope of a planted request by nobody."""
    scope: dict[str, Any] = {
        "type": kind,
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http" if kind == "http" else "ws",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"stockade-canary.invalid"), *headers],
        "client": ("192.0.2.1", 1),  # TEST-NET-1, RFC 5737: no client has this address.
        "server": ("192.0.2.1", 80),
        "state": {},
        "extensions": {},
        "subprotocols": [],
    }
    exchange = Exchange(
        guard=guard, request_id="canary", client="192.0.2.1", scheme="http", body_limit=1024
    )
    exchange.planted = True
    scope[SCOPE_KEY] = exchange
    return scope


_Body = Annotated[list[FiniteFloat], Field(max_length=1)]


class _Planted:
    """An application that has a closed and an open route in every place of the tree."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.word = secrets.token_hex(4)
        inner = APIRouter()
        self._fill(inner, "inner")
        outer = APIRouter()
        outer.include_router(inner, prefix="/nested")
        mounted = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        self._fill(mounted.router, "mounted")
        plain = Router()
        plain.add_route("/closed", self._plain_endpoint)
        self.app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        self._fill(self.app.router, "direct")
        self.app.include_router(outer, prefix="/one")
        self.app.include_router(outer, prefix="/two")
        self.app.mount("/mount", mounted)
        self.app.router.routes.append(Mount("/plain", app=plain))

    async def _plain_endpoint(self, _request: Any) -> PlainTextResponse:  # noqa: ANN401 - Starlette's Request
        self.ran.append("plain")
        return PlainTextResponse("")

    def _fill(self, router: APIRouter, place: str) -> None:
        @router.post("/closed")
        async def closed() -> None:
            self.ran.append(f"{place}/closed")

        @router.get("/open")
        @public("planted by the start-up check")
        async def opened() -> None:
            self.ran.append(f"{place}/open")

        @router.post("/body")
        @public("planted by the start-up check")
        async def body(_value: _Body) -> None:
            self.ran.append(f"{place}/body")

        @router.websocket("/socket")
        async def socket(websocket: WebSocket) -> None:
            self.ran.append(f"{place}/socket")
            await websocket.accept()

    def add_late(self) -> None:
        """Add a route after binding, below a router that is included already."""
        self.app.include_router(self._late_router(), prefix="/late")

    def _late_router(self) -> APIRouter:
        router = APIRouter()
        self._fill(router, "late")
        return router


# A number that no schema would refuse, and no parser.
_BODIES = ((b"[1e999]", 422), (b"[1]", 200))
_JSON = ((b"content-type", b"application/json"),)
_PLACES = ("", "/one/nested", "/two/nested", "/mount")


async def prove_routing(
    make_binder: Callable[[FastAPI, Guard], Binder], make_guard: Callable[[], Guard]
) -> None:
    """Drive a planted application through FastAPI's own routing.

    Raises:
        ConfigurationError: A closed route answered, or an open one did not.
    """
    planted = _Planted()
    guard = make_guard()
    make_binder(planted.app, guard).bind()
    for place in _PLACES:
        await _prove_place(planted, guard, place)
    answer = await drive(planted.app, make_scope("http", "/plain/closed", guard))
    if not answer.refused or planted.ran:
        _fail("a closed route of a mounted router answered")
    planted.add_late()
    await _prove_place(planted, guard, "/late")


async def _prove_place(planted: _Planted, guard: Guard, place: str) -> None:
    planted.ran.clear()
    closed = await drive(planted.app, make_scope("http", f"{place}/closed", guard, method="POST"))
    socket = await drive(planted.app, make_scope("websocket", f"{place}/socket", guard))
    if planted.ran or not closed.refused or not socket.refused or closed.body_reads:
        _fail(f"a closed route below {place or '/'!r} answered")
    opened = await drive(planted.app, make_scope("http", f"{place}/open", guard))
    if opened.status not in (200, 429) or (opened.status == 200 and not planted.ran):  # noqa: PLR2004 - HTTP statuses
        _fail(f"an open route below {place or '/'!r} did not answer")
    planted.ran.clear()
    for body, status in _BODIES:
        scope = make_scope("http", f"{place}/body", guard, method="POST", headers=_JSON)
        answer = await drive(planted.app, scope, body=body)
        if answer.status not in (status, 429) or bool(planted.ran) != (answer.status == 200):  # noqa: PLR2004 - HTTP statuses
            _fail(f"nobody looked through a body below {place or '/'!r}")
        planted.ran.clear()


async def prove_wall(guard: Guard, headers: tuple[tuple[bytes, bytes], ...]) -> None:
    """Send an answer without a decision through the wall's channel; it must not get out.

    Raises:
        ConfigurationError: It did.
    """

    async def undecided(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"leak"})

    async def walled(scope: Scope, receive: Receive, send: Send) -> None:
        exchange = scope[SCOPE_KEY]
        channel = Channel(
            exchange,
            scope,
            receive,
            send,
            headers=list(headers),
            names=frozenset(name for name, _ in headers),
            on_refusal=lambda _name, _scope, _reason: None,
        )
        await undecided(scope, channel.receive, channel.send)

    answer = await drive(walled, make_scope("http", "/", guard))
    if answer.status != 500:  # noqa: PLR2004 - the status of an undecided answer
        _fail("the wall let an answer out that no gate decided on")


def _fail(what: str) -> None:
    message = (
        f"the start-up check of the gate failed: {what} (is this version of FastAPI supported?)"
    )
    raise ConfigurationError(message)
