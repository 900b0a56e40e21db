"""Let Cedar decide: policies are checked against a schema, which also says what Cedar is told.

The schema is the one declaration of what leaves the application: of the caller and of an object
just the attributes that it has for them. Everything that Cedar can't evaluate is a refusal. Cedar
itself leaves a policy out that fails, also a ``forbid``, and permits what it would have forbidden.

Source: Cedar policy language, "Authorization", section "Error handling".
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from stockade.authorization.engines.cedar_reading import read_state
from stockade.authorization.engines.cedar_state import CedarNames
from stockade.authorization.objects import ENGINE_FAILED
from stockade.core.decision import Decision
from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import ModuleType

    from stockade.authorization.engines.cedar_state import CedarState
    from stockade.authorization.engines.interfaces import EngineUse
    from stockade.core.identity import Principal

_POLICY: Final = re.compile(r"while evaluating policy `([^`]{1,100})`")


class CedarEngine:
    """Decides by Cedar policies.

    The caller is the entity ``User``, a member of ``Role`` for each of its roles in the active
    tenant. An object is an entity with the name of its model. Types and actions may stand in a
    namespace. It may be asked from several threads at once.

    Args:
        policies: Cedar policies: a path, or the text.
        schema: Their schema, in Cedar's own form or in JSON: a path, or the text.
        namespace: The namespace of types and actions, such as ``Shop``.
        names: What models are called in the schema, where it is not the name of the class.
        ids: The attribute that identifies objects of a model, where it is not ``id``.

    Raises:
        ConfigurationError: cedarpy is not installed, or the policies are broken or contradict the
            schema.
    """

    def __init__(
        self,
        policies: Path | str,
        schema: Path | str,
        *,
        namespace: str = "",
        names: Mapping[type[Any], str] | None = None,
        ids: Mapping[type[Any], str] | None = None,
    ) -> None:
        self._cedar = _import_cedar()
        self._sources = policies, schema
        self._naming = CedarNames(namespace, dict(names or {}), dict(ids or {}))
        self._use: EngineUse | None = None
        self._state = self._read()

    def is_allowed(self, principal: Principal, action: str, instance: Any) -> bool:  # noqa: ANN401 - any object
        """Tell whether a caller may do something with an object."""
        return self.decide(principal, action, instance).granted

    def decide(self, principal: Principal, action: str, instance: Any) -> Decision:  # noqa: ANN401 - any object
        """Decide, with the policies that the answer rests on.

        A policy is named by its ``@id``, or else by its place in the text (``policy0``).
        """
        state = self._state
        try:
            entities = state.entities(principal, instance)
            request = {
                "principal": entities[0]["uid"],
                "action": state.action(action),
                "resource": entities[1]["uid"],
                "context": {},
            }
            told = json.dumps(entities)
            policies = state.policies_for(action, entities[1]["uid"]["type"])
            result = self._cedar.is_authorized(request, policies, told, state.schema)
        # Attributes are the application's code: whatever reading one raises is a refusal.
        except Exception as error:  # noqa: BLE001
            return _failed(type(error).__name__)
        errors = result.diagnostics.errors
        if errors:
            return _failed(_what_failed(errors, state.labels))
        reasons = sorted(state.labels[each] for each in result.diagnostics.reasons)
        evidence = {"engine": "Cedar", "policies": ",".join(reasons) or "none"}
        granted = result.allowed is True
        reason = "authorization.engine_granted" if granted else "authorization.engine_refused"
        return Decision(granted=granted, reason=reason, evidence=evidence)

    def prepare(self, use: EngineUse) -> None:
        """Check the policies against what the engine is used for.

        Raises:
            ConfigurationError: A model, an action, a role or a permission does not fit.
        """
        self._state.check(use)
        self._use = use

    def reload(self) -> None:
        """Read policies and schema anew; what was in force stays so where the new ones are broken.

        It reads files, and takes as long as that takes.

        Raises:
            ConfigurationError: They are broken.
        """
        state = self._read()
        if self._use is not None:
            state.check(self._use)
        # One assignment: a decision sees the old policies or the new ones, and never some of each.
        self._state = state

    def _read(self) -> CedarState:
        return read_state(self._cedar, *self._sources, self._naming)


def _import_cedar() -> ModuleType:
    try:
        import cedarpy  # noqa: PLC0415 - an extra, asked for when an engine is made.
    except ImportError:
        message = "Cedar policies need cedarpy: pip install 'stockade[cedar]'"
        raise ConfigurationError(message) from None
    return cedarpy


def _failed(what: str) -> Decision:
    evidence = {"engine": "Cedar", "failed": what}
    return Decision(granted=False, reason=ENGINE_FAILED, evidence=evidence)


def _what_failed(errors: Sequence[str], labels: Mapping[str, str]) -> str:
    """Name the policies that failed; Cedar's own words repeat values of the object."""
    found = {match[1] for error in errors for match in _POLICY.finditer(error)}
    named = sorted(labels[each] for each in found if each in labels)
    return ",".join(named) or "the request does not fit the schema"
