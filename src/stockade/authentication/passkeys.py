"""Register passkeys and check what they sign (WebAuthn Level 3).

A challenge is signed and not stored, so that nobody fills a table by asking for some; it holds for
five minutes, for one purpose and where one is known for one account. Once something signed has been
accepted, its challenge is remembered as used until it is over.

Source: Web Authentication Level 3 (W3C), sections 7.1 and 7.2; NIST SP 800-63B-4, section 3.2.5.
"""

from __future__ import annotations

import hmac
import secrets
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from stockade.authentication.errors import InvalidPasskeyError, LastWayInError
from stockade.authentication.models import Passkey, Removal
from stockade.authentication.webauthn_checks import make_webauthn_checks
from stockade.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Collection

    from stockade.authentication.interfaces import PasskeyStore, SpentStore
    from stockade.authentication.models import Account
    from stockade.authentication.settings import AuthenticationSettings
    from stockade.authentication.webauthn_checks import WebAuthnChecks
    from stockade.core.clock import Clock
    from stockade.core.identity import UserId
    from stockade.crypto import KeyRing

LIFETIME: Final = timedelta(minutes=5)
# As far as the clocks of several machines may differ.
_LEEWAY: Final = timedelta(minutes=1)
_SALT: Final = 16
_TIME: Final = 8
_HANDLE: Final = 32
_BODY: Final = _SALT + _TIME + _HANDLE
_MOST: Final = 20


class Purpose(StrEnum):
    """What something signed is for; it is good for nothing else."""

    REGISTER = "register"
    SIGN_IN = "sign-in"
    FACTOR = "factor"


@dataclass(frozen=True, slots=True)
class _Challenge:
    digest: str
    until: datetime
    handle: bytes


class Challenges:
    """Make challenges, and tell those that hold.

    Args:
        keys: Secrets of the application; the newest signs, all of them verify.
        clock: Source of time.
    """

    def __init__(self, keys: KeyRing, clock: Clock) -> None:
        self._keys = keys.derive("passkeys/challenge")
        self._clock = clock

    def issue(
        self, purpose: Purpose, user_id: UserId | None, *, handle: bytes = bytes(_HANDLE)
    ) -> bytes:
        """Make a challenge for one purpose, and one account where it is known.

        Args:
            purpose: What is to be signed.
            user_id: By whom.
            handle: Handle of 32 bytes that comes back with it.
        """
        until = self._clock.now() + LIFETIME
        moment = int(until.timestamp() * 1000).to_bytes(_TIME, "big")
        body = secrets.token_bytes(_SALT) + moment + handle
        return body + _mac(self._keys[0], body, purpose, user_id)

    def read(self, challenge: bytes, purpose: Purpose, user_id: UserId | None) -> _Challenge:
        """Read the challenge that was signed.

        Raises:
            InvalidPasskeyError: It was not made here for this, or it is over.
        """
        body, mac = challenge[:_BODY], challenge[_BODY:]
        expected = [_mac(key, body, purpose, user_id) for key in self._keys]
        if not any(hmac.compare_digest(each, mac) for each in expected):
            raise InvalidPasskeyError(reason="authentication.passkey_challenge")
        moment = int.from_bytes(body[_SALT : _SALT + _TIME], "big")
        until = datetime.fromtimestamp(moment / 1000, tz=UTC)
        # A clock that was put back does not make it hold for longer.
        if not until - LIFETIME - _LEEWAY <= self._clock.now() < until:
            raise InvalidPasskeyError(reason="authentication.passkey_challenge")
        return _Challenge(sha256(challenge).hexdigest(), until, body[_SALT + _TIME :])


