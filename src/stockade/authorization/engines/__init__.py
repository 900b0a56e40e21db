"""Let a policy engine of others, such as Casbin or Cedar, decide about objects and routes."""

from stockade.authorization.engines.interfaces import (
    Collection,
    EngineUse,
    ExplainingEngine,
    ManagedEngine,
    PolicyEngine,
)
from stockade.authorization.engines.registering import policy_of_engine

__all__ = [
    "Collection",
    "EngineUse",
    "ExplainingEngine",
    "ManagedEngine",
    "PolicyEngine",
    "policy_of_engine",
]
