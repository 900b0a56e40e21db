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


def body_limit(
    size: int | None = None,
    *,
    depth: int | None = None,
    values: int | None = None,
    text: int | None = None,
    fields: int | None = None,
    files: int | None = None,
) -> PolicyMark:
    """Cap the request body of an endpoint, or raise the application's own caps for it.

    Args:
        size: Most bytes of a body.
        depth: Most levels of objects and arrays in JSON.
        values: Most members and items in JSON, all together.
        text: Most characters of a string in JSON, and bytes of a field of a form.
        fields: Most fields of a form that are no files.
        files: Most files of a form.

    Raises:
        ConfigurationError: A limit is negative or no number, or there is none.
    """
    content = {"depth": depth, "values": values, "text": text, "fields": fields, "files": files}
    given = {name: limit for name, limit in {"size": size, **content}.items() if limit is not None}
    for name, limit in given.items():
        number: object = limit
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            message = f"body_limit() needs a number for its {name}, 0 or more"
            raise ConfigurationError(message)
    if not given:
        message = "body_limit() needs a limit, such as a number of bytes"
        raise ConfigurationError(message)
    told = ", ".join(f"{name}={limit}" for name, limit in given.items())
    given.pop("size", None)
    return PolicyMark(
        Policy(body_limit=size, content=tuple(given.items()), origins=(f"body_limit({told})",))
    )
