"""Check the policy engines of an application at its start, and reload their policies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from stockade.authorization.engines.interfaces import EngineUse, ManagedEngine
from stockade.authorization.engines.questions import EngineQuestion
from stockade.authorization.engines.registering import EngineRule
from stockade.authorization.objects import rules_of
from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stockade.authorization.settings import AuthorizationSettings
    from stockade.core.policy import Policy
    from stockade.events import EventLog

RELOADED: Final = "authorization.policies_reloaded"
REFUSED: Final = "authorization.policies_refused"


class PolicyEngines:
    """The policy engines of an application.

    Args:
        settings: The roles and permissions that exist.
        events: Where it is recorded that policies were read anew.
    """

    def __init__(self, settings: AuthorizationSettings, events: EventLog) -> None:
        self._settings = settings
        self._events = events
        self._engines: list[ManagedEngine] = []

    def prepare(self, models: Iterable[type[Any]], policies: Iterable[Policy]) -> None:
        """Check each engine against what the application uses it for.

        Args:
            models: The classes of objects of the application.
            policies: What its routes ask.

        Raises:
            ConfigurationError: The policies of one do not fit.
        """
        asked: dict[int, tuple[object, _Use]] = {}
        for model in models:
            for action, rule in rules_of(model).items():
                if isinstance(rule, EngineRule):
                    use = asked.setdefault(id(rule.engine), (rule.engine, _Use()))[1]
                    use.models.setdefault(model, set()).add(action)
        for question in _questions_of(policies):
            use = asked.setdefault(id(question.engine), (question.engine, _Use()))[1]
            use.collections.setdefault(question.collection.name, set()).add(question.action)
        self._engines = []
        granted = self._settings.granted
        for engine, use in asked.values():
            if isinstance(engine, ManagedEngine):
                engine.prepare(use.frozen(frozenset(granted), frozenset().union(*granted.values())))
                self._engines.append(engine)

    def reload(self) -> int:
        """Have every engine read its policies anew; one with broken ones keeps those it had.

        Returns:
            How many engines have new policies.

        Raises:
            ConfigurationError: The policies of one are broken; the others have theirs.
        """
        broken = []
        for engine in self._engines:
            details = {"engine": type(engine).__name__}
            try:
                engine.reload()
            except ConfigurationError as error:
                self._events.emit(REFUSED, reason=REFUSED, details=details | {"error": str(error)})
                broken.append(str(error))
            else:
                self._events.emit(RELOADED, reason=RELOADED, details=details)
        if broken:
            message = "; ".join(broken)
            raise ConfigurationError(message)
        return len(self._engines)


class _Use:
    """What an engine is used for, as it is found."""

    def __init__(self) -> None:
        self.models: dict[type[Any], set[str]] = {}
        self.collections: dict[str, set[str]] = {}

    def frozen(self, roles: frozenset[str], permissions: frozenset[str]) -> EngineUse:
        return EngineUse(
            roles=roles,
            permissions=permissions,
            models={model: frozenset(actions) for model, actions in self.models.items()},
            collections={name: frozenset(actions) for name, actions in self.collections.items()},
        )


def _questions_of(policies: Iterable[Policy]) -> list[EngineQuestion]:
    return [
        question
        for policy in policies
        for question in policy.questions
        if isinstance(question, EngineQuestion)
    ]
