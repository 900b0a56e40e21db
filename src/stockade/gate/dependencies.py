"""Open a route, on purpose and with a reason, or cap its body."""

from __future__ import annotations

from stockade.core.dependencies import PolicyMark
from stockade.core.policy import Policy
from stockade.errors import ConfigurationError

_SHORTEST_REASON = 3


def public(reason: str) -> PolicyMark:
    """Open an endpoint, or all endpoints of a router, to anybody.

    Args:
        reason: Why that is right; it is shown in the audit.

    Raises:
        ConfigurationError: The reason is missing, such as in ``@public`` without parentheses.
    """
    given: object = reason
    if not isinstance(given, str) or len(given.strip()) < _SHORTEST_REASON:
        message = 'public() needs a reason in words: @public("load balancer probe")'
        raise ConfigurationError(message)
    return PolicyMark(Policy(public=(reason,), origins=("public",)))


def body_limit(size: int) -> PolicyMark:
    """Cap the request body of an endpoint, or raise the application's own cap for it.

    Args:
        size: Most bytes of a body.

    Raises:
        ConfigurationError: The size is negative.
    """
    given: object = size
    if isinstance(given, bool) or not isinstance(given, int) or given < 0:
        message = "body_limit() needs a number of bytes, 0 or more"
        raise ConfigurationError(message)
    return PolicyMark(Policy(body_limit=size, origins=(f"body_limit({size})",)))
