"""Engines are checked at the start, and have their policies read anew."""

from typing import Any

import pytest

from stockade import require_engine
from stockade.authorization.engines import EngineUse, policy_of_engine
from stockade.authorization.engines.starting import PolicyEngines
from stockade.authorization.objects import ENGINE_FAILED, decide_object, require_object
from stockade.authorization.settings import AuthorizationSettings
from stockade.core.clock import SystemClock
from stockade.core.decision import Decision
from stockade.core.identity import Principal, UserId
from stockade.errors import ConfigurationError, ForbiddenError, NotFoundError
from stockade.events import EventLog, MemorySink

ANA = Principal(user_id=UserId("ana"), email="")


class Managed:
    """Remembers what it is used for, and fails where it is told to."""

    def __init__(self) -> None:
        self.use: EngineUse | None = None
        self.problem: str | None = None
        self.answers: dict[str, Decision] = {}
        self.reloads = 0

    def is_allowed(self, principal: Principal, action: str, instance: object) -> bool:
        """Answer by the decision."""
        return self.decide(principal, action, instance).granted

    def decide(self, _principal: Principal, action: str, _instance: object) -> Decision:
        """Answer by a table."""
        return self.answers[action]

    def prepare(self, use: EngineUse) -> None:
        """Remember."""
        self.use = use

    def reload(self) -> None:
        """Fail, or count."""
        if self.problem is not None:
            raise ConfigurationError(self.problem)
        self.reloads += 1


def make() -> tuple[PolicyEngines, MemorySink]:
    """Make the engines of an application, and the record of its events."""
    sink = MemorySink()
    settings = AuthorizationSettings(
        roles={"member": frozenset({"a:b:c"}), "admin": frozenset()}, inherits={}
    )
    return PolicyEngines(settings, EventLog([sink], clock=SystemClock())), sink


def test_an_engine_is_told_what_it_is_used_for() -> None:
    """Models with their actions, collections with theirs, roles and permissions."""
    base: Any = type("Note", (), {})
    child = type("Draft", (base,), {})
    other: Any = type("Tag", (), {})
    engine, second = Managed(), Managed()
    policy_of_engine(base, engine, "read", "write")
    policy_of_engine(other, second, "read")
    engines, _ = make()
    asked = require_engine(engine, "create", "notes").policy
    engines.prepare([base, child, other], [asked])
    assert engine.use == EngineUse(
        roles=frozenset({"member", "admin"}),
        permissions=frozenset({"a:b:c"}),
        models={base: frozenset({"read", "write"}), child: frozenset({"read", "write"})},
        collections={"notes": frozenset({"create"})},
    )
    assert second.use is not None
    assert second.use.models == {other: frozenset({"read"})}


def test_each_engine_reads_its_policies_anew() -> None:
    """One with broken policies is named, and holds none of the others up."""
    engines, sink = make()
    good, bad = Managed(), Managed()
    policies = [require_engine(each, "create", "notes").policy for each in (bad, good)]
    engines.prepare([], policies)
    assert engines.reload() == len(policies)
    bad.problem = "policies.cedar: unexpected end"
    with pytest.raises(ConfigurationError, match="unexpected end"):
        engines.reload()
    assert (good.reloads, bad.reloads) == (2, 1)
    assert len(sink.named("authorization.policies_reloaded")) == 3
    [refused] = sink.named("authorization.policies_refused")
    assert refused.details == {"engine": "Managed", "error": bad.problem}


def answer(*, granted: bool, reason: str = "authorization.engine_granted") -> Decision:
    """Make an answer of an engine."""
    return Decision(granted=granted, reason=reason, evidence={"policies": "one"})


def test_a_decision_carries_the_evidence_of_the_engine() -> None:
    """Beside the model, the action and the rule."""
    model: Any = type("Note", (), {})
    engine = Managed()
    policy_of_engine(model, engine, "read")
    engine.answers["read"] = answer(granted=True)
    decision = decide_object(ANA, "read", model())
    assert (decision.granted, decision.reason) == (True, "authorization.object_granted")
    assert decision.evidence["policies"] == "one"
    assert decision.evidence["rule"] == "Managed.is_allowed"


def test_an_evaluation_that_failed_is_a_refusal() -> None:
    """Even one that says yes; it is told, and looks like any other refusal from outside."""
    model: Any = type("Note", (), {})
    engine = Managed()
    policy_of_engine(model, engine, "read", "write")
    failed = answer(granted=True, reason=ENGINE_FAILED)
    told: list[Decision] = []
    engine.answers = {"read": failed, "write": failed}
    with pytest.raises(NotFoundError) as hidden:
        require_object(ANA, "write", model(), report=told.append)
    assert hidden.value.reason == "authorization.object_hidden"
    assert [each.reason for each in told] == [ENGINE_FAILED, ENGINE_FAILED]
    engine.answers["read"] = answer(granted=True)
    with pytest.raises(ForbiddenError) as refused:
        require_object(ANA, "write", model())
    assert refused.value.reason == "authorization.object_refused"
