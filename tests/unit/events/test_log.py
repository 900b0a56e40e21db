import logging

import pytest

from stockade.core import Exchange, Principal, TenantId, UserId
from stockade.core.exchange import SCOPE_KEY
from stockade.events import Event, EventLog, MemorySink
from tests.clock import FrozenClock


class BrokenSink:
    """A sink whose target is away."""

    def write(self, event: Event) -> None:
        """Fail.

        Raises:
            ConnectionError: Always.
        """
        raise ConnectionError(event.name)


def make_scope(**values: object) -> dict[str, object]:
    """Make the scope of a request with an exchange."""
    exchange = Exchange(
        guard=None, request_id="r-1", client="192.0.2.1", scheme="http", body_limit=1
    )
    for name, value in values.items():
        setattr(exchange, name, value)
    return {
        "method": "POST",
        "path": "/notes/secret-in-the-path",
        "query_string": b"token=secret",
        SCOPE_KEY: exchange,
    }


def test_an_event_knows_its_request() -> None:
    """Identifier, address, template and caller are read from the exchange; nothing from the URL."""
    sink, clock = MemorySink(), FrozenClock()
    ana = Principal(user_id=UserId("ana"), email="ana@example.com", tenant_id=TenantId("acme"))
    scope = make_scope(route="/notes/{id}", principal=ana)
    EventLog([sink], clock=clock).emit("authorization.refused", scope=scope, reason="a.b")
    assert list(sink) == [
        Event(
            name="authorization.refused",
            at=clock.now(),
            reason="a.b",
            request_id="r-1",
            client="192.0.2.1",
            route="/notes/{id}",
            method="POST",
            user_id="ana",
            tenant_id="acme",
        )
    ]
    assert "secret" not in repr(list(sink))


@pytest.mark.parametrize("scope", [None, {}, {"method": "GET"}], ids=str)
def test_an_event_needs_no_request(scope: dict[str, object] | None) -> None:
    """What happens outside of a request is recorded without one."""
    sink = MemorySink()
    EventLog([sink], clock=FrozenClock()).emit("application.started", scope=scope)
    (event,) = sink
    assert (event.request_id, event.client, event.method) == (None, None, None)


def test_a_websocket_has_no_method() -> None:
    """Its event says that it was one."""
    sink = MemorySink()
    scope = make_scope()
    del scope["method"]
    EventLog([sink], clock=FrozenClock()).emit("gate.undecided", scope=scope)
    assert [event.method for event in sink] == ["WEBSOCKET"]


def test_planted_requests_leave_no_trace() -> None:
    """What happens to the start-up check's own requests is no event."""
    sink = MemorySink()
    log = EventLog([sink], clock=FrozenClock())
    log.emit("gate.undecided", scope=make_scope(planted=True))
    assert list(sink) == []


def test_a_name_outside_of_the_catalogue_is_a_mistake() -> None:
    """Every event is documented, so one that is not can't be recorded."""
    with pytest.raises(KeyError):
        EventLog([], clock=FrozenClock()).emit("gate.unheard_of")


def test_a_sink_that_fails_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """A broken sink is reported; the request and the other sinks go on."""
    before, after = MemorySink(), MemorySink()
    log = EventLog([before, BrokenSink(), after], clock=FrozenClock())
    with caplog.at_level(logging.ERROR, logger="stockade.events"):
        log.emit("application.started")
    assert len(list(before)) == len(list(after)) == 1
    assert "application.started" in caplog.text
