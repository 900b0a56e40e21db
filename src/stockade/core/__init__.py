"""Hold what every layer shares: principal, tenant, decision, policy, clock, problem details."""

from stockade.core.clock import Clock, SystemClock
from stockade.core.decision import Decision
from stockade.core.exchange import Exchange
from stockade.core.identity import (
    AuthenticationMethod,
    Principal,
    TenantId,
    TenantRole,
    UserId,
    UserType,
)
from stockade.core.limits import LimitRule
from stockade.core.policy import Policy

__all__ = [
    "AuthenticationMethod",
    "Clock",
    "Decision",
    "Exchange",
    "LimitRule",
    "Policy",
    "Principal",
    "SystemClock",
    "TenantId",
    "TenantRole",
    "UserId",
    "UserType",
]
