"""A websocket ends with what its caller is there by."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest
from fastapi import Depends, FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse, WebSocketTestSession
from starlette.types import Message
from starlette.websockets import WebSocketDisconnect

from stockade import Settings, Stockade, optional_principal, public, require_role
from stockade.authentication import Account
from stockade.core.dependencies import current_principal
from stockade.errors import StoreError
from stockade.events import MemorySink
from stockade.gate.sockets import WatchedSocket
from stockade.storage.memory.accounts import MemoryAccountStore
from tests.clock import FrozenClock
from tests.unit.gate.apps import ADMIN, MEMBER


class Accounts(MemoryAccountStore):
    """Accounts that can be away."""

    away = False

    async def find_by_id(self, user_id: Any, tenant_id: Any) -> Account | None:  # noqa: ANN401 - the Protocol's
        if self.away:
            raise StoreError("the database could not answer")
        return await super().find_by_id(user_id, tenant_id)


async def _answer(socket: WebSocket) -> None:
    await socket.accept()
    with suppress(WebSocketDisconnect):
        while True:
            await socket.send_text("you said " + await socket.receive_text())


class Bench:
    """An application with websockets, and a clock that stands still."""

    def __init__(self) -> None:
        self.clock, self.sink = FrozenClock(), MemorySink()
        self.accounts = Accounts([MEMBER, ADMIN])
        settings = Settings(
            environment="test",
            gate={"policies": {"/mounted/**": {"authenticated": True}}},
            authentication={"identity_cache_lifetime": 0, "access_token_lifetime": "PT10M"},
        )
        self.stockade = Stockade(
            settings, accounts=self.accounts, sinks=[self.sink], clock=self.clock
        )
        self.app = FastAPI()
        self.ends: list[object] = []
        self.app.websocket("/echo", dependencies=[Depends(current_principal)])(_answer)
        self.app.websocket("/admins", dependencies=[Depends(require_role("admin"))])(_answer)
        self.app.websocket("/open", dependencies=[public("test")])(_answer)
        either = [public("test"), Depends(optional_principal)]
        self.app.websocket("/either", dependencies=either)(_answer)
        inner = Starlette(routes=[WebSocketRoute("/echo", _answer)])
        self.app.mount("/mounted", inner)

        @self.app.websocket("/pushes", dependencies=[Depends(current_principal)])
        async def push(socket: WebSocket) -> None:
            await socket.accept()
            try:
                while await socket.receive_text() != "push":
                    pass
                self.clock.advance(601)
                while True:
                    await socket.send_text("secret")
            except WebSocketDisconnect as error:
                self.ends.append(error.code)

        self.stockade.install(self.app)

    @contextmanager
    def connect(
        self, path: str, account: Account | None = MEMBER
    ) -> Iterator[WebSocketTestSession]:
        """Open a websocket as somebody."""
        headers = {}
        if account is not None:
            token = self.stockade._sign_in.tokens.issue(account)
            headers = {"Authorization": f"Bearer {token.value}"}
        with (
            TestClient(self.app) as client,
            client.websocket_connect(path, headers=headers) as session,
        ):
            yield session

    def refusals(self) -> list[tuple[str, str | None]]:
        """Return name and reason of each event since the start."""
        return [
            (event.name, event.reason) for event in self.sink if event.name != "application.started"
        ]


@pytest.fixture
def bench() -> Bench:
    """Make one."""
    return Bench()


def say(session: WebSocketTestSession) -> str:
    """Send a text and return the answer."""
    session.send_text("x")
    return session.receive_text()


def end_of(session: WebSocketTestSession) -> int:
    """Send a text and return the code that the websocket ends with."""
    session.send_text("x")
    with pytest.raises(WebSocketDisconnect) as caught:
        session.receive_text()
    return caught.value.code


def expire(bench: Bench) -> None:
    """Let the token expire."""
    bench.clock.advance(601)


def deactivate(bench: Bench) -> None:
    """Switch the account off."""
    bench.clock.advance(1)
    bench.accounts.put(replace(MEMBER, active=False))


def sign_out_everywhere(bench: Bench) -> None:
    """End what was issued before."""
    bench.clock.advance(1)
    bench.accounts.put(replace(MEMBER, token_epoch=1))


@pytest.mark.parametrize("path", ["/echo", "/either", "/mounted/echo"])
@pytest.mark.parametrize("change", [expire, deactivate, sign_out_everywhere])
def test_it_ends_with_the_token(bench: Bench, path: str, change: Callable[[Bench], None]) -> None:
    """Nothing that comes later gets to the endpoint."""
    with bench.connect(path) as session:
        assert say(session) == "you said x"
        change(bench)
        assert end_of(session) == 1008
    (refusal,) = bench.refusals()
    assert refusal[0] == "authentication.refused"


def test_it_ends_with_the_role(bench: Bench) -> None:
    """A role that was taken away counts no longer."""
    with bench.connect("/admins", ADMIN) as session:
        assert say(session) == "you said x"
        bench.clock.advance(1)
        bench.accounts.put(replace(ADMIN, roles=frozenset({"member"})))
        assert end_of(session) == 1008
    assert bench.refusals() == [("authorization.refused", "authorization.role_missing")]


def test_what_is_pushed_ends_too(bench: Bench) -> None:
    """The endpoint learns that nobody is there any more, as it does when a client has gone."""
    with bench.connect("/pushes") as session:
        session.send_text("push")
        with pytest.raises(WebSocketDisconnect) as caught:
            session.receive_text()
        assert caught.value.code == 1008
    assert bench.ends == [1006]
    assert len(bench.refusals()) == 1


def test_accounts_that_are_away_end_it_for_now(bench: Bench) -> None:
    """Who can't be looked up is not believed; the code says to come back."""
    with bench.connect("/echo") as session:
        assert say(session) == "you said x"
        bench.clock.advance(1)
        bench.accounts.away = True
        assert end_of(session) == 1013
    assert [name for name, _ in bench.refusals()] == ["web.server_error"]


