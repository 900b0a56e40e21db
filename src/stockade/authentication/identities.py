"""Link what people are at providers to accounts, and take it off again.

An identity is what a provider calls somebody: its own name and its name for the user, and nothing
else. An e-mail address is no identity: it never signs anybody in, and it never links anything.
Whoever can have a provider write an address into a token would otherwise own the account that has
it.

Source: OpenID Connect Core 1.0, section 5.7; ASVS 5.0 V6.8.1 and V10.5.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final, Protocol

from stockade.authentication.errors import (
    LastWayInError,
    ProviderRefusedError,
    UnknownIdentityError,
)
from stockade.authentication.models import Identity, Newcomer, Removal
from stockade.core.identity import UserId
from stockade.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from stockade.authentication.id_tokens import ProvenIdentity
    from stockade.authentication.interfaces import AccountStore, IdentityStore
    from stockade.authentication.models import Account, Placement
    from stockade.authentication.provider_settings import ProviderSettings
    from stockade.core.clock import Clock

MOST_IDENTITIES: Final = 20


class NewcomerPolicy(Protocol):
    """Decides who gets an account by signing in at a provider, and where it belongs."""

    async def place(self, newcomer: Newcomer) -> Placement | None:
        """Return where an account belongs; None for one without a tenant.

        Raises:
            DeniedError: There is to be no account.
        """


class Identities:
    """Find, link and take off identities.

    Args:
        store: Where they live.
        accounts: Where accounts live.
        newcomers: Says where new accounts belong; without one they have no tenant.
        issuers: The providers that somebody can sign in at.
        clock: Source of time.
    """

    def __init__(
        self,
        store: IdentityStore,
        accounts: AccountStore,
        *,
        newcomers: NewcomerPolicy | None,
        issuers: Collection[str],
        clock: Clock,
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._newcomers = newcomers
        self._issuers = issuers
        self._clock = clock

    async def sign_in(
        self, proven: ProvenIdentity, *, provider: str, settings: ProviderSettings
    ) -> tuple[Account, bool]:
        """Return the account of whoever has signed in at a provider, and whether it is new.

        Args:
            proven: Who that is.
            provider: Name of the provider in the settings.
            settings: What the provider is trusted with.

        Raises:
            UnknownIdentityError: There is no such account, and none is made.
            ProviderRefusedError: The account may not sign in.
            StoreError: A store is away.
        """
        known = await self._store.find(proven.issuer, proven.subject)
        if known is not None:
            account = await self.find_account(known.user_id)
            await self._store.touch(known.identity_id, now=self._clock.now())
            return account, False
        email = require_trusted_email(proven, settings)
        if await self._accounts.find_by_email(email) is not None:
            # Whoever owns the account signs in as before and links the identity.
            raise UnknownIdentityError(reason="authentication.email_taken")
        return await self._register(proven, email, provider), True

    async def _register(self, proven: ProvenIdentity, email: str, provider: str) -> Account:
        placement = None
        if self._newcomers is not None:
            newcomer = Newcomer(
                provider=provider, subject=proven.subject, email=email, claims=proven.claims
            )
            placement = await self._newcomers.place(newcomer)
        now = self._clock.now()
        identity = _make(proven, UserId(str(uuid.uuid4())), now=now, used=True)
        if not await self._store.register(identity, email=email, placement=placement):
            # Another request was quicker; its account is not for us to sign in to.
            raise UnknownIdentityError(reason="authentication.email_taken")
        return await self.find_account(identity.user_id)

    async def find_account(self, user_id: UserId) -> Account:
        """Return an account that may sign in, with its default tenant.

        Raises:
            ProviderRefusedError: It may not.
            StoreError: The accounts are away.
        """
        known = await self._accounts.find_by_id(user_id, None)
        account = None if known is None else await self._accounts.find_by_email(known.email)
        if account is None or account.user_id != user_id:
            raise ProviderRefusedError(reason="authentication.account_gone")
        if not account.active:
            raise ProviderRefusedError(reason="authentication.account_inactive")
        return account

    async def link(self, proven: ProvenIdentity, user_id: UserId) -> tuple[Account, bool]:
        """Link an identity to an account, and return it and whether it did not have it already.

        Raises:
            ProviderRefusedError: It belongs to another account, or the account may not sign in or
                has too many.
            StoreError: A store is away.
        """
        account = await self.find_account(user_id)
        if len(await self._store.list_of(user_id)) >= MOST_IDENTITIES:
            raise ProviderRefusedError(reason="authentication.too_many_identities")
        identity = _make(proven, account.user_id, now=self._clock.now(), used=False)
        if await self._store.add(identity):
            return account, True
        known = await self._store.find(proven.issuer, proven.subject)
        if known is None or known.user_id != user_id:
            raise ProviderRefusedError(reason="authentication.identity_taken")
        return account, False

    async def list_of(self, user_id: UserId) -> list[Identity]:
        """Return the identities of an account, the oldest first.

        Raises:
            StoreError: The store is away.
        """
        return await self._store.list_of(user_id)

    async def unlink(self, user_id: UserId, identity_id: str) -> Identity:
        """Take an identity off an account, and return it.

        Raises:
            NotFoundError: The account has no such identity.
            LastWayInError: The account has no password, no passkey and no other identity.
            StoreError: A store is away.
        """
        own = await self._store.list_of(user_id)
        identity = next((each for each in own if each.identity_id == identity_id), None)
        if identity is None:
            raise NotFoundError(reason="authentication.identity_not_found")
        outcome = await self._store.remove(user_id, identity_id, issuers=self._issuers)
        if outcome is Removal.LAST:
            raise LastWayInError(reason="authentication.last_way_in")
        if outcome is Removal.UNKNOWN:
            raise NotFoundError(reason="authentication.identity_not_found")
        return identity


def require_trusted_email(proven: ProvenIdentity, settings: ProviderSettings) -> str:
    """Return the address that somebody may get an account with.

    What is refused here is refused before any account is looked for, so that nobody learns from a
    made-up address whether there is an account with it.

    Raises:
        UnknownIdentityError: Nobody gets one by this provider, or not with this address.
    """
    if not settings.registration:
        raise UnknownIdentityError(reason="authentication.identity_unknown")
    if proven.email is None:
        raise UnknownIdentityError(reason="authentication.identity_email_unverified")
    if not settings.vouches_for(proven.email):
        raise UnknownIdentityError(reason="authentication.email_untrusted")
    return proven.email


def _make(proven: ProvenIdentity, user_id: UserId, *, now: datetime, used: bool) -> Identity:
    return Identity(
        identity_id=str(uuid.uuid4()),
        user_id=user_id,
        issuer=proven.issuer,
        subject=proven.subject,
        linked_at=now,
        last_used_at=now if used else None,
    )
