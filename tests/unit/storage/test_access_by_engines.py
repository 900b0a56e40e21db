"""Objects are checked by engines, whose failures are events."""

from typing import Any

import pytest
from fastapi import Depends, FastAPI
from starlette.testclient import TestClient

from stockade import ObjectAccess, Settings, Stockade, require_engine
from stockade.authorization.engines import policy_of_engine
from stockade.authorization.objects import ENGINE_FAILED
from stockade.core.decision import Decision
from stockade.core.identity import Principal, UserId
from stockade.errors import NotFoundError
from stockade.events import MemorySink
from stockade.storage.memory.accounts import MemoryAccountStore
from stockade.storage.sql.access import ObjectAccess as SameAccess
from stockade.testing import as_principal

ANA = Principal(user_id=UserId("ana"), email="")


class Engine:
    """Permits what is even, and can't evaluate what is negative."""

    def is_allowed(self, principal: Principal, action: str, instance: Any) -> bool:  # noqa: ANN401 - any object
        """Decide."""
        return self.decide(principal, action, instance).granted

    def decide(self, _principal: Principal, _action: str, instance: Any) -> Decision:  # noqa: ANN401 - any object
        """Decide by a number."""
        number = getattr(instance, "number", -1)
        reason = ENGINE_FAILED if number < 0 else "authorization.engine_granted"
        evidence = {"engine": "Engine", "policies": "even"}
        return Decision(granted=number % 2 == 0, reason=reason, evidence=evidence)


class Watching:
    """Remembers what it is told of checks."""

    def __init__(self) -> None:
        self.approved: list[object] = []
        self.answered: list[type[object]] = []

    def approve(self, instance: object, action: str) -> None:
        """Remember."""
        self.approved.append((instance, action))

    def answer_for(self, model: type[object]) -> None:
        """Remember."""
        self.answered.append(model)


def make_model() -> Any:  # noqa: ANN401 - a class of its own
    """Make a class whose objects an engine decides about."""

    def start(self: Any, number: int) -> None:  # noqa: ANN401 - as above
        self.number = number

    model = type("Number", (), {"__init__": start})
    policy_of_engine(model, Engine(), "read")
    return model


def test_what_may_be_read_is_kept() -> None:
    """Each object is decided on by itself, and what is kept may be used."""
    model, watch = make_model(), Watching()
    told: list[Decision] = []
    access = ObjectAccess(ANA, watch, report=told.append)
    rows = [model(number) for number in (1, 2, -4, 4)]
    kept = access.allowed(model, iter(rows))
    assert [each.number for each in kept] == [2, 4]
    assert watch.approved == [(rows[1], "read"), (rows[3], "read")]
    assert [each.reason for each in told] == [ENGINE_FAILED]


def test_an_empty_list_was_checked_as_well() -> None:
    """A page without rows is an answer, and no forgotten check."""
    model, watch = make_model(), Watching()
    assert SameAccess(ANA, watch).allowed(model, []) == []
    assert watch.answered == [model]


def test_a_failed_check_is_told() -> None:
    """Whether it raises or only says what a rule thinks."""
    model = make_model()
    told: list[Decision] = []
    access = ObjectAccess(ANA, None, report=told.append)
    with pytest.raises(NotFoundError):
        access.require("read", model(-1))
    assert not access.decide("read", model(-2)).granted
    assert [each.evidence["policies"] for each in told] == ["even", "even"]


def test_a_failed_question_of_a_route_is_an_event() -> None:
    """The caller is refused, before the body, and the event names what was asked."""
    app, sink = FastAPI(), MemorySink()
    stockade = Stockade(Settings(environment="test"), accounts=MemoryAccountStore([]), sinks=[sink])
    stockade.install(app)

    @app.post("/things", dependencies=[Depends(require_engine(Engine(), "create", "things"))])
    async def create() -> None: ...

    with TestClient(app) as client, as_principal(client, tenant="acme", roles=["member"]):
        assert client.post("/things", content=b"x").status_code == 403
    [event] = sink.named(ENGINE_FAILED)
    assert event.details["asked"] == "create things"
    assert (event.route, event.user_id) == ("/things", "test-user")
    [refused] = sink.named("authorization.refused")
    assert refused.reason == "authorization.engine_refused"
