import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.events import EVENTS, Event, LoggingSink, MemorySink
from stockade.events.sinks import render_event
from tests.clock import FrozenClock

NOW = FrozenClock().now()


@given(
    client=st.text(), reason=st.text(), details=st.dictionaries(st.text(), st.text(), max_size=3)
)
def test_no_value_forges_a_line(client: str, reason: str, details: dict[str, str]) -> None:
    """Whatever a value holds, an event is one line of printable ASCII that reads back."""
    event = Event(
        name="gate.undecided", at=NOW, client=client, reason=reason, details=dict(details)
    )
    line = render_event(event)
    assert line.isascii()
    assert line.isprintable()
    read = json.loads(line)
    assert read.get("client", "") == client
    assert read.get("details", {}) == details


def test_empty_parts_are_left_out() -> None:
    """A line holds what is known and nothing else."""
    assert json.loads(render_event(Event(name="application.started", at=NOW))) == {
        "event": "application.started",
        "at": "2026-01-01T00:00:00+00:00",
    }


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_the_catalogue_sets_the_level(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Each event is logged at the severity that is documented."""
    with caplog.at_level(logging.DEBUG, logger="stockade.events"):
        LoggingSink().write(Event(name=name, at=NOW))
    (record,) = caplog.records
    assert record.levelno == EVENTS[name].level
    assert json.loads(record.getMessage())["event"] == name


def test_a_percent_sign_is_only_a_character(caplog: pytest.LogCaptureFixture) -> None:
    """A value is an argument of the log record and never its format."""
    with caplog.at_level(logging.DEBUG, logger="stockade.events"):
        LoggingSink().write(Event(name="gate.undecided", at=NOW, client="%s%d%(x)s"))
    assert json.loads(caplog.records[0].getMessage())["client"] == "%s%d%(x)s"


def test_another_logger_can_be_given(caplog: pytest.LogCaptureFixture) -> None:
    """Events go where the application wants them, and not where the level is off."""
    sink = LoggingSink(logging.getLogger("mine"))
    with caplog.at_level(logging.CRITICAL, logger="mine"):
        sink.write(Event(name="validation.refused", at=NOW))
    assert caplog.records == []


def test_memory_is_bounded() -> None:
    """A sink in memory keeps the newest events."""
    sink = MemorySink(size=2)
    for name in ("application.started", "gate.undecided", "gate.no_policy"):
        sink.write(Event(name=name, at=NOW))
    assert [event.name for event in sink] == ["gate.undecided", "gate.no_policy"]
    assert [event.name for event in sink.named("gate.no_policy")] == ["gate.no_policy"]
    assert sink.named("application.started") == []


def test_reading_does_not_trip_over_writing() -> None:
    """An event that comes while the events are read neither shows up nor fails the reader."""
    sink = MemorySink()
    sink.write(Event(name="gate.undecided", at=NOW))
    for event in sink:
        sink.write(event)
    assert len(list(sink)) == 2
