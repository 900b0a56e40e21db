"""The layers start before the first request, stop with the application, and start again."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from stockade import public
from stockade.authentication import BcryptHasher
from stockade.errors import ConfigurationError, StoreError
from stockade.events import EventLog
from stockade.gate.lifecycle import Lifecycle
from tests.clock import FrozenClock
from tests.unit.gate.apps import MEMBER, Protected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import Message, Receive, Scope, Send


def test_application_can_start_again() -> None:
    """An application whose lifespan runs twice, as in a test-suite, is proved both times."""
    app, protected = FastAPI(), Protected(rate_limiting={"enabled": True})
    stored = BcryptHasher(cost=4).hash("correct horse battery")
    protected.accounts.put(replace(MEMBER, password_hash=stored))
    app.include_router(protected.stockade.auth_router)
    protected.stockade.install(app)
    form = {"username": MEMBER.email, "password": "correct horse battery"}
    statuses = []

    for _ in range(2):
        with TestClient(app) as client:
            statuses.append(client.post("/auth/token", data=form).status_code)

    assert statuses == [200, 200]
    started = [event for event in protected.sink if event.name == "application.started"]
    assert len(started) == 2


def test_routes_of_the_lifespan_are_bound() -> None:
    """Routes that the application's own lifespan adds are closed before the first request."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.add_api_route("/late", lambda: "ran")
        yield

    app, protected = FastAPI(lifespan=lifespan), Protected()
    protected.stockade.install(app)

    with TestClient(app) as client:
        assert client.get("/late").status_code == 401


def test_failed_start_closes_what_the_application_opened() -> None:
    """When a layer is not in force, the application's lifespan still gets to clean up."""
    closed = []

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        closed.append(True)

    app, protected = (
        FastAPI(lifespan=lifespan),
        Protected(gate={"policies": {"/nothing": {"public": "for the test"}}}),
    )
    protected.stockade.install(app)

    with pytest.raises(ConfigurationError), TestClient(app):
        pass

    assert closed == [True]


def test_health_route_answers_after_the_start() -> None:
    """A public route answers, with the decision recorded and the security headers on it."""
    app, protected = FastAPI(), Protected()
    app.get("/health")(public("load balancer probe")(lambda: {"status": "ok"}))
    protected.stockade.install(app)

    with TestClient(app) as client:
        answer = client.get("/health")

    assert answer.json() == {"status": "ok"}
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.anyio
async def test_start_without_install_is_an_error() -> None:
    """`start` without `install` says what is missing."""
    with pytest.raises(ConfigurationError, match="install"):
        await Protected().stockade.start()


def test_start_says_what_is_off_and_what_is_closed() -> None:
    """The event of the start names layers that are off by setting and routes without a policy."""
    app, protected = FastAPI(), Protected(api_docs={})
    app.add_api_route("/forgotten", lambda: "ran")
    protected.stockade.install(app)

    with TestClient(app):
        pass

    (event,) = protected.sink.named("application.started")
    assert event.details["off"] == "rate_limiting, api_docs"
    assert "GET /forgotten" in event.details["closed_for_want_of_a_policy"]


def test_start_with_everything_on_names_nothing_as_off() -> None:
    """Where every layer is on and every route has a policy, the start has nothing to confess."""
    app, protected = FastAPI(), Protected(rate_limiting={"enabled": True})
    app.get("/health")(public("load balancer probe")(lambda: "ok"))
    protected.stockade.install(app)

    with TestClient(app):
        pass

    (event,) = protected.sink.named("application.started")
    assert set(event.details) == {"environment", "routes"}


class _Starts:
    """A start that fails as it is told to."""

    def __init__(self, *outcomes: Exception | None) -> None:
        self.outcomes = list(outcomes)
        self.stops = 0

    async def start(self) -> dict[str, str]:
        """Fail or succeed, as the next outcome says."""
        outcome = self.outcomes.pop(0)
        if outcome is not None:
            raise outcome
        return {}

    async def stop(self) -> None:
        """Count the stops."""
        self.stops += 1


def _lifecycle(starts: _Starts, clock: FrozenClock) -> Lifecycle:
    events = EventLog([], clock=clock)
    return Lifecycle(start=starts.start, stop=starts.stop, events=events, clock=clock)


async def test_store_that_comes_back_is_asked_again() -> None:
    """Without a lifespan, a store that was away at the first request does not end everything."""
    clock, starts = FrozenClock(), _Starts(StoreError("away"), None)
    lifecycle = _lifecycle(starts, clock)

    first = await lifecycle.start()
    at_once = await lifecycle.start()
    clock.advance(2)
    later = await lifecycle.start()

    assert (first, at_once, later) == (False, False, True)
    assert starts.outcomes == []


async def test_mistake_is_not_tried_again() -> None:
    """A mistake in the configuration does not go away by waiting."""
    clock, starts = FrozenClock(), _Starts(ConfigurationError("mistake"), None)
    lifecycle = _lifecycle(starts, clock)

    first = await lifecycle.start()
    clock.advance(3600)
    later = await lifecycle.start()

    assert (first, later) == (False, False)


async def test_new_lifespan_starts_anew_after_a_failure() -> None:
    """Once closed, a failed start is forgotten: the next lifespan proves everything again."""
    clock, starts = FrozenClock(), _Starts(ConfigurationError("mistake"), None)
    lifecycle = _lifecycle(starts, clock)

    first = await lifecycle.start()
    await lifecycle.close()
    second = await lifecycle.start()

    assert (first, second, starts.stops) == (False, True, 1)


async def test_everything_is_closed_before_the_server_is_told() -> None:
    """Servers end with the message that the start has failed, and wait for nothing behind it."""
    starts = _Starts(ConfigurationError("mistake"))
    lifecycle = _lifecycle(starts, FrozenClock())
    stops: list[tuple[str, int]] = []

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        stops.append((message["type"], starts.stops))

    with pytest.raises(ConfigurationError):
        await lifecycle.run(app, {"type": "lifespan"}, receive, send)

    assert stops == [("lifespan.startup.failed", 1)]
    assert starts.stops == 1
