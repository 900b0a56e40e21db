"""Make and read the tokens of sign-ins that wait for their second factor.

Such a token says that the first factor of an account was right a moment ago. It opens nothing: it
is no access token and no refresh token, and its keys are its own. All that it is good for is to be
sent along with a second factor, for one kind of session.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import re
import secrets
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from stockade.authentication.errors import InvalidTokenError
from stockade.core.identity import SECOND_FACTORS, Factor, TenantId, UserId
from stockade.errors import FactorRequiredError

if TYPE_CHECKING:
    from stockade.authentication.enrolled import EnrolledFactors
    from stockade.authentication.models import Account
    from stockade.core.clock import Clock
    from stockade.crypto import KeyRing

PREFIX: Final = "stkm_"
LIFETIME: Final = timedelta(minutes=5)
# As far as the clocks of several machines may differ.
_LEEWAY: Final = timedelta(minutes=1)
_SHAPE: Final = re.compile(r"stkm_([A-Za-z0-9_-]{1,4000})\.([0-9a-f]{64})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingSignIn:
    """A sign-in that waits for its second factor.

    Args:
        user_id: Who gave the first factor.
        tenant_id: The tenant that becomes active.
        token_epoch: Epoch of the account at that time; a later one ends it.
        factors: What was given.
        in_browser: Whether the session is to live in a cookie.
    """

    user_id: UserId
    tenant_id: TenantId | None
    token_epoch: int
    factors: frozenset[str]
    in_browser: bool


class PendingSignIns:
    """Make and read tokens of sign-ins that wait for their second factor.

    Args:
        keys: Secrets of the application; the newest signs, all of them verify.
        clock: Source of time.
    """

    def __init__(self, keys: KeyRing, clock: Clock) -> None:
        self._keys = keys.derive("sign-in/pending")
        self._clock = clock

    def issue(self, account: Account, *, factors: frozenset[str], in_browser: bool) -> str:
        """Make a token for an account whose first factor was right."""
        claims = {
            "user": account.user_id,
            "tenant": account.tenant_id,
            "epoch": account.token_epoch,
            "factors": sorted(factors),
            "browser": in_browser,
            "until": (self._clock.now() + LIFETIME).timestamp(),
            "id": secrets.token_hex(8),
        }
        body = (
            base64.urlsafe_b64encode(json.dumps(claims, ensure_ascii=False).encode())
            .decode("ascii")
            .rstrip("=")
        )
        return f"{PREFIX}{body}.{_mac(self._keys[0], body)}"

    def read(self, value: str) -> PendingSignIn:
        """Read what a client presents.

        Args:
            value: Untrusted.

        Raises:
            InvalidTokenError: It is no such token of ours, or it is over.
        """
        shape = _SHAPE.fullmatch(value)
        if shape is None:
            raise InvalidTokenError(reason="authentication.pending_malformed")
        body, mac = shape.groups()
        if not any(hmac.compare_digest(_mac(key, body), mac) for key in self._keys):
            raise InvalidTokenError(reason="authentication.pending_unknown")
        try:
            claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        except (ValueError, binascii.Error):
            # Only we can have signed it.
            raise InvalidTokenError(reason="authentication.pending_malformed") from None
        now = self._clock.now().timestamp()
        # A clock that was put back does not make it hold for longer.
        earliest = claims["until"] - (LIFETIME + _LEEWAY).total_seconds()
        if not earliest <= now < claims["until"]:
            raise InvalidTokenError(reason="authentication.pending_over")
        tenant = claims["tenant"]
        return PendingSignIn(
            user_id=UserId(claims["user"]),
            tenant_id=None if tenant is None else TenantId(tenant),
            token_epoch=claims["epoch"],
            factors=frozenset(claims["factors"]),
            in_browser=claims["browser"],
        )


class FactorCheck:
    """Let no session begin without the second factor of an account that has one.

    Args:
        enrolled: Says which accounts have one.
        pending: Makes the tokens of sign-ins that wait for it.
    """

    def __init__(self, enrolled: EnrolledFactors, pending: PendingSignIns) -> None:
        self._enrolled = enrolled
        self._pending = pending

    async def require(self, account: Account, *, factors: frozenset[str], in_browser: bool) -> None:
        """Return if a session may begin.

        Args:
            account: Whose session it would be.
            factors: What was given.
            in_browser: Whether the session is to live in a cookie.

        Raises:
            FactorRequiredError: The account has a second factor, and it was not given.
            StoreError: The factors are away.
        """
        if not SECOND_FACTORS.isdisjoint(factors):
            return
        names = await self._enrolled.names(account.user_id)
        if not names:
            return
        token = self._pending.issue(account, factors=factors, in_browser=in_browser)
        raise FactorRequiredError(
            reason="authentication.factor_required",
            pending_token=token,
            expires_in=LIFETIME,
            factors=(*sorted(names), Factor.RECOVERY_CODE),
        )


def _mac(key: bytes, body: str) -> str:
    return hmac.digest(key, body.encode("ascii"), sha256).hex()
