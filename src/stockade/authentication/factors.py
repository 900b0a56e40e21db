"""Enrol, check and remove second factors: authenticator apps and recovery codes."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from stockade.authentication.errors import FactorExistsError, InvalidCodeError
from stockade.authentication.factor_throttle import FactorThrottle
from stockade.authentication.recovery_codes import RecoveryCodes, read_code
from stockade.authentication.totp import (
    TOTPFactor,
    find_step,
    generate_secret,
    is_code,
    owner_of,
    write_secret,
    write_uri,
)
from stockade.core.identity import Factor
from stockade.crypto.sealing import Sealer, SealError

if TYPE_CHECKING:
    from datetime import datetime

    from stockade.authentication.enrolled import EnrolledFactors
    from stockade.authentication.interfaces import FactorStore, SessionStore
    from stockade.authentication.settings import AuthenticationSettings
    from stockade.authentication.throttle import AttemptStore
    from stockade.core.clock import Clock
    from stockade.core.identity import UserId
    from stockade.crypto import KeyRing

# Whoever is shown a secret confirms it while it is still on the screen.
_CONFIRM_WITHIN: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """What an authenticator app needs; shown once.

    Args:
        secret: The secret in base32, to be typed in.
        uri: The same as an address, for a QR code.
    """

    secret: str = field(repr=False)
    uri: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorState:
    """What an account has.

    Args:
        totp_since: When its authenticator app was turned on; None where it has none.
        recovery_codes: How many codes are left.
    """

    totp_since: datetime | None
    recovery_codes: int


class SecondFactors:
    """Enrol, check and remove second factors.

    Args:
        store: Where they live.
        enrolled: Says which factors an account has.
        sealer: Seals the secrets of apps.
        codes: Makes and digests recovery codes.
        throttle: Counts codes that are tried; None where limits are off.
        issuer: Name that apps show.
        clock: Source of time.
    """

    def __init__(
        self,
        store: FactorStore,
        enrolled: EnrolledFactors,
        *,
        sealer: Sealer,
        codes: RecoveryCodes,
        throttle: FactorThrottle | None,
        issuer: str,
        clock: Clock,
    ) -> None:
        self._store = store
        self._enrolled = enrolled
        self._sealer = sealer
        self._codes = codes
        self._throttle = throttle
        self._issuer = issuer
        self._clock = clock

    async def describe(self, user_id: UserId) -> FactorState:
        """Say what an account has.

        Raises:
            StoreError: The factors are away.
        """
        factor = await self._store.find_totp(user_id)
        return FactorState(
            totp_since=None if factor is None else factor.confirmed_at,
            recovery_codes=await self._store.count_codes(user_id),
        )

    async def enrol(self, user_id: UserId, email: str) -> Enrolment:
        """Begin to enrol an authenticator app; it counts for nothing until `confirm`.

        Args:
            user_id: Whose it is.
            email: What the app shows beside the issuer.

        Raises:
            FactorExistsError: The account has an app already.
            StoreError: The factors are away.
        """
        secret = generate_secret()
        factor_id = str(uuid.uuid4())
        factor = TOTPFactor(
            factor_id=factor_id,
            user_id=user_id,
            sealed=self._sealer.seal(secret, owner=owner_of(factor_id, user_id)),
            created_at=self._clock.now(),
        )
        if not await self._store.enrol_totp(factor):
            raise FactorExistsError(reason="authentication.factor_exists")
        uri = write_uri(secret, issuer=self._issuer, account=email)
        return Enrolment(secret=write_secret(secret), uri=uri)

    async def confirm(self, user_id: UserId, code: str, *, address: str) -> tuple[str, ...]:
        """Turn an authenticator app on, and return new recovery codes.

        Args:
            user_id: Whose it is.
            code: A code of the app; untrusted.
            address: Where it comes from.

        Raises:
            InvalidCodeError: It is none of this app, or no app waits for it.
            FactorExistsError: The app is on already.
            RateLimitedError: Codes come too fast.
            StoreError: A store is away.
        """
        await self._count(user_id, address)
        factor = await self._store.find_totp(user_id)
        if factor is None:
            raise InvalidCodeError(reason="authentication.factor_unknown")
        if factor.confirmed_at is not None:
            raise FactorExistsError(reason="authentication.factor_exists")
        now = self._clock.now()
        if not timedelta(0) <= now - factor.created_at < _CONFIRM_WITHIN:
            raise InvalidCodeError(reason="authentication.enrolment_over")
        step, _ = self._find_step(factor, code, now)
        codes = self._codes.generate()
        digests = self._digests(user_id, codes)
        if not await self._store.confirm_totp(factor.factor_id, step=step, now=now, codes=digests):
            # Another enrolment took its place, or another request was faster.
            raise InvalidCodeError(reason="authentication.enrolment_over")
        return codes

    async def verify(self, user_id: UserId, code: str, *, address: str) -> Factor:
        """Take a code of an account, once, and return what it is one of.

        Args:
            user_id: Whose code it would be.
            code: Of an app, or a recovery code; untrusted.
            address: Where it comes from.

        Raises:
            InvalidCodeError: It is none of this account, or was taken before.
            RateLimitedError: Codes come too fast.
            StoreError: A store is away.
        """
        await self._count(user_id, address)
        plain = code.replace(" ", "")
        if is_code(plain):
            await self._take_totp(user_id, plain)
            return Factor.TOTP
        recovery = read_code(code)
        if recovery is None:
            raise InvalidCodeError(reason="authentication.factor_code_malformed")
        if not await self._store.use_code(user_id, self._codes.digests(user_id, recovery)):
            raise InvalidCodeError(reason="authentication.recovery_code_wrong")
        return Factor.RECOVERY_CODE

    async def remove_totp(self, user_id: UserId, code: str, *, address: str) -> Factor:
        """Take a code, then forget the app of the account.

        Recovery codes stand in for a factor: without any they go as well.

        Raises:
            InvalidCodeError: It is none of this account, or was taken before.
            RateLimitedError: Codes come too fast.
            StoreError: A store is away.
        """
        taken = await self.verify(user_id, code, address=address)
        factor = await self._store.find_totp(user_id)
        if factor is not None:
            await self._store.remove_totp(factor.factor_id)
        await self.forget_codes(user_id)
        return taken

    async def forget_codes(self, user_id: UserId) -> None:
        """Forget the recovery codes of an account that has no factor any more.

        Raises:
            StoreError: The factors are away.
        """
        if not await self._enrolled.names(user_id):
            await self._store.replace_codes(user_id, ())

    async def renew_codes(self, user_id: UserId) -> tuple[str, ...]:
        """Return new recovery codes; those before them are worth nothing.

        Raises:
            InvalidCodeError: The account has no factor that they could stand in for.
            StoreError: The factors are away.
        """
        if not await self._enrolled.names(user_id):
            raise InvalidCodeError(reason="authentication.factor_unknown")
        codes = self._codes.generate()
        await self._store.replace_codes(user_id, self._digests(user_id, codes))
        return codes

    async def ensure_codes(self, user_id: UserId) -> tuple[str, ...]:
        """Return new recovery codes for an account that has none, or nothing.

        Raises:
            InvalidCodeError: The account has no factor that they could stand in for.
            StoreError: The factors are away.
        """
        if await self._store.count_codes(user_id):
            return ()
        return await self.renew_codes(user_id)

    async def _count(self, user_id: UserId, address: str) -> None:
        if self._throttle is not None:
            await self._throttle.check(user_id, address)

    async def _take_totp(self, user_id: UserId, code: str) -> None:
        factor = await self._store.find_totp(user_id)
        if factor is None or factor.confirmed_at is None:
            raise InvalidCodeError(reason="authentication.factor_unknown")
        step, secret = self._find_step(factor, code, self._clock.now())
        # Sealed anew each time, so that an older key of the ring can go once all have signed in.
        sealed = self._sealer.seal(secret, owner=owner_of(factor.factor_id, user_id))
        if not await self._store.use_totp(factor.factor_id, step=step, sealed=sealed):
            raise InvalidCodeError(reason="authentication.factor_code_replayed")

    def _find_step(self, factor: TOTPFactor, code: str, now: datetime) -> tuple[int, bytes]:
        plain = code.replace(" ", "")
        if not is_code(plain):
            raise InvalidCodeError(reason="authentication.factor_code_malformed")
        owner = owner_of(factor.factor_id, factor.user_id)
        try:
            secret = self._sealer.open(factor.sealed, owner=owner)
        except SealError:
            raise InvalidCodeError(reason="authentication.factor_unreadable") from None
        step = find_step(secret, plain, now=now)
        if step is None:
            raise InvalidCodeError(reason="authentication.factor_code_wrong")
        return step, secret

    def _digests(self, user_id: UserId, codes: tuple[str, ...]) -> list[str]:
        return [self._codes.digests(user_id, code)[0] for code in codes]


def make_second_factors(
    store: FactorStore,
    enrolled: EnrolledFactors,
    sessions: SessionStore,
    attempts: AttemptStore | None,
    *,
    keys: KeyRing,
    settings: AuthenticationSettings,
    clock: Clock,
) -> SecondFactors:
    """Build the service of second factors.

    Args:
        store: Where they live.
        enrolled: Says which factors an account has.
        sessions: Knows from where an account is signed in.
        attempts: Counts codes that are tried; None where limits are off.
        keys: Secrets of the application.
        settings: How many codes may be tried, and the name that apps show.
        clock: Source of time.
    """
    throttle = None
    if attempts is not None:
        throttle = FactorThrottle(attempts, sessions, keys=keys, settings=settings, clock=clock)
    return SecondFactors(
        store,
        enrolled,
        sealer=make_sealer(keys),
        codes=RecoveryCodes(keys),
        throttle=throttle,
        issuer=settings.display_name or settings.issuer,
        clock=clock,
    )


def make_sealer(keys: KeyRing) -> Sealer:
    """Build what seals the secrets of apps."""
    return Sealer(keys, "factors/totp")
