"""Compile the policies of a leaf into the few values that a request needs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from stockade.authorization.rules import GRANTED
from stockade.core.decision import Decision

if TYPE_CHECKING:
    from stockade.core.policy import Policy
    from stockade.rate_limiting.models import CompiledLimits
    from stockade.validation.content import ContentRules
    from stockade.validation.parameters import SingleParameters


class Access(Enum):
    """Who has to be there before a route answers."""

    PUBLIC = "public"
    DOCS = "docs"
    PRINCIPAL = "principal"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the gate does for one leaf.

    Args:
        route: Path template, for events and the audit.
        label: Methods, template and endpoint, for messages.
        access: Who has to be there.
        policy: The joined policy.
        optional: Whether credentials that come to an open route are verified.
        rules: Whether roles, permissions or the age of the sign-in have to be looked at.
        before: Limits that are checked before anybody is authenticated.
        after: Limits that are checked once the caller is known.
        together: The limits of both, for a caller who is known from the start.
        messages: Limits of what comes in on a websocket.
        in_flight: How much may be open at once.
        settles: Whether an answer, or its end, is a matter of the limits.
        body_limit: Most bytes of a body; None keeps the application's own cap.
        content: What a body may be and hold; None where nothing reads one.
        single: Parameters beside the body of which one value is read; None where there are none.
        granted: The decision that a passing request gets, made once.
        pinned: What the plan belongs to; kept alive, so that its identity is not reused for
            something else.
    """

    route: str
    label: str
    access: Access
    policy: Policy
    optional: bool
    rules: bool
    before: CompiledLimits | None
    after: CompiledLimits | None
    together: CompiledLimits | None
    messages: CompiledLimits | None = None
    in_flight: CompiledLimits | None = None
    settles: bool = False
    body_limit: int | None
    content: ContentRules | None
    single: SingleParameters | None
    granted: Decision
    pinned: tuple[Any, ...]


def access_of(policy: Policy, *, default: str) -> Access:
    """Say who has to be there for a policy to hold.

    Args:
        policy: The joined policy of a route.
        default: ``deny`` or ``authenticated``, for a route whose policy opens nothing.
    """
    if policy.docs:
        return Access.DOCS
    if policy.public:
        return Access.PUBLIC
    if policy.needs_principal or default == "authenticated":
        return Access.PRINCIPAL
    return Access.CLOSED


def grant_for(access: Access) -> Decision:
    """Make the decision that a request gets which passes everything."""
    if access is Access.PUBLIC:
        return Decision(granted=True, reason="gate.public")
    if access is Access.DOCS:
        return Decision(granted=True, reason="api_docs.granted")
    return GRANTED
