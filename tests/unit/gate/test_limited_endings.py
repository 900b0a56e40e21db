"""Expect limits of what fails, of what is in flight, of messages, and of the router's redirects."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from fastapi import Depends, FastAPI, HTTPException, Path, WebSocket
from starlette.responses import StreamingResponse
from starlette.testclient import WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from stockade import Principal, current_principal, public, rate_limit, require_role
from tests.unit.gate.apps import ADMIN, MEMBER, Protected, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.testclient import TestClient

OPEN = public("open")
ON = {"enabled": True, "public": "1000/minute"}


def make_app() -> FastAPI:
    """Make an application whose answers are chosen by the path."""
    app = FastAPI()

    @app.get("/try/{status}")
    @OPEN
    @rate_limit("2/hour", count="failures")
    async def attempt(status: Annotated[int, Path(ge=200, le=599)]) -> str:
        if status == 599:
            raise RuntimeError("an error that nobody expected")
        if status != 200:
            raise HTTPException(status)
        return "done"

    @app.get("/admins", dependencies=[Depends(require_role("admin"))])
    @rate_limit("2/hour", count={403})
    async def admins() -> str:
        return "admins"

    @app.get("/one/{how}")
    @OPEN
    @rate_limit(in_flight=1)
    async def one(how: Annotated[str, Path(max_length=9)]) -> Any:  # noqa: ANN401 - an answer
        if how == "fail":
            raise RuntimeError("an error that nobody expected")
        if how == "stream":
            return StreamingResponse(_parts())
        return how

    @app.get("/slash/")
    @OPEN
    async def slash() -> str:
        return "slash"

    _add_sockets(app)
    return app


async def _answer(websocket: WebSocket, end: str = "") -> None:
    await websocket.accept()
    with suppress(WebSocketDisconnect):
        while True:
            await websocket.send_text(await websocket.receive_text() + end)


def _add_sockets(app: FastAPI) -> None:
    @app.websocket("/echo")
    @OPEN
    @rate_limit(messages="3/hour", in_flight=1)
    async def echo(websocket: WebSocket) -> None:
        await _answer(websocket)

    @app.websocket("/own")
    @rate_limit(messages="2/hour", in_flight=1)
    async def own(
        websocket: WebSocket, caller: Annotated[Principal, Depends(current_principal)]
    ) -> None:
        await _answer(websocket, caller.user_id)

    @app.websocket("/default")
    @OPEN
    async def default(websocket: WebSocket) -> None:
        await _answer(websocket)


async def _parts() -> AsyncIterator[str]:
    for part in "abc":
        yield part


def statuses(client: TestClient, path: str, times: int) -> list[int]:
    """Return the statuses of some requests."""
    return [client.get(path, follow_redirects=False).status_code for _ in range(times)]


@pytest.fixture
def protected() -> Protected:
    """A Stockade whose limits are on."""
    return Protected(rate_limiting=ON)


def test_successes_use_nothing_up(protected: Protected) -> None:
    """A caller who does nothing wrong is not limited by a limit of failures."""
    with serve(make_app(), protected) as client:
        assert statuses(client, "/try/200", 10) == [200] * 10


@pytest.mark.parametrize("status", [400, 404, 500, 503, 599])
def test_failures_use_it_up(protected: Protected, status: int) -> None:
    """After as many failures as the limit says everything is refused, success or not."""
    told = 500 if status == 599 else status
    with serve(make_app(), protected) as client:
        assert statuses(client, f"/try/{status}", 2) == [told] * 2
        assert statuses(client, "/try/200", 2) == [429] * 2


def test_a_refusal_by_the_gate_is_a_failure(protected: Protected) -> None:
    """What the gate refuses before the handler runs counts by its status."""
    with serve(make_app(), protected) as client:
        for account, expected in ((ADMIN, [200] * 4), (MEMBER, [403, 403, 429, 429])):
            headers = protected.headers(account)
            found = [client.get("/admins", headers=headers).status_code for _ in range(4)]
            assert found == expected


def test_a_place_is_free_after_each_answer(protected: Protected) -> None:
    """Whatever becomes of a request, the next one finds its place free."""
    with serve(make_app(), protected) as client:
        for how, status in (("plain", 200), ("fail", 500), ("stream", 200), ("plain", 200)):
            assert statuses(client, f"/one/{how}", 3) == [status] * 3


class Running:
    """One request to an application that answers when it is told to."""

    def __init__(self, app: Any, path: str = "/wait") -> None:  # noqa: ANN401 - an ASGI application
        self.status: int | None = None
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"localhost")],
            "client": ("192.0.2.7", 1),
            "server": ("localhost", 80),
        }
        self.task = asyncio.create_task(app(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def _send(self, message: Any) -> None:  # noqa: ANN401 - an ASGI message
        self.status = message.get("status", self.status)


async def test_what_is_in_flight(protected: Protected) -> None:
    """As many as the limit says run at once; one that ends, or is given up, makes room for one."""
    app, doors, entered = FastAPI(), asyncio.Event(), asyncio.Semaphore(0)

    @app.get("/wait")
    @OPEN
    @rate_limit(in_flight=2)
    async def wait() -> str:
        entered.release()
        await doors.wait()
        return "done"

    protected.stockade.install(app)
    await protected.stockade.start()
    running = [Running(app) for _ in range(2)]
    for _ in running:
        await entered.acquire()
    third = Running(app)
    await third.task
    assert third.status == 429
    running[0].task.cancel()
    await asyncio.gather(running[0].task, return_exceptions=True)
    async with asyncio.timeout(10):
        while True:
            fourth = Running(app)
            waiter = asyncio.create_task(entered.acquire())
            await asyncio.wait({fourth.task, waiter}, return_when=asyncio.FIRST_COMPLETED)
            if waiter.done():
                break
            waiter.cancel()
    doors.set()
    await asyncio.gather(running[1].task, fourth.task)
    assert (running[1].status, fourth.status) == (200, 200)
    refused = [event for event in protected.sink if event.name == "rate_limiting.refused"]
    assert refused[0].reason == "rate_limiting.too_many_at_once"
    assert refused[0].route == "/wait"
    await protected.stockade.stop()


def test_a_websocket_holds_its_place_until_it_is_closed(protected: Protected) -> None:
    """A second connection of the same address is refused, until the first one has ended."""
    with serve(make_app(), protected) as client:
        for _ in range(3):
            with client.websocket_connect("/echo") as socket:
                socket.send_text("a")
                assert socket.receive_text() == "a"
                with pytest.raises(WebSocketDenialResponse) as caught:
                    client.websocket_connect("/echo").__enter__()
                assert caught.value.status_code == 429


def test_messages_of_a_stranger(protected: Protected) -> None:
    """One message too many ends the connection, and a new one has no fresh start."""
    with serve(make_app(), protected) as client:
        with client.websocket_connect("/echo") as socket:
            for _ in range(3):
                socket.send_text("a")
                assert socket.receive_text() == "a"
            socket.send_text("one more")
            with pytest.raises(WebSocketDisconnect) as ended:
                socket.receive_text()
            assert ended.value.code == 1008
        with client.websocket_connect("/echo") as socket:
            socket.send_text("again")
            with pytest.raises(WebSocketDisconnect):
                socket.receive_text()
    assert protected.names().count("rate_limiting.refused") == 2


def test_messages_of_callers(protected: Protected) -> None:
    """Each caller has its own limit of messages, behind one address."""
    with serve(make_app(), protected) as client:
        for account in (MEMBER, ADMIN):
            headers = protected.headers(account)
            with client.websocket_connect("/own", headers=headers) as socket:
                for _ in range(2):
                    socket.send_text("a")
                    assert socket.receive_text() == f"a{account.user_id}"
                socket.send_bytes(b"one more")
                with pytest.raises(WebSocketDisconnect):
                    socket.receive_text()


def test_defaults_of_websockets() -> None:
    """A websocket without limits of its own has those of the settings."""
    protected = Protected(rate_limiting={**ON, "messages": "2/hour", "connections": 1})
    with (
        serve(make_app(), protected) as client,
        client.websocket_connect("/default") as socket,
    ):
        with pytest.raises(WebSocketDenialResponse):
            client.websocket_connect("/default").__enter__()
        for _ in range(2):
            socket.send_text("a")
            assert socket.receive_text() == "a"
        socket.send_text("one more")
        with pytest.raises(WebSocketDisconnect):
            socket.receive_text()


def test_redirects_are_limited() -> None:
    """The router's redirect to a path with its slash is counted by address, over all paths."""
    protected = Protected(rate_limiting={**ON, "public": "3/hour"})
    with serve(make_app(), protected) as client:
        assert statuses(client, "/slash", 5) == [307] * 3 + [429] * 2
        answer = client.get("/slash", follow_redirects=False)
        assert answer.headers["retry-after"] == "1200"
        assert answer.json()["code"] == "rate_limited"
    assert protected.names().count("rate_limiting.refused") == 3


