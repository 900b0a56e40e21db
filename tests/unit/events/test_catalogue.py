import logging
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.events import EVENTS, event_name_for


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_every_event_is_described(name: str) -> None:
    """A name reads layer.what_happened, and its severity is one of logging's."""
    kind = EVENTS[name]
    assert kind.name == name
    assert re.fullmatch(r"[a-z_]+\.[a-z_]+", name)
    assert kind.level in (logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)
    assert kind.description.endswith(".")


@pytest.mark.parametrize(
    ("reason", "name"),
    [
        ("authentication.token_expired", "authentication.refused"),
        ("authorization.role_missing", "authorization.refused"),
        ("tenancy.no_tenant", "tenancy.refused"),
        ("api_docs.off", "api_docs.refused"),
        ("gate.no_policy", "gate.no_policy"),
        ("validation.body_too_large", "validation.body_too_large"),
        ("billing.card_expired", "web.request_refused"),
        ("", "web.request_refused"),
        (".", "web.request_refused"),
    ],
    ids=str,
)
def test_a_reason_names_its_event(reason: str, name: str) -> None:
    """A reason that is an event stands for itself, any other for the refusal of its layer."""
    assert event_name_for(reason) == name


@given(st.text())
def test_any_reason_has_an_event(reason: str) -> None:
    """An application's own reason never makes recording fail."""
    assert event_name_for(reason) in EVENTS
