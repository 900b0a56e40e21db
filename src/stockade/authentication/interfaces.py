"""What the authentication layer needs from a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from stockade.authentication.models import (
        Account,
        APIClient,
        APISecret,
        Identity,
        NewAccount,
        Passkey,
        Placement,
        RefreshUse,
        Session,
        Sighting,
        StoredAPIClient,
        StoredLink,
        StoredSession,
    )
    from stockade.authentication.totp import TOTPFactor
    from stockade.core.identity import TenantId, UserId


class AccountStore(Protocol):
    """Where accounts live."""

    async def find_by_email(self, email: str) -> Account | None:
        """Return the account with this address and its default tenant, or None.

        Raises:
            StoreError: The store is away.
        """

    async def find_by_id(self, user_id: UserId, tenant_id: TenantId | None) -> Account | None:
        """Return the account and its roles in this tenant, or None.

        An account that is not a member of the tenant comes back without roles and with
        ``tenant_id`` None.

        Raises:
            StoreError: The store is away.
        """

    async def replace_password_hash(self, user_id: UserId, *, old: str, new: str) -> bool:
        """Put a new hash in place of the old one; False where somebody else changed it meanwhile.

        Raises:
            StoreError: The store is away.
        """


@runtime_checkable
class WritableAccountStore(AccountStore, Protocol):
    """Where accounts live that people make and change by themselves."""

    async def create(self, account: NewAccount) -> bool:
        """Make an account; False where its address is taken, also by a call at the same time.

        Raises:
            StoreError: The store is away.
        """

    async def set_password(self, user_id: UserId, *, epoch: int, new: str) -> bool:
        """Put a new hash in place and raise the epoch, in one atomic step.

        Of any number of calls with the same epoch exactly one changes something.

        Args:
            user_id: Whose password it is.
            epoch: The epoch as it was read; another one is there by now where somebody else has
                changed the account.
            new: The new hash.

        Returns:
            Whether this call has changed it.

        Raises:
            StoreError: The store is away.
        """

    async def mark_verified(self, user_id: UserId, *, email: str) -> bool:
        """Remember that the address is the owner's; False where the account has another by now.

        Raises:
            StoreError: The store is away.
        """

    async def set_email(self, user_id: UserId, *, epoch: int, new: str) -> bool:
        """Put a new address in place, as its owner's, and raise the epoch, in one atomic step.

        Args:
            user_id: Whose address it is.
            epoch: The epoch as it was read.
            new: The new address, in lower case.

        Returns:
            Whether this call has changed it; False as well where another account has the address.

        Raises:
            StoreError: The store is away.
        """

    async def set_active(self, user_id: UserId, *, active: bool) -> bool:
        """Let an account act or not, and raise the epoch; False where it is not there.

        Raises:
            StoreError: The store is away.
        """

    async def delete(self, user_id: UserId) -> bool:
        """Delete an account with all that belongs to it; False where it is not there.

        Raises:
            StoreError: The store is away, or keeps something else that needs the account.
        """

    async def join(self, user_id: UserId, tenant_id: TenantId, role: str) -> bool:
        """Make an account a member of a tenant; False where it is one, with whatever role.

        Raises:
            StoreError: The store is away, or there is no such account or tenant.
        """


class LinkStore(Protocol):
    """Where one-time links live: one for each purpose and address."""

    async def put(self, link: StoredLink, *, digest: str, now: datetime) -> None:
        """Keep a link in the place of the one before it, and forget those that are over.

        Raises:
            StoreError: The store is away.
        """

    async def find(self, digests: Sequence[str], *, now: datetime) -> StoredLink | None:
        """Return the link with one of these digests, unless it is over.

        Raises:
            StoreError: The store is away.
        """

    async def take(self, digests: Sequence[str], *, now: datetime) -> bool:
        """Forget the link with one of these digests, in one atomic step.

        Returns:
            Whether it was there and not over; of any number of calls one gets True.

        Raises:
            StoreError: The store is away.
        """


class SessionStore(Protocol):
    """Where sessions live, each with the digests of its last two refresh tokens."""

    async def add(self, session: Session, *, digest: str, keep: int) -> None:
        """Keep a new session, and forget the oldest ones of its account beyond `keep`.

        Args:
            session: The session.
            digest: Digest of its first refresh token.
            keep: Most sessions of one account, this one among them.

        Raises:
            StoreError: The store is away.
        """

    async def find(self, session_id: str) -> StoredSession | None:
        """Return a session with what is known of its refresh tokens, or None.

        Raises:
            StoreError: The store is away.
        """

    async def list_active(self, user_id: UserId, *, now: datetime) -> list[Session]:
        """Return the sessions of an account that are neither revoked nor past their end.

        Raises:
            StoreError: The store is away.
        """

    async def rotate(
        self, use: RefreshUse, *, now: datetime, used_since: datetime
    ) -> Session | None:
        """Put the successor in the place of the current refresh token, in one atomic step.

        Of any number of calls with the same token exactly one gets the session.

        Args:
            use: Which token is exchanged for which.
            now: The session must not have ended by then.
            used_since: The session must not have been idle since.

        Returns:
            The session as it is now; None where the token is not the current one, or the session
            is revoked, over or idle.

        Raises:
            StoreError: The store is away.
        """

    async def touch(self, session_id: str, *, now: datetime) -> None:
        """Remember that a session was used.

        Raises:
            StoreError: The store is away.
        """

    async def revoke(self, session_id: str, *, now: datetime) -> bool:
        """End a session; False where it had ended already or never was.

        Raises:
            StoreError: The store is away.
        """

    async def revoke_all(
        self, user_id: UserId, *, now: datetime, except_for: str | None = None
    ) -> int:
        """End all sessions of an account but one, and return how many that were.

        Raises:
            StoreError: The store is away.
        """


class APIClientStore(Protocol):
    """Where programs and the digests of their keys live."""

    async def add(self, client: APIClient, secret: APISecret) -> None:
        """Keep a new client with its first key.

        Raises:
            StoreError: The store is away.
        """

    async def find(self, client_id: str) -> StoredAPIClient | None:
        """Return a client with its keys, the newest first, or None.

        Raises:
            StoreError: The store is away.
        """

    async def list_of(
        self, *, tenant_id: TenantId | None, user_id: UserId | None
    ) -> list[APIClient]:
        """Return the clients of an account in a tenant, or with no account the tenant's own.

        Raises:
            StoreError: The store is away.
        """

    async def rotate(self, client_id: str, secret: APISecret, *, old_until: datetime) -> bool:
        """Add a key, end the newest one at a moment and all others now; False without the client.

        Raises:
            StoreError: The store is away.
        """

    async def revoke(self, client_id: str, *, now: datetime) -> bool:
        """End a client; False where it had ended already or never was.

        Raises:
            StoreError: The store is away.
        """

    async def renew(self, client_id: str, secret_id: str, *, digest: str) -> None:
        """Put another digest in the place of a key's: the same key, by a newer key of the ring.

        Raises:
            StoreError: The store is away.
        """

    async def touch(self, client_id: str, *, now: datetime) -> None:
        """Remember that a client called.

        Raises:
            StoreError: The store is away.
        """


@runtime_checkable
class LeakedKeyStore(Protocol):
    """A store of programs that finds a key by itself, without its program."""

    async def find_by_digests(
        self, digests: Sequence[str]
    ) -> dict[str, tuple[APIClient, APISecret]]:
        """Return the keys that have one of these digests, each with its client.

        Args:
            digests: Any number of them, each once.

        Raises:
            StoreError: The store is away.
        """

    async def end_secret(self, client_id: str, secret_id: str, *, now: datetime) -> bool:
        """End one key of a client; False where it had ended already or never was.

        Of any number of calls at once exactly one gets True.

        Raises:
            StoreError: The store is away.
        """


class IdentityStore(Protocol):
    """Where the identities of accounts at providers live."""

    async def find(self, issuer: str, subject: str) -> Identity | None:
        """Return the identity that a provider knows by this name, or None.

        Raises:
            StoreError: The store is away.
        """

    async def list_of(self, user_id: UserId) -> list[Identity]:
        """Return the identities of an account, the oldest first.

        Raises:
            StoreError: The store is away.
        """

    async def add(self, identity: Identity) -> bool:
        """Link an identity to its account; False where it is linked already, to whichever account.

        Raises:
            StoreError: The store is away.
        """

    async def register(
        self, identity: Identity, *, email: str, placement: Placement | None
    ) -> bool:
        """Make an account without a password and link an identity to it, both or neither.

        Args:
            identity: The identity, with the identifier of the new account.
            email: Address of the account, in lower case.
            placement: Where in which role it belongs; None for an account without a tenant.

        Returns:
            False where an account has the address, or the identity is linked already.

        Raises:
            StoreError: The store is away, or the tenant does not exist.
        """

    async def remove(self, user_id: UserId, identity_id: str, *, keep: int) -> bool:
        """Take an identity off its account in one atomic step.

        Args:
            user_id: The account.
            identity_id: The identity.
            keep: How many other identities have to stay.

        Returns:
            False where the account has no such identity, or fewer than `keep` others.

        Raises:
            StoreError: The store is away.
        """

    async def touch(self, identity_id: str, *, now: datetime) -> None:
        """Remember that somebody has signed in with an identity.

        Raises:
            StoreError: The store is away.
        """


class SpentStore(Protocol):
    """Where it is remembered what works once and has been used."""

    async def spend(self, digest: str, *, now: datetime, until: datetime) -> bool:
        """Use something up, in one atomic step; of any number of calls one gets True.

        Args:
            digest: What it is.
            now: The time.
            until: How long that has to be remembered.

        Raises:
            StoreError: The store is away.
        """


class ProviderStore(IdentityStore, SpentStore, Protocol):
    """What sign-in at providers needs from a store."""


class TOTPStore(Protocol):
    """Where authenticator apps live, one for each account."""

    async def find_totp(self, user_id: UserId) -> TOTPFactor | None:
        """Return the app of an account, whether it is confirmed or not, or None.

        Raises:
            StoreError: The store is away.
        """

    async def enrol_totp(self, factor: TOTPFactor) -> bool:
        """Keep an app that is not confirmed yet, in the place of another such one.

        Returns:
            False where the account has a confirmed one, which stays as it is.

        Raises:
            StoreError: The store is away.
        """

    async def confirm_totp(
        self, factor_id: str, *, step: int, now: datetime, codes: Sequence[str]
    ) -> bool:
        """Turn an app on and put recovery codes in the place of the account's, in one step.

        Args:
            factor_id: The enrolment; of any number of calls exactly one turns it on.
            step: The step of its first code.
            now: The time.
            codes: Digests of the recovery codes.

        Returns:
            False where there is no such app, or it is on already.

        Raises:
            StoreError: The store is away.
        """

    async def use_totp(self, factor_id: str, *, step: int, sealed: str) -> bool:
        """Take the code of a step, unless one of it or of a later one was taken, in one statement.

        Args:
            factor_id: The app; it must be confirmed.
            step: The step of the code.
            sealed: Its secret, sealed anew.

        Returns:
            True for exactly one of any number of calls with the same step.

        Raises:
            StoreError: The store is away.
        """

    async def remove_totp(self, factor_id: str) -> bool:
        """Forget an app; False where there is none.

        Raises:
            StoreError: The store is away.
        """


class RecoveryCodeStore(Protocol):
    """Where the digests of recovery codes live."""

    async def replace_codes(self, user_id: UserId, codes: Sequence[str]) -> None:
        """Put digests in the place of all that the account has.

        Raises:
            StoreError: The store is away.
        """

    async def use_code(self, user_id: UserId, digests: Sequence[str]) -> bool:
        """Take a code that has one of these digests, in one statement.

        Returns:
            True for exactly one of any number of calls with the same code.

        Raises:
            StoreError: The store is away.
        """

    async def count_codes(self, user_id: UserId) -> int:
        """Return how many codes an account has left.

        Raises:
            StoreError: The store is away.
        """


class FactorStore(TOTPStore, RecoveryCodeStore, Protocol):
    """Where second factors live."""


class PasskeyStore(Protocol):
    """Where passkeys live, and the challenges that were used lately."""

    async def add(self, passkey: Passkey) -> bool:
        """Keep a new passkey; False where any account has one with its credential identifier.

        Raises:
            StoreError: The store is away.
        """

    async def find(self, credential_id: str) -> Passkey | None:
        """Return the passkey with this credential identifier, or None.

        Raises:
            StoreError: The store is away.
        """

    async def list_of(self, user_id: UserId) -> list[Passkey]:
        """Return the passkeys of an account, the oldest first.

        Raises:
            StoreError: The store is away.
        """

    async def use(
        self, passkey_id: str, *, sign_count: int, backed_up: bool, now: datetime
    ) -> bool:
        """Remember that a passkey has signed, in one statement.

        Args:
            passkey_id: Which one.
            sign_count: What it has counted to.
            backed_up: Whether it has been copied to other devices of its owner.
            now: The time.

        Returns:
            False where it is not there, or its count is no higher than before; both counts may be
            0, which says that it does not count.

        Raises:
            StoreError: The store is away.
        """

    async def remove(self, user_id: UserId, passkey_id: str) -> bool:
        """Forget a passkey of an account; False where it has no such one.

        Raises:
            StoreError: The store is away.
        """

    async def use_challenge(self, digest: str, *, until: datetime, now: datetime) -> bool:
        """Remember that a challenge was used, and forget those that are over by now.

        Args:
            digest: Digest of the challenge.
            until: When it is over.
            now: The time.

        Returns:
            True for exactly one of any number of calls with the same digest.

        Raises:
            StoreError: The store is away.
        """


class DeviceStore(Protocol):
    """Where it is remembered with which devices an account was seen."""

    async def see(
        self, user_id: UserId, digests: Sequence[str], *, now: datetime, keep: int
    ) -> Sighting:
        """Remember a device, and say whether the account was seen with it before.

        Args:
            user_id: The account.
            digests: Digests of the device, one for each key; the first one is kept.
            now: The time.
            keep: Most devices of one account; the one that was not seen for longest gives way.

        Raises:
            StoreError: The store is away.
        """
