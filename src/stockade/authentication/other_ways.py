"""Tell what else lets somebody in to an account, beside its password."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stockade.authentication.interfaces import IdentityStore, PasskeyStore
    from stockade.core.identity import UserId


class OtherWaysIn:
    """Identities at providers, and passkeys.

    Args:
        identities: Where identities live; None where there are none.
        passkeys: Where passkeys live.
        providers: Names of the providers that somebody can sign in at, by their issuers.
    """

    def __init__(
        self,
        identities: IdentityStore | None,
        passkeys: PasskeyStore,
        *,
        providers: Mapping[str, str],
    ) -> None:
        self._identities = identities
        self._passkeys = passkeys
        self._providers = providers

    async def describe(self, user_id: UserId) -> list[str]:
        """Name them, in words of our own.

        Raises:
            StoreError: A store is away.
        """
        own = [] if self._identities is None else await self._identities.list_of(user_id)
        names = {self._providers[each.issuer] for each in own if each.issuer in self._providers}
        # What a passkey is called is whatever its maker likes.
        passkeys = len(await self._passkeys.list_of(user_id))
        told = [f"a sign-in at {name}" for name in sorted(names)]
        if passkeys:
            told.append("a passkey" if passkeys == 1 else f"{passkeys} passkeys")
        return told

    async def end_identities(self, user_id: UserId) -> int:
        """Take every identity off an account, and return how many that were.

        Passkeys stay: they are second factors, and a mailbox must not end one.

        Raises:
            StoreError: The store is away.
        """
        return 0 if self._identities is None else await self._identities.remove_all(user_id)
