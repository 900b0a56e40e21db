"""Put a policy engine in the place of rules for objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stockade.authorization.engines.interfaces import ExplainingEngine
from stockade.authorization.objects import ENGINE_FAILED, policy
from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from stockade.authorization.engines.interfaces import PolicyEngine
    from stockade.core.decision import Decision
    from stockade.core.identity import Principal
    from stockade.events import EventLog


def policy_of_engine(model: type[Any], engine: PolicyEngine, *actions: str) -> None:
    """Register an engine for actions with objects of a model, in the place of rules.

    Args:
        model: The class of the objects.
        engine: Decides.
        *actions: What it decides about, such as ``read`` or ``write``.

    Raises:
        ConfigurationError: There is no action, one has a rule already, or the engine has no
            ``is_allowed`` that can be called.
    """
    require_engine_method(engine)
    for action in actions or ("",):
        # Without an action policy() says what is missing.
        policy(model, action)(EngineRule(engine, action))


def require_engine_method(engine: object) -> None:
    """Return if something can be asked as an engine.

    Raises:
        ConfigurationError: It has no ``is_allowed`` that can be called.
    """
    if not callable(getattr(engine, "is_allowed", None)):
        message = "a policy engine needs a method is_allowed(principal, action, instance)"
        raise ConfigurationError(message)


def report_failure(events: EventLog, scope: Mapping[str, Any] | None, decision: Decision) -> None:
    """Record a decision that is a refusal because an engine could not evaluate."""
    details = dict(decision.evidence)
    events.emit(ENGINE_FAILED, scope=scope, reason=ENGINE_FAILED, details=details)


class EngineRule:
    """A rule that asks an engine.

    Args:
        engine: Decides.
        action: What it is asked about.
    """

    def __init__(self, engine: PolicyEngine, action: str) -> None:
        self.engine = engine
        self.action = action
        self.__qualname__ = f"{type(engine).__qualname__}.is_allowed"
        self._ask: Callable[[Principal, str, Any], bool | Decision] = engine.is_allowed
        if isinstance(engine, ExplainingEngine):
            self._ask = engine.decide

    def __call__(self, principal: Principal, instance: object) -> bool | Decision:
        """Ask the engine."""
        return self._ask(principal, self.action, instance)
