"""Say what a store of second factors and passkeys does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from stockade.authentication.models import Passkey, Removal
    from stockade.authentication.totp import TOTPFactor
    from stockade.core.identity import UserId


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
    """Where passkeys live."""

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

    async def remove(
        self, user_id: UserId, passkey_id: str, *, issuers: Collection[str]
    ) -> Removal:
        """Forget a passkey of an account, unless it is the last way in, in one atomic step.

        Args:
            user_id: The account.
            passkey_id: The passkey.
            issuers: The providers that somebody can sign in at; see `IdentityStore.remove`.

        Raises:
            StoreError: The store is away.
        """
