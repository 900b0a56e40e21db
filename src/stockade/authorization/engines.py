"""Let a policy engine of others, such as Casbin or Cedar, decide about objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from stockade.authorization.objects import policy
from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from stockade.authorization.objects import Rule
    from stockade.core.identity import Principal


class PolicyEngine(Protocol):
    """Whatever decides by policies that are written elsewhere."""

    def is_allowed(self, principal: Principal, action: str, instance: Any) -> bool:  # noqa: ANN401 - any object
        """Tell whether a caller may do something with an object.

        It returns True or False and waits for nothing: policies are loaded before. Whatever it
        raises refuses the request.

        Args:
            principal: The caller.
            action: A name that was registered.
            instance: The object, with its attributes loaded.
        """


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
    if not callable(getattr(engine, "is_allowed", None)):
        message = "a policy engine needs a method is_allowed(principal, action, instance)"
        raise ConfigurationError(message)
    for action in actions or ("",):
        # Without an action policy() says what is missing.
        policy(model, action)(_rule_for(engine, action))


def _rule_for(engine: PolicyEngine, action: str) -> Rule:
    def ask(principal: Principal, instance: object) -> bool:
        return engine.is_allowed(principal, action, instance)

    ask.__qualname__ = f"{type(engine).__qualname__}.is_allowed"
    return ask
