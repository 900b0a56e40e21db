"""Let Casbin decide, by a model and policies that are checked before they are in force.

Casbin evaluates; what goes in is ours. A matcher sees names and declared attributes, never the
objects themselves. Roles come from the caller's membership, and from ``g`` where the policies say
which role includes which.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from stockade.authorization.objects import ENGINE_FAILED
from stockade.core.decision import Decision
from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from stockade.authorization.engines.casbin_state import CasbinState
    from stockade.authorization.engines.interfaces import EngineUse
    from stockade.core.identity import Principal


class CasbinEngine:
    """Decides by a model and policies of Casbin.

    A request is ``sub, obj, act``, and ``dom`` where the model has it: the caller as
    ``user:<id>``, the name of the model, the action and the active tenant. It may be asked from
    several threads at once.

    Args:
        model: The model: a path, or the text.
        policies: The policies: a path, the text, or an adapter of Casbin.
        models: The models that policies name, each with the attributes that matchers may read.
        functions: Functions that matchers may call, beside Casbin's own; they wait for nothing.
        most_rules: Most rules that one question may have to look at, one after the other; a rule
            costs about 5 microseconds, in which the event loop does nothing else.

    Raises:
        ConfigurationError: pycasbin is not installed, or the model or the policies are broken.
    """

    def __init__(
        self,
        model: Path | str,
        policies: Path | str | Any,  # noqa: ANN401 - an adapter of Casbin
        *,
        models: Mapping[type[Any], Iterable[str]],
        functions: Mapping[str, Callable[..., object]] | None = None,
        most_rules: int = 1000,
    ) -> None:
        declared = {each: tuple(names) for each, names in models.items()}
        read = _import_state()
        self._read: Callable[[], CasbinState] = lambda: read(
            model, policies, models=declared, functions=functions or {}, most_rules=most_rules
        )
        self._use: EngineUse | None = None
        self._state = self._read()

    def is_allowed(self, principal: Principal, action: str, instance: Any) -> bool:  # noqa: ANN401 - any object
        """Tell whether a caller may do something with an object."""
        return self.decide(principal, action, instance).granted

    def decide(self, principal: Principal, action: str, instance: Any) -> Decision:  # noqa: ANN401 - any object
        """Decide, with the rule that the answer rests on."""
        try:
            granted, rule = self._state.ask(principal, action, instance)
        # Matchers raise whatever simpleeval, a function or an attribute raises: it is a refusal.
        except Exception as error:  # noqa: BLE001
            evidence = {"engine": "Casbin", "failed": type(error).__name__}
            return Decision(granted=False, reason=ENGINE_FAILED, evidence=evidence)
        evidence = {"engine": "Casbin", "policies": ", ".join(["p", *rule]) if rule else "none"}
        reason = "authorization.engine_granted" if granted else "authorization.engine_refused"
        return Decision(granted=granted, reason=reason, evidence=evidence)

    def prepare(self, use: EngineUse) -> None:
        """Check the policies against what the engine is used for.

        Raises:
            ConfigurationError: They name what does not exist.
        """
        self._state.check(use)
        self._use = use

    def reload(self) -> None:
        """Read model and policies anew; what was in force stays so where the new ones are broken.

        It reads files, or asks the adapter, and takes as long as that takes.

        Raises:
            ConfigurationError: They are broken.
        """
        state = self._read()
        if self._use is not None:
            state.check(self._use)
        # One assignment: a decision sees the old policies or the new ones, and never some of each.
        self._state = state


def _import_state() -> type[CasbinState]:
    if find_spec("casbin") is None:
        message = "Casbin policies need pycasbin: pip install 'stockade[casbin]'"
        raise ConfigurationError(message)
    from stockade.authorization.engines.casbin_state import CasbinState  # noqa: PLC0415 - an extra

    return CasbinState
