from fastapi import FastAPI
from starlette.testclient import TestClient

from stockade import Settings, Stockade
from stockade.events import MemorySink
from stockade.testing import capture_events

REFUSED = {"Host": "evil.example"}


def test_events_are_captured_for_a_while() -> None:
    """Inside the block events are kept, and the application's own sinks get each as before."""
    own = MemorySink()
    app = FastAPI()
    Stockade(Settings(environment="test"), sinks=[own]).install(app)
    with TestClient(app) as client:
        client.get("/before", headers=REFUSED)
        before = len(list(own))
        with capture_events(client) as events:
            client.get("/inside", headers=REFUSED)
        client.get("/after", headers=REFUSED)
    assert [event.reason for event in events] == ["web.host_not_allowed"]
    assert len(list(own)) == before + 2


def test_blocks_may_end_in_any_order() -> None:
    """Two blocks at once each keep their own."""
    app = FastAPI()
    Stockade(Settings(environment="test"), sinks=[]).install(app)
    with TestClient(app) as client:
        first, second = capture_events(app), capture_events(client)
        kept, other = first.__enter__(), second.__enter__()
        client.get("/a", headers=REFUSED)
        first.__exit__(None, None, None)
        client.get("/b", headers=REFUSED)
        second.__exit__(None, None, None)
        client.get("/c", headers=REFUSED)
    assert (len(list(kept)), len(list(other))) == (1, 2)
