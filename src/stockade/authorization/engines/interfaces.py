"""What a policy engine offers, and what it is told at the start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from stockade.core.decision import Decision
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
            instance: The object, with its attributes loaded; a `Collection` for routes.
        """


@runtime_checkable
class ExplainingEngine(PolicyEngine, Protocol):
    """A policy engine that also says which policies its answer rests on."""

    def decide(self, principal: Principal, action: str, instance: Any) -> Decision:  # noqa: ANN401 - any object
        """Decide whether a caller may do something with an object, with the evidence.

        The reason code of an evaluation that failed is ``authorization.engine_failed``; it is a
        refusal, and becomes an event. The evidence holds no value of the object.
        """


@runtime_checkable
class ManagedEngine(ExplainingEngine, Protocol):
    """A policy engine that is checked at the start, and whose policies can be read anew."""

    def prepare(self, use: EngineUse) -> None:
        """Check the policies against what the engine is used for.

        Raises:
            ConfigurationError: They name a role, a permission, a model or an action that does not
                exist, or can't decide what they are asked.
        """

    def reload(self) -> None:
        """Read the policies anew; what was in force stays so where the new ones are broken.

        Raises:
            ConfigurationError: The policies are broken.
        """


@dataclass(frozen=True, slots=True)
class Collection:
    """A part of the application that is no row, such as all notes or a report.

    Args:
        name: What policies call it.
    """

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineUse:
    """What one engine is used for in an application.

    Args:
        roles: Every role that exists.
        permissions: Every permission that a role gives.
        models: The classes of objects that it decides about, with the actions.
        collections: The names of collections that it decides about, with the actions.
    """

    roles: frozenset[str]
    permissions: frozenset[str]
    models: Mapping[type[Any], frozenset[str]]
    collections: Mapping[str, frozenset[str]]
