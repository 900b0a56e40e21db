"""Ask a policy engine about a route, before the body of a request is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stockade.authorization.engines.interfaces import Collection, ExplainingEngine
from stockade.authorization.objects import ENGINE_FAILED
from stockade.core.decision import Decision

if TYPE_CHECKING:
    from stockade.authorization.engines.interfaces import PolicyEngine
    from stockade.core.identity import Principal


@dataclass(frozen=True, slots=True, eq=False)
class EngineQuestion:
    """What a route asks of an engine.

    Args:
        engine: Decides.
        action: What the caller wants.
        collection: With what.
    """

    engine: PolicyEngine
    action: str
    collection: Collection

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EngineQuestion) and self._same == other._same

    def __hash__(self) -> int:
        return hash(self._same)

    @property
    def _same(self) -> tuple[int, str, Collection]:
        # The engine itself, whatever it compares and hashes by.
        return id(self.engine), self.action, self.collection

    @property
    def asked(self) -> str:
        """What is asked, in words."""
        return f"{self.action} {self.collection.name}"

    def decide(self, principal: Principal) -> Decision:
        """Ask the engine; an answer that is neither True nor False is a refusal."""
        if isinstance(self.engine, ExplainingEngine):
            told = self.engine.decide(principal, self.action, self.collection)
            granted, reason, evidence = told.granted is True, told.reason, told.evidence
        else:
            answer: object = self.engine.is_allowed(principal, self.action, self.collection)
            granted, evidence = answer is True, {"engine": type(self.engine).__qualname__}
            reason = "authorization.engine_granted" if granted else "authorization.engine_refused"
            if answer is not True and answer is not False:
                reason = ENGINE_FAILED
        granted = granted and reason != ENGINE_FAILED
        return Decision(granted=granted, reason=reason, evidence={"asked": self.asked, **evidence})
