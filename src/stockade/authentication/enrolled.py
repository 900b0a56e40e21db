"""Say which second factors an account has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.core.identity import Factor

if TYPE_CHECKING:
    from stockade.authentication.interfaces import PasskeyStore, TOTPStore
    from stockade.core.identity import UserId


class EnrolledFactors:
    """Say which second factors an account has; recovery codes stand in for one and are none.

    Args:
        apps: Knows authenticator apps.
        passkeys: Knows passkeys.
    """

    def __init__(self, apps: TOTPStore, passkeys: PasskeyStore) -> None:
        self._apps = apps
        self._passkeys = passkeys

    async def names(self, user_id: UserId) -> frozenset[str]:
        """Name the kinds of factors that are on.

        Raises:
            StoreError: A store is away.
        """
        app = await self._apps.find_totp(user_id)
        found: set[str] = set()
        if app is not None and app.confirmed_at is not None:
            found.add(Factor.TOTP)
        if await self._passkeys.list_of(user_id):
            found.add(Factor.PASSKEY)
        return frozenset(found)