class Passkeys:
    """Register passkeys and check what they sign.

    Args:
        store: Where they live.
        spent: Where it is remembered which challenges were used.
        issuers: The providers that somebody can sign in at.
        checks: Checks what browsers send.
        challenges: Makes and reads challenges.
        clock: Source of time.
    """

    def __init__(
        self,
        store: PasskeyStore,
        *,
        spent: SpentStore,
        issuers: Collection[str],
        checks: WebAuthnChecks,
        challenges: Challenges,
        clock: Clock,
    ) -> None:
        self._store = store
        self._spent = spent
        self._issuers = issuers
        self._checks = checks
        self._challenges = challenges
        self._clock = clock

    async def begin_registration(self, account: Account) -> dict[str, Any]:
        """Return what ``navigator.credentials.create`` needs, as JSON.

        Raises:
            InvalidPasskeyError: The account has as many as it may.
            StoreError: The passkeys are away.
        """
        known = await self._store.list_of(account.user_id)
        if len(known) >= _MOST:
            raise InvalidPasskeyError(reason="authentication.passkeys_too_many")
        # All of an account have one handle; it is drawn at random and says nothing about anybody.
        handle = known[0].user_handle if known else secrets.token_bytes(_HANDLE)
        challenge = self._challenges.issue(Purpose.REGISTER, account.user_id, handle=handle)
        return self._checks.describe_registration(
            challenge, handle=handle, name=account.email, known=known
        )

    async def register(self, account: Account, credential: dict[str, Any], *, name: str) -> Passkey:
        """Keep a new passkey.

        Args:
            account: Whose it is.
            credential: What the browser sent; untrusted.
            name: What its owner calls it.

        Raises:
            InvalidPasskeyError: It does not hold, or is registered already.
            StoreError: The passkeys are away.
        """
        signed = self._checks.read_challenge(credential)
        challenge = self._challenges.read(signed, Purpose.REGISTER, account.user_id)
        made = self._checks.verify_registration(credential, challenge=signed)
        now = self._clock.now()
        passkey = Passkey(
            passkey_id=str(uuid.uuid4()),
            credential_id=made.credential_id,
            user_id=account.user_id,
            user_handle=challenge.handle,
            public_key=made.public_key,
            sign_count=made.sign_count,
            backup_eligible=made.backup_eligible,
            backed_up=made.backed_up,
            transports=made.transports,
            name=name,
            created_at=now,
        )
        await self._use_challenge(challenge)
        if not await self._store.add(passkey):
            raise InvalidPasskeyError(reason="authentication.passkey_exists")
        return passkey

    def begin_sign_in(self) -> dict[str, Any]:
        """Return what ``navigator.credentials.get`` needs to sign in whoever is there, as JSON."""
        challenge = self._challenges.issue(Purpose.SIGN_IN, None)
        return self._checks.describe_request(challenge, known=(), must_verify=True)

    async def begin_factor(self, user_id: UserId) -> dict[str, Any]:
        """Return what ``navigator.credentials.get`` needs for a passkey of an account, as JSON.

        Raises:
            StoreError: The passkeys are away.
        """
        known = await self._store.list_of(user_id)
        challenge = self._challenges.issue(Purpose.FACTOR, user_id)
        return self._checks.describe_request(challenge, known=known, must_verify=False)

    async def sign_in(self, credential: dict[str, Any]) -> Passkey:
        """Return the passkey that has signed, for whoever it belongs to.

        It stands for two factors: the device, and the finger or number that unlocks it. So it is
        always asked to verify its user.

        Args:
            credential: What the browser sent; untrusted.

        Raises:
            InvalidPasskeyError: It does not hold.
            StoreError: The passkeys are away.
        """
        if credential["response"].get("userHandle") is None:
            raise InvalidPasskeyError(reason="authentication.passkey_wrong")
        return await self._verify(credential, Purpose.SIGN_IN, None, must_verify=True)

    async def verify(self, user_id: UserId, credential: dict[str, Any]) -> Passkey:
        """Return the passkey of an account that has signed.

        Raises:
            InvalidPasskeyError: It does not hold, or is another account's.
            StoreError: The passkeys are away.
        """
        return await self._verify(credential, Purpose.FACTOR, user_id, must_verify=False)

    async def _verify(
        self,
        credential: dict[str, Any],
        purpose: Purpose,
        user_id: UserId | None,
        *,
        must_verify: bool,
    ) -> Passkey:
        signed = self._checks.read_challenge(credential)
        challenge = self._challenges.read(signed, purpose, user_id)
        known = await self._store.find(credential["id"])
        if known is None or (user_id is not None and known.user_id != user_id):
            raise InvalidPasskeyError(reason="authentication.passkey_unknown")
        handle = self._checks.read_handle(credential)
        if handle is not None and not hmac.compare_digest(handle, known.user_handle):
            raise InvalidPasskeyError(reason="authentication.passkey_wrong", user_id=known.user_id)
        used = self._checks.verify_assertion(
            credential, challenge=signed, passkey=known, must_verify=must_verify
        )
        await self._use_challenge(challenge)
        now = self._clock.now()
        if not await self._store.use(
            known.passkey_id, sign_count=used.sign_count, backed_up=used.backed_up, now=now
        ):
            # Two devices count for themselves: one of them is a copy that nobody should have.
            raise InvalidPasskeyError(reason="authentication.passkey_cloned", user_id=known.user_id)
        return known

    async def _use_challenge(self, challenge: _Challenge) -> None:
        fresh = await self._spent.spend(
            challenge.digest, now=self._clock.now(), until=challenge.until + _LEEWAY
        )
        if not fresh:
            raise InvalidPasskeyError(reason="authentication.passkey_replayed")

    async def list(self, user_id: UserId) -> list[Passkey]:
        """Return the passkeys of an account, the oldest first.

        Raises:
            StoreError: The passkeys are away.
        """
        return await self._store.list_of(user_id)

    async def remove(self, user_id: UserId, passkey_id: str) -> None:
        """Forget a passkey of an account.

        Raises:
            NotFoundError: The account has no such one.
            LastWayInError: The account has no password, no identity and no other passkey.
            StoreError: The passkeys are away.
        """
        outcome = await self._store.remove(user_id, passkey_id, issuers=self._issuers)
        if outcome is Removal.LAST:
            raise LastWayInError(reason="authentication.last_way_in")
        if outcome is Removal.UNKNOWN:
            raise NotFoundError(reason="authentication.passkey_unknown")


def make_passkeys(
    store: PasskeyStore,
    *,
    spent: SpentStore,
    issuers: Collection[str],
    keys: KeyRing,
    settings: AuthenticationSettings,
    clock: Clock,
) -> Passkeys:
    """Build the service of passkeys.

    Args:
        store: Where they live.
        spent: Where it is remembered which challenges were used.
        issuers: The providers that somebody can sign in at.
        keys: Secrets of the application.
        settings: The domain.
        clock: Source of time.

    Raises:
        ConfigurationError: The settings name no domain, or the library is not installed.
    """
    return Passkeys(
        store,
        spent=spent,
        issuers=issuers,
        checks=make_webauthn_checks(settings),
        challenges=Challenges(keys, clock),
        clock=clock,
    )


def _mac(key: bytes, body: bytes, purpose: Purpose, user_id: UserId | None) -> bytes:
    # The body has a fixed length, and no purpose has a colon: no two messages read the same.
    whose = "" if user_id is None else f":{user_id}"
    return hmac.digest(key, body + f"{purpose}{whose}".encode(), sha256)
