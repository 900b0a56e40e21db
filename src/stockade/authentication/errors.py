"""Errors of the authentication layer."""

from __future__ import annotations

from datetime import timedelta

from stockade.errors import (
    ForbiddenError,
    InvalidInputError,
    InvalidRequestError,
    StockadeError,
    StoreError,
    UnauthenticatedError,
    UnavailableError,
)


class PasswordTooLongError(StockadeError):
    """The password has more bytes than the hash reads, or holds a NUL that would end it early.

    Args:
        limit: The most bytes in UTF-8.
    """

    code = "password_too_long"

    def __init__(self, *, limit: int) -> None:
        super().__init__(f"a password may have at most {limit} bytes")
        self.limit = limit


class BreachCheckError(StoreError):
    """A collection of stolen passwords does not answer; the message says what came instead."""

    code = "breach_check"


class IssuerError(StoreError):
    """An outside issuer does not answer, or not with its keys; the message says what came."""

    code = "issuer"


class ProviderRefusedError(UnauthenticatedError):
    """A sign-in at a provider does not hold."""

    code = "provider_sign_in_refused"


class ProviderCancelledError(ProviderRefusedError):
    """Somebody has not signed in at the provider after all, or not agreed there."""

    code = "provider_sign_in_cancelled"


class UnknownIdentityError(ProviderRefusedError):
    """Whoever has signed in at a provider has no account here that this sign-in belongs to."""

    code = "identity_not_linked"


class ProviderAwayError(UnavailableError):
    """A provider does not answer, or with something that is no answer.

    Args:
        problem: What came, in a few words; nothing of the answer.
    """

    code = "provider_away"

    def __init__(self, *, problem: str) -> None:
        super().__init__(reason="authentication.provider_away", retry_after=timedelta(seconds=5))
        self.problem = problem


class LastWayInError(ForbiddenError):
    """Without this identity or passkey nobody could sign in to the account any longer."""

    code = "last_way_in"


class InvalidTokenError(UnauthenticatedError):
    """An access token does not hold (RFC 6750, section 3.1)."""

    code = "invalid_token"

    def __init__(self, *, reason: str) -> None:
        super().__init__(reason=reason, challenge='Bearer error="invalid_token"')


class InvalidCredentialsError(UnauthenticatedError):
    """Name and password do not belong together, or the account may not sign in."""

    code = "invalid_credentials"


class ReusedTokenError(InvalidTokenError):
    """A refresh token was used again after it had been exchanged: two parties have it.

    Args:
        session_id: The session, which has been ended.
        first: Whether this use has ended it; later ones are no news.
    """

    code = "reused_token"

    def __init__(self, *, session_id: str, first: bool) -> None:
        # The first such use is an alarm; the session has ended for all others.
        reason = "authentication.refresh_reused" if first else "authentication.session_over"
        super().__init__(reason=reason)
        self.session_id = session_id
        self.first = first


class InvalidKeyError(UnauthenticatedError):
    """Client identifier and API key do not belong together, or no longer hold.

    Args:
        reason: Reason code for the event log.
        challenge: Value of the ``WWW-Authenticate`` header: the scheme that the client used.
    """

    code = "invalid_api_key"

    def __init__(self, *, reason: str, challenge: str = "ApiKey") -> None:
        super().__init__(reason=reason, challenge=challenge)


class InvalidLinkError(InvalidInputError):
    """A one-time link does not hold: made up, used, over, or for something else."""

    code = "invalid_link"


class WrongPasswordError(ForbiddenError):
    """Somebody who is signed in gave another password than the account's."""

    code = "wrong_password"


class PasswordRefusedError(InvalidRequestError):
    """A new password breaks a rule.

    Args:
        rule: Stable code of the rule, for the client.
        message: The rule in words, without anything that was submitted.
        pointer: Where the password stands (RFC 6901).
    """

    code = "password_refused"

    def __init__(self, *, rule: str, message: str, pointer: str) -> None:
        super().__init__(
            reason="authentication.password_refused", rule=rule, message=message, pointer=pointer
        )


class InvalidCodeError(ForbiddenError):
    """A code of a second factor does not hold; which kind and why reads the same."""

    code = "invalid_code"


class FactorExistsError(ForbiddenError):
    """The account has such a factor already, which has to be removed first."""

    code = "factor_exists"


class InvalidPasskeyError(ForbiddenError):
    """What a passkey signed does not hold, or it can't be registered; why reads the same.

    Args:
        reason: Reason code for the event log.
        user_id: The account whose passkey it claims to be, where that is known.
    """

    code = "invalid_passkey"

    def __init__(self, *, reason: str, user_id: str | None = None) -> None:
        super().__init__(reason=reason)
        self.user_id = user_id