def test_it_goes_on_for_who_holds(bench: Bench) -> None:
    """Who is still there notices nothing, and who was never asked for is not asked for."""
    with bench.connect("/echo") as session:
        for _ in range(50):
            bench.clock.advance(10)
            assert say(session) == "you said x"
    for path in ("/open", "/either"):
        with bench.connect(path, None) as session:
            bench.clock.advance(10_000)
            assert say(session) == "you said x"
    assert bench.refusals() == []


async def test_frames_of_one_second_ask_once() -> None:
    """However many there are, in both directions."""
    clock, asked = FrozenClock(), []

    async def receive() -> Message:
        return {"type": "websocket.receive", "text": "x"}

    async def send(_message: Message) -> None: ...

    async def admit() -> None:
        asked.append(clock.monotonic())

    socket = WatchedSocket(
        receive, send, admit=admit, monotonic=clock.monotonic, on_refusal=lambda _error: None
    )
    for _ in range(30):
        clock.advance(0.1)
        await socket.receive()
        await socket.send({"type": "websocket.send", "text": "y"})
    assert len(asked) in {2, 3}


def token_of(bench: Bench, account: Account = MEMBER) -> str:
    """Return an access token."""
    return bench.stockade._sign_in.tokens.issue(account).value


def test_a_browser_brings_its_token_as_a_subprotocol(bench: Bench) -> None:
    """What is agreed on is one that it has offered; nothing further in sees the token."""
    seen: list[tuple[list[str], dict[str, str]]] = []

    @bench.app.websocket("/seen", dependencies=[Depends(current_principal)])
    async def show(socket: WebSocket) -> None:
        seen.append((socket.scope["subprotocols"], dict(socket.headers)))
        await socket.accept()
        await socket.send_text(socket.scope["state"]["authenticated_user_id"])
        await socket.close()

    token = token_of(bench)
    with (
        TestClient(bench.app) as client,
        client.websocket_connect("/seen", subprotocols=["bearer", token]) as session,
    ):
        assert str(session.accepted_subprotocol) == "bearer"
        assert session.receive_text() == MEMBER.user_id
    assert token not in repr(seen)
    assert [offered for offered, _ in seen] == [[]]


def test_an_endpoint_may_choose_another_subprotocol(bench: Bench) -> None:
    """One of those that were offered beside."""

    @bench.app.websocket("/graph", dependencies=[Depends(current_principal)])
    async def answer(socket: WebSocket) -> None:
        await socket.accept(subprotocol=socket.scope["subprotocols"][0])
        await socket.close()

    offered = ["bearer", token_of(bench), "graphql-transport-ws"]
    with (
        TestClient(bench.app) as client,
        client.websocket_connect("/graph", subprotocols=offered) as session,
    ):
        assert str(session.accepted_subprotocol) == "graphql-transport-ws"


@pytest.mark.parametrize(
    "offered",
    [["bearer"], ["bearer", "a.b.c"], ["bearer", "bearer"], ["TOKEN"], ["Bearer", "TOKEN"]],
    ids=str,
)
def test_what_is_no_token_lets_nobody_in(bench: Bench, offered: list[str]) -> None:
    """Nor does a token in another place, or in the address."""
    token = token_of(bench)
    offered = [each.replace("TOKEN", token) for each in offered]
    with TestClient(bench.app) as client:
        for path in ("/echo", f"/echo?token={token}&access_token={token}"):
            with (
                pytest.raises(WebSocketDenialResponse) as caught,
                client.websocket_connect(path, subprotocols=offered),
            ):
                pass
            assert caught.value.status_code == 401


def test_two_tokens_are_refused(bench: Bench) -> None:
    """Whichever counted, somebody would believe in the other."""
    token = token_of(bench)
    with (
        TestClient(bench.app) as client,
        pytest.raises(WebSocketDenialResponse) as caught,
        client.websocket_connect(
            "/echo", subprotocols=["bearer", token], headers={"Authorization": f"Bearer {token}"}
        ),
    ):
        pass
    assert caught.value.status_code == 400


def test_a_socket_with_a_subprotocol_ends_with_its_token_too(bench: Bench) -> None:
    """It is the same token."""
    with (
        TestClient(bench.app) as client,
        client.websocket_connect("/echo", subprotocols=["bearer", token_of(bench)]) as session,
    ):
        assert say(session) == "you said x"
        expire(bench)
        assert end_of(session) == 1008
