"""Turn an error into the one plain answer that a client gets (RFC 9457), in this module alone.

The body names the kind of problem and never the reason: unknown user and wrong password, foreign
and missing object read the same. The exact reason goes to the event log.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from stockade import errors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CONTENT_TYPE: Final = "application/problem+json"
# RFC 9110 gave these statuses other phrases, which older releases of Python do not know yet.
_RENAMED: Final = {
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}
# draft-ietf-httpapi-ratelimit-headers registers this type for an exceeded quota.
_QUOTA_EXCEEDED: Final = "https://iana.org/assignments/http-problem-types#quota-exceeded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One answer of kind ``application/problem+json``.

    Args:
        status: HTTP status code.
        code: Stable word for programs, such as ``rate_limited``.
        detail: One sentence for people; a constant, never built from what was submitted.
        headers: Response headers that belong to the answer.
        extensions: Further members of the object.
        type: URI of the problem type; ``about:blank`` says no more than the status code.
    """

    status: int
    code: str
    detail: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    extensions: Mapping[str, Any] = field(default_factory=dict)
    type: str = "about:blank"

    def encode(self, *, request_id: str | None = None) -> bytes:
        """Render the body as UTF-8 JSON."""
        members = {
            "type": self.type,
            "title": _title(self.status),
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            "request_id": request_id,
            **self.extensions,
        }
        kept = {name: value for name, value in members.items() if value is not None}
        return json.dumps(kept, default=str).encode()


NOT_FOUND: Final = Problem(status=404, code="not_found", detail="There is nothing here for you.")
INTERNAL: Final = Problem(
    status=500, code="internal_error", detail="The server could not answer; the error is logged."
)
UNDECIDED: Final = Problem(
    status=500,
    code="undecided",
    detail="The server refused to send an answer that no access decision stands behind.",
)
UNCHECKED: Final = Problem(
    status=500,
    code="unchecked_object",
    detail="The server refused to send an answer about objects that no access check stands behind.",
)
HOST_REFUSED: Final = Problem(
    status=400, code="bad_host", detail="The Host header is not one that this server answers to."
)
BAD_REQUEST: Final = Problem(status=400, code="bad_request", detail="The request is malformed.")
URL_TOO_LONG: Final = Problem(status=414, code="url_too_long", detail="The URL is too long.")
HEADERS_TOO_LARGE: Final = Problem(
    status=431, code="headers_too_large", detail="The request has too many or too large headers."
)


def problem_for(error: errors.DeniedError) -> Problem:  # noqa: C901, PLR0911, PLR0912 - one answer per kind
    """Map an expected refusal to its answer."""
    match error:
        case errors.UnauthenticatedError():
            return Problem(
                status=401,
                code=error.code,
                detail="Sign in to do this.",
                headers={"WWW-Authenticate": error.challenge},
            )
        case errors.StepUpRequiredError():
            return _step_up(error)
        case errors.LastOwnerError():
            return Problem(
                status=403,
                code=error.code,
                detail="A tenant would have no owner: make somebody else one first.",
            )
        case errors.FactorRequiredError():
            return Problem(
                status=403,
                code=error.code,
                detail="Give the second factor.",
                headers={"Cache-Control": "no-store"},
                extensions={
                    "mfa_token": error.pending_token,
                    "expires_in": int(error.expires_in.total_seconds()),
                    "factors": list(error.factors),
                },
            )
        case errors.RateLimitedError():
            wait = _seconds(error.retry_after.total_seconds())
            return Problem(
                status=429,
                code=error.code,
                type=_QUOTA_EXCEEDED,
                detail=error.message or "Too many requests; wait before the next one.",
                headers={"Retry-After": wait, **error.headers},
            )
        case errors.UnavailableError():
            wait = _seconds(error.retry_after.total_seconds())
            return Problem(
                status=503,
                code=error.code,
                detail="Try again in a moment.",
                headers={"Retry-After": wait},
            )
        case errors.BodyTooLargeError():
            return Problem(
                status=413,
                code=error.code,
                detail=f"The request body may hold at most {error.limit} bytes.",
            )
        case errors.NotFoundError():
            return NOT_FOUND
        case errors.UncheckedObjectError():
            return UNCHECKED
        case errors.UnsupportedMediaTypeError():
            return Problem(
                status=415,
                code=error.code,
                detail="The endpoint does not read bodies of this type.",
                headers={error.header: error.accepted},
            )
        case errors.MalformedRequestError():
            return BAD_REQUEST
        case errors.InvalidRequestError():
            return invalid(
                [{"pointer": error.pointer, "code": error.rule, "message": error.message}]
            )
        case errors.InvalidInputError():
            return Problem(status=422, code=error.code, detail="A value can't be accepted.")
        case errors.ForbiddenError():
            return Problem(status=403, code=error.code, detail="You may not do this.")
        case _:
            return Problem(status=403, code=error.code)


def _step_up(error: errors.StepUpRequiredError) -> Problem:
    # RFC 9470, section 3: the challenge tells the client how fresh the sign-in has to be, and by
    # which kind of it.
    challenge = 'Bearer error="insufficient_user_authentication"'
    if error.factor is not None:
        challenge += f', acr_values="{error.factor}"'
    if error.max_age is not None:
        challenge += f', max_age="{int(error.max_age.total_seconds())}"'
    return Problem(
        status=401,
        code=error.code,
        detail="Sign in again to do this."
        if error.factor is None
        else "Give a second factor to do this.",
        headers={"WWW-Authenticate": challenge},
        extensions={} if error.factor is None else {"factor": error.factor},
    )


def invalid(problems: Sequence[Mapping[str, str]]) -> Problem:
    """Build the answer for a request that does not fit.

    Args:
        problems: Place, stable code and rule of each mistake; nothing that was submitted.
    """
    return Problem(
        status=422,
        code="invalid",
        detail="The request does not fit its schema.",
        extensions={"errors": list(problems)},
    )


def problem_for_status(
    status: int, *, detail: object = None, headers: Mapping[str, str] | None = None
) -> Problem:
    """Build the answer for a status code that a handler chose, such as with ``HTTPException``.

    Args:
        status: HTTP status code; one that is not registered becomes 500.
        detail: What the handler wants to say; a sentence goes to ``detail``, anything else to the
            member ``context``.
        headers: Response headers that belong to the answer.
    """
    try:
        known = HTTPStatus(status)
    except ValueError:
        return INTERNAL
    sentence = detail if isinstance(detail, str) and detail != known.phrase else None
    extensions = {} if detail is None or isinstance(detail, str) else {"context": detail}
    if status == HTTPStatus.NOT_FOUND and sentence is None and not extensions and not headers:
        # A path that no route has, an object that is not there and one that the caller may not
        # know of read the same.
        return NOT_FOUND
    return Problem(
        status=status,
        code=_title(status).lower().replace(" ", "_").replace("-", "_").replace("'", ""),
        detail=sentence,
        headers=dict(headers or {}),
        extensions=extensions,
    )


def _title(status: int) -> str:
    return _RENAMED.get(status) or HTTPStatus(status).phrase


def _seconds(value: float) -> str:
    return str(max(1, math.ceil(value)))
