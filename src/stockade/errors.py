"""Define the errors that Stockade raises, in one tree.

Three kinds matter to a caller: a mistake in the configuration (found at start-up), a store that is
away, and an expected "no". Every error carries a stable ``code``; none carries a secret, a token, a
password or a submitted value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta


class StockadeError(Exception):
    """Anything Stockade raises on purpose."""

    code: ClassVar[str] = "stockade"


class ConfigurationError(StockadeError):
    """The application can't start safely; the message says what is wrong and how to mend it."""

    code = "configuration"


class StoreError(StockadeError):
    """A store (database, Redis) could not answer; raised from the driver's own error."""

    code = "store"


class DeniedError(StockadeError):
    """An expected "no" to a caller, with the exact reason for the event log alone.

    Args:
        reason: Reason code such as ``authentication.token_expired``; goes to the event log, never
            to the client.
    """

    code = "denied"

    def __init__(self, *, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UnauthenticatedError(DeniedError):
    """Nobody is signed in, or the credentials do not hold.

    Args:
        reason: Reason code for the event log.
        challenge: Value of the ``WWW-Authenticate`` header (RFC 9110, section 11.6.1).
    """

    code = "unauthenticated"

    def __init__(self, *, reason: str, challenge: str = "Bearer") -> None:
        super().__init__(reason=reason)
        self.challenge = challenge


class ForbiddenError(DeniedError):
    """The caller is known but may not do this."""

    code = "forbidden"


class LastOwnerError(ForbiddenError):
    """A tenant that stays would have no owner any longer."""

    code = "last_owner"


class StepUpRequiredError(ForbiddenError):
    """The sign-in is too old for this action, or lacks a factor (RFC 9470).

    Args:
        reason: Reason code for the event log.
        max_age: Age of a sign-in that would do, if it has to be of any.
        factor: Second factor that has to be given, if one has to; ``mfa`` for any.
    """

    code = "step_up_required"

    def __init__(
        self, *, reason: str, max_age: timedelta | None = None, factor: str | None = None
    ) -> None:
        super().__init__(reason=reason)
        self.max_age = max_age
        self.factor = factor


class FactorRequiredError(ForbiddenError):
    """The first factor was right, and the account has a second one that is asked for now.

    Args:
        reason: Reason code for the event log.
        pending_token: What the client sends along with the second factor; a secret, which no
            message and no representation shows.
        expires_in: How long the client may take for it.
        factors: What the account can give.
    """

    code = "mfa_required"

    def __init__(
        self,
        *,
        reason: str,
        pending_token: str,
        expires_in: timedelta,
        factors: tuple[str, ...] = (),
    ) -> None:
        super().__init__(reason=reason)
        self.pending_token = pending_token
        self.expires_in = expires_in
        self.factors = factors


class NotFoundError(DeniedError):
    """The object is not there, or the caller may not know that it is."""

    code = "not_found"


class InvalidInputError(DeniedError):
    """A submitted value can't be accepted."""

    code = "invalid_input"


class InvalidRequestError(InvalidInputError):
    """A request breaks a rule that holds for every request, whatever the schema.

    Args:
        reason: Reason code for the event log.
        rule: Stable code of the rule, for the client.
        message: The rule in words, without anything that was submitted.
        pointer: JSON Pointer to what breaks it (RFC 6901), without anything that was submitted.
    """

    code = "invalid"

    def __init__(self, *, reason: str, rule: str, message: str, pointer: str = "/body") -> None:
        super().__init__(reason=reason)
        self.rule = rule
        self.message = message
        self.pointer = pointer


class MalformedRequestError(DeniedError):
    """The request is not what its headers say it is."""

    code = "bad_request"


class UnsupportedMediaTypeError(DeniedError):
    """The endpoint does not take bodies of this type, or in this coding.

    Args:
        reason: Reason code for the event log.
        header: Name of the response header that says what it takes (RFC 9110, section 15.5.16).
        accepted: Value of that header.
    """

    code = "unsupported_media_type"

    def __init__(self, *, reason: str, header: str, accepted: str) -> None:
        super().__init__(reason=reason)
        self.header = header
        self.accepted = accepted


class RateLimitedError(DeniedError):
    """A limit is used up.

    Args:
        reason: Reason code for the event log.
        retry_after: Time until the same request would pass.
        headers: Further response headers, such as ``RateLimit`` and ``RateLimit-Policy``.
        message: What the client is told, in words of the application.
        limit: What was used up, such as ``5 per 1 minute``.

    Attributes:
        detail: The message, else the limit: what slowapi's error has under this name.
        status_code: The status of the answer.
    """

    code = "rate_limited"
    status_code = 429

    def __init__(
        self,
        *,
        reason: str,
        retry_after: timedelta,
        headers: Mapping[str, str] | None = None,
        message: str | None = None,
        limit: str | None = None,
    ) -> None:
        super().__init__(reason=reason)
        self.retry_after = retry_after
        self.headers = dict(headers or {})
        self.message = message
        self.detail = message or limit or "too many requests"


class BodyTooLargeError(DeniedError):
    """The request body is larger than the endpoint takes.

    Args:
        reason: Reason code for the event log.
        limit: The most bytes the endpoint takes.
    """

    code = "body_too_large"

    def __init__(self, *, reason: str, limit: int) -> None:
        super().__init__(reason=reason)
        self.limit = limit


class UnavailableError(DeniedError):
    """A layer that has to decide can't, and its failure policy is ``closed``.

    Args:
        reason: Reason code for the event log.
        retry_after: When a new try makes sense.
    """

    code = "unavailable"

    def __init__(self, *, reason: str, retry_after: timedelta) -> None:
        super().__init__(reason=reason)
        self.retry_after = retry_after


class UncheckedObjectError(DeniedError):
    """A handler used guarded objects and never asked whether its caller may."""

    code = "unchecked_object"
