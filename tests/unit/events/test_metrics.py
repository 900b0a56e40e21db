import builtins
import logging
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry, generate_latest

from stockade import Settings, Stockade
from stockade.core import SystemClock
from stockade.errors import ConfigurationError
from stockade.events import EVENTS, EventLog
from stockade.events.metrics import MetricsSink
from stockade.rate_limiting import RateLimitingSettings, ResilientStore
from stockade.storage.memory import MemoryLimitStore
from tests.unit.rate_limiting.helpers import ManualClock
from tests.unit.rate_limiting.test_resilience import REQUEST, FailingStore


@pytest.fixture
def registry() -> CollectorRegistry:
    """Return a registry of its own."""
    return CollectorRegistry()


@pytest.fixture
def log(registry: CollectorRegistry) -> EventLog:
    """Return a log whose events are counted."""
    return EventLog([MetricsSink(registry)], clock=SystemClock())


def count(registry: CollectorRegistry, event: str) -> float | None:
    """Return how often an event was counted."""
    level = logging.getLevelName(EVENTS[event].level).lower()
    return registry.get_sample_value("stockade_events_total", {"event": event, "level": level})


def test_each_event_is_counted_from_zero(registry: CollectorRegistry, log: EventLog) -> None:
    """An event that has never happened is there, so that the first one is an increase."""
    assert {count(registry, name) for name in EVENTS} == {0.0}
    log.emit("gate.undecided", reason="gate.undecided")
    log.emit("gate.undecided", reason="gate.undecided")
    assert count(registry, "gate.undecided") == 2.0
    labels = {"event": "gate.undecided", "reason": "gate.undecided"}
    assert registry.get_sample_value("stockade_event_reasons_total", labels) == 2.0


def test_reasons_without_end_make_no_series_without_end(
    registry: CollectorRegistry, log: EventLog
) -> None:
    """Whoever writes a value into a reason fills no memory with it."""
    for number in range(5000):
        log.emit("authorization.refused", reason=f"own.{number}")
    assert count(registry, "authorization.refused") == 5000.0
    labels = {"event": "authorization.refused", "reason": "other"}
    assert registry.get_sample_value("stockade_event_reasons_total", labels) == 4000.0
    assert len(generate_latest(registry)) < 400_000


async def test_the_store_is_shown_as_it_comes_and_goes(
    registry: CollectorRegistry, log: EventLog
) -> None:
    """The gauge is 0 from the first failure to the first answer after it."""
    clock = ManualClock()
    store = FailingStore(clock)
    guarded = ResilientStore(
        store,
        local=MemoryLimitStore(clock=clock),
        settings=RateLimitingSettings(failure="open", failure_threshold=1),
        clock=clock,
        events=log,
    )

    def shown() -> float | None:
        return registry.get_sample_value("stockade_limit_store_up", {"failure_policy": "open"})

    await guarded.acquire(REQUEST)
    assert shown() is None
    store.failing = True
    await guarded.acquire(REQUEST)
    assert shown() == 0.0
    store.failing = False
    clock.advance(60)
    await guarded.acquire(REQUEST)
    assert shown() == 1.0


def test_refusals_over_http_are_counted(registry: CollectorRegistry) -> None:
    """What a client was refused is in the text that Prometheus reads."""
    app = FastAPI()
    stockade = Stockade(Settings(environment="test"), sinks=[MetricsSink(registry)])
    stockade.install(app)

    @app.get("/forgotten")
    async def forgotten() -> None: ...

    with TestClient(app) as client:
        assert client.get("/forgotten").status_code == 401
    text = generate_latest(registry).decode()
    assert 'stockade_events_total{event="authentication.refused",level="warning"} 1.0' in text
    assert 'stockade_events_total{event="application.started",level="info"} 1.0' in text


def test_a_registry_takes_one(registry: CollectorRegistry, log: EventLog) -> None:
    """Two that count into the same series would count everything twice."""
    assert log is not None
    with pytest.raises(ConfigurationError, match="has a MetricsSink already"):
        MetricsSink(registry)


def test_without_the_library_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, registry: CollectorRegistry
) -> None:
    """The core does not need it."""
    real = builtins.__import__

    def import_without(name: str, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        if name.startswith("prometheus_client"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", import_without)
    with pytest.raises(ConfigurationError, match=r"pip install 'stockade\[metrics\]'"):
        MetricsSink(registry)
