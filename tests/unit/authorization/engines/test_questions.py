"""A route asks an engine, before the body is read."""

from typing import Any

import pytest

from stockade import require_engine, require_role
from stockade.authorization.engines import Collection
from stockade.authorization.explaining import explain
from stockade.authorization.rules import covers, decide
from stockade.authorization.settings import AuthorizationSettings
from stockade.core.clock import SystemClock
from stockade.core.decision import Decision
from stockade.core.identity import Principal, UserId, UserType
from stockade.core.policy import Policy, PolicyConflictError
from stockade.errors import ConfigurationError

ANA = Principal(user_id=UserId("ana"), email="")
ROOT = Principal(user_id=UserId("root"), email="", user_type=UserType.SUPER_ADMIN)


class Plain:
    """Answers with whatever it was given."""

    def __init__(self, answer: Any) -> None:  # noqa: ANN401 - whatever an engine returns
        self.answer = answer
        self.asked: list[tuple[str, str, object]] = []

    def is_allowed(self, principal: Principal, action: str, instance: object) -> bool:
        """Answer."""
        self.asked.append((principal.user_id, action, instance))
        return self.answer  # type: ignore[no-any-return]


class Explaining(Plain):
    def decide(self, principal: Principal, action: str, instance: object) -> Decision:
        """Answer, with a reason."""
        granted = self.is_allowed(principal, action, instance)
        return Decision(
            granted=granted, reason="authorization.engine_granted", evidence={"policies": "x"}
        )


@pytest.mark.parametrize(
    ("engine", "granted"),
    [
        (Plain(True), True),
        (Plain(False), False),
        (Plain("yes"), False),
        (Plain(None), False),
        (Explaining(True), True),
        (Explaining(False), False),
        (Explaining("yes"), False),
    ],
    ids=["yes", "no", "truthy", "none", "explained", "explained no", "explained truthy"],
)
@pytest.mark.parametrize("who", [ANA, ROOT], ids=["user", "super"])
def test_an_engine_is_asked_about_a_collection(
    engine: Plain, granted: bool, who: Principal
) -> None:
    """Only True lets a caller through, whoever it is."""
    policy = require_engine(engine, "create", "notes").policy
    assert decide(policy, who, now=None).granted is granted
    assert engine.asked[-1] == (who.user_id, "create", Collection("notes"))


def test_an_engine_need_not_be_hashable() -> None:
    """Questions are told apart by the engine itself."""

    class Unhashable(Plain):
        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, _other: object) -> bool:
            return True

    first, second = Unhashable(answer=True), Unhashable(answer=False)
    asked = require_engine(first, "create", "notes") & require_engine(first, "create", "notes")
    assert len(asked.policy.questions) == 1
    other = require_engine(second, "create", "notes")
    assert not covers(asked.policy, other.policy)
    assert not decide((asked & other).policy, ANA, now=None).granted


def test_an_engine_stands_beside_roles() -> None:
    """Both have to hold; as one of several it is refused, since nobody could say what to mend."""
    both = require_role("admin") & require_engine(Plain(True), "create", "notes")
    assert not decide(both.policy, ANA, now=None).granted
    with pytest.raises(PolicyConflictError):
        require_role("admin") | require_engine(Plain(True), "create", "notes")


def test_a_policy_that_asks_no_engine_does_not_cover_one_that_does() -> None:
    """A dependency that the gate could not see asks by itself."""
    asked = require_engine(Plain(True), "create", "notes").policy
    assert covers(asked, asked)
    assert not covers(Policy(authenticated=True), asked)
    assert asked.needs_principal


@pytest.mark.parametrize("arguments", [("", "notes"), ("create", "")])
def test_a_question_needs_words(arguments: tuple[str, str]) -> None:
    """An action, and with what."""
    with pytest.raises(ConfigurationError):
        require_engine(Plain(True), *arguments)
    broken: Any = object()
    with pytest.raises(ConfigurationError):
        require_engine(broken, "create", "notes")


def test_an_explanation_holds_the_evidence() -> None:
    """What the engine rests on is a step of its own."""
    policy = require_engine(Explaining(True), "create", "notes").policy
    settings, now = AuthorizationSettings(), SystemClock().now()
    step = explain(policy, ANA, settings=settings, now=now).steps[0]
    assert (step.asked, step.held) == ("a policy engine on create notes", True)
    assert step.because.endswith("rests on: x")