def test_redirects_where_limits_are_off() -> None:
    """Without limits there are redirects as ever."""
    with serve(make_app(), Protected()) as client:
        assert statuses(client, "/slash", 5) == [307] * 5


def test_a_dry_run() -> None:
    """Where limits only count, nothing is refused, and the start says so."""
    protected = Protected(rate_limiting={**ON, "public": "1/hour", "dry_run": True})
    with serve(make_app(), protected) as client:
        assert statuses(client, "/slash/", 3) == [200] * 3
        assert statuses(client, "/try/404", 4) == [404] * 4
        assert statuses(client, "/slash", 3) == [307] * 3
    (started,) = protected.sink.named("application.started")
    assert "rate_limiting" in started.details["off"]
    assert set(protected.names()) >= {"rate_limiting.would_refuse"}
    assert "rate_limiting.refused" not in protected.names()


def test_limits_of_a_websocket_that_can_not_be_decorated() -> None:
    """The settings limit the messages and connections of routes of third parties."""
    policies = {
        "/vendor": {"public": "the vendor's", "messages": "1/hour", "in_flight": 1},
    }
    app = FastAPI()

    @app.websocket("/vendor")
    async def vendor(websocket: WebSocket) -> None:
        await _answer(websocket)

    protected = Protected(rate_limiting=ON, gate={"policies": policies})
    with serve(app, protected) as client, client.websocket_connect("/vendor") as socket:
        with pytest.raises(WebSocketDenialResponse):
            client.websocket_connect("/vendor").__enter__()
        socket.send_text("a")
        assert socket.receive_text() == "a"
        socket.send_text("one more")
        with pytest.raises(WebSocketDisconnect):
            socket.receive_text()
