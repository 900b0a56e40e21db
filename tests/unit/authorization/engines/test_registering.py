import subprocess
import sys
from typing import Any

import pytest

from stockade.authorization import policy
from stockade.authorization.engines import policy_of_engine
from stockade.authorization.errors import ObjectPolicyError
from stockade.authorization.objects import decide_object, require_object
from stockade.core import Principal, UserId
from stockade.errors import ConfigurationError, ForbiddenError

ANA = Principal(user_id=UserId("ana"), email="")


class Engine:
    """Answers by a table, and remembers what it was asked."""

    def __init__(self, **answers: Any) -> None:  # noqa: ANN401 - whatever an engine returns
        self.answers = answers
        self.asked: list[tuple[str, str, object]] = []

    def is_allowed(self, principal: Principal, action: str, instance: object) -> bool:
        """Look the action up."""
        self.asked.append((principal.user_id, action, instance))
        return self.answers[action]  # type: ignore[no-any-return]


class AsyncEngine:
    async def is_allowed(self, _principal: Principal, _action: str, _instance: object) -> bool:
        """Answer later, which is no answer."""
        return True


def make_model() -> type[Any]:
    """Make a class of its own."""
    return type("Note", (), {})


def test_an_engine_decides() -> None:
    """It is asked for the caller, the action and the object, and named in the evidence."""
    model, engine = make_model(), Engine(read=True, write=False)
    policy_of_engine(model, engine, "read", "write")
    note = model()
    decision = decide_object(ANA, "read", note)
    assert decision.granted
    assert decision.evidence["rule"] == "Engine.is_allowed"
    with pytest.raises(ForbiddenError):
        require_object(ANA, "write", note)
    assert engine.asked[0] == ("ana", "read", note)


@pytest.mark.parametrize("answer", [None, 1, "allow", object()], ids=repr)
def test_an_engine_answers_yes_or_no(answer: object) -> None:
    """What is merely truthy, as some engines answer, lets nobody through."""
    model = make_model()
    policy_of_engine(model, Engine(read=answer), "read")
    with pytest.raises(ObjectPolicyError):
        decide_object(ANA, "read", model())


def test_an_engine_that_answers_later_lets_nobody_through() -> None:
    """A coroutine is truthy, and decides nothing."""
    model = make_model()
    policy_of_engine(model, AsyncEngine(), "read")  # type: ignore[arg-type]
    with pytest.raises(ObjectPolicyError):
        decide_object(ANA, "read", model())


def test_an_engine_that_fails_lets_nobody_through() -> None:
    """Its error comes out."""
    model = make_model()
    policy_of_engine(model, Engine(), "read")
    with pytest.raises(KeyError):
        require_object(ANA, "read", model())


def test_a_registration_that_cannot_be_meant_is_refused() -> None:
    """No action, a second rule for one, and something that is no engine are mistakes."""
    model = make_model()
    policy(model, "read")(lambda _principal, _instance: True)
    for engine, actions in ((Engine(), ()), (Engine(), ("read",)), (object(), ("write",))):
        with pytest.raises(ConfigurationError):
            policy_of_engine(model, engine, *actions)  # type: ignore[arg-type]


def test_the_core_needs_no_engine() -> None:
    """Neither library is loaded before an engine is made."""
    program = (
        "import sys, stockade, stockade.authorization.engines.casbin,"
        " stockade.authorization.engines.cedar;"
        " print(*({'casbin', 'cedarpy', 'simpleeval'} & sys.modules.keys()))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert ran.stdout.strip() == ""
