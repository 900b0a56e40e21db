"""Expect an application to ban by its settings."""

from fastapi import FastAPI
from fastapi.testclient import TestClient

from stockade import Settings, Stockade, public, rate_limit, unlimited
from stockade.events import MemorySink
from stockade.rate_limiting import RateLimitingSettings
from stockade.settings import Environment


def serve(peer: str, **limits: object) -> tuple[TestClient, MemorySink]:
    """Make an application with a limited, another and a free route."""
    sink = MemorySink()
    app = FastAPI()

    @app.get("/limited")
    @public("test")
    @rate_limit("1/hour")
    async def limited() -> None: ...

    @app.get("/other")
    @public("test")
    async def other() -> None: ...

    @app.get("/health")
    @public("test")
    @unlimited("load balancer")
    async def health() -> None: ...

    settings = Settings(
        environment=Environment.TEST,
        rate_limiting=RateLimitingSettings.model_validate({"enabled": True, **limits}),
    )
    Stockade(settings, sinks=[sink]).install(app)
    return TestClient(app, client=(peer, 1)), sink


def test_who_is_refused_again_and_again_is_banned() -> None:
    """The ban holds on all limited routes, says when it ends, and is one event."""
    client, sink = serve("192.0.2.7", ban_after=3, ban_first=30)
    with client:
        for _ in range(6):
            client.get("/limited")
        banned = client.get("/other")
        assert banned.status_code == 429
        assert 1 <= int(banned.headers["Retry-After"]) <= 30
        assert client.get("/health").status_code == 200
    (event,) = [event for event in sink if event.name == "rate_limiting.ban_started"]
    assert event.details["subject"] == "ip:192.0.2.7"


def test_nobody_is_banned_by_default() -> None:
    """Without the setting, a used-up limit has no effect elsewhere."""
    client, _ = serve("192.0.2.7")
    with client:
        assert [client.get("/limited").status_code for _ in range(40)][1:] == [429] * 39
        assert client.get("/other").status_code == 200
