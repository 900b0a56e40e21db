"""Choose where everything about callers lives, and refuse what other processes would not see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stockade.errors import ConfigurationError
from stockade.storage.memory.accounts import MemoryAccountStore
from stockade.storage.memory.api_clients import MemoryAPIClientStore
from stockade.storage.memory.devices import MemoryDeviceStore
from stockade.storage.memory.factors import MemoryFactorStore
from stockade.storage.memory.identities import MemoryIdentityStore
from stockade.storage.memory.passkeys import MemoryPasskeyStore
from stockade.storage.memory.sessions import MemorySessionStore
from stockade.storage.memory.spent import MemorySpentStore

if TYPE_CHECKING:
    from collections.abc import Collection

    from stockade.authentication import AccountStore
    from stockade.authentication.interfaces import (
        APIClientStore,
        DeviceStore,
        FactorStore,
        IdentityStore,
        PasskeyStore,
        SessionStore,
        SpentStore,
    )
    from stockade.storage.sql.databases import Databases

_IN_MEMORY: Final = (
    MemorySessionStore,
    MemoryAPIClientStore,
    MemoryFactorStore,
    MemoryPasskeyStore,
    MemoryIdentityStore,
    MemorySpentStore,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInStores:
    """Where everything about callers lives; what is None is beside the accounts.

    Args:
        accounts: Accounts.
        sessions: Sessions.
        api_clients: Programs and their keys.
        identities: Who is who at a provider.
        spent: What works once and has been used.
        factors: Second factors.
        passkeys: Passkeys.
        devices: Devices that accounts were seen with.
    """

    accounts: AccountStore | None
    sessions: SessionStore | None
    api_clients: APIClientStore | None
    identities: IdentityStore | None
    spent: SpentStore | None
    factors: FactorStore | None
    passkeys: PasskeyStore | None
    devices: DeviceStore | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenStores:
    """Where everything about callers lives.

    Args:
        accounts: Accounts; None where there are none.
        sessions: Sessions.
        api_clients: Programs and their keys.
        identities: Who is who at a provider; None where there is no place for that.
        spent: What works once and has been used.
        factors: Second factors.
        passkeys: Passkeys.
        devices: Devices that accounts were seen with.
    """

    accounts: AccountStore | None
    sessions: SessionStore
    api_clients: APIClientStore
    identities: IdentityStore | None
    spent: SpentStore
    factors: FactorStore
    passkeys: PasskeyStore
    devices: DeviceStore

    @property
    def known_accounts(self) -> AccountStore:
        """The accounts; one that knows nobody where no route needs a caller."""
        return self.accounts or NoAccounts()

    def require_places(self, routes: Collection[str | None]) -> None:
        """Refuse memory as a place for what other processes have to know.

        Raises:
            ConfigurationError: A route keeps something there.
        """
        for route, router, place, kept in (
            ("stockade:token", "auth_router", "sessions", self.sessions),
            ("stockade:dashboard-sign-in", "the dashboard", "sessions", self.sessions),
            ("stockade:api-keys", "api_keys_router", "api_clients", self.api_clients),
            ("stockade:oidc-start", "oidc_router", "identities", self.identities),
            ("stockade:factors", "factors_router", "factors", self.factors),
            ("stockade:passkeys", "passkeys_router", "passkeys", self.passkeys),
            ("stockade:oidc-start", "oidc_router", "spent", self.spent),
            ("stockade:passkeys", "passkeys_router", "spent", self.spent),
        ):
            if route in routes and isinstance(kept, _IN_MEMORY):
                message = (
                    f"{router} is for accounts of your own, and what it makes has no place: pass"
                    f" {place}= beside accounts="
                )
                raise ConfigurationError(message)


def choose_stores(given: SignInStores, databases: Databases) -> ChosenStores:
    """Choose the stores: those that are given, or else those beside the accounts.

    Args:
        given: What the application brings.
        databases: Stockade's own stores.
    """
    accounts = given.accounts or databases.accounts
    own = databases if given.accounts is None else None
    identities = given.identities or (own and own.identities) or _beside(accounts)
    return ChosenStores(
        accounts=accounts,
        sessions=given.sessions or (own and own.sessions) or MemorySessionStore(),
        api_clients=given.api_clients or (own and own.api_clients) or MemoryAPIClientStore(),
        identities=identities,
        spent=given.spent or (own and own.spent) or MemorySpentStore(),
        factors=given.factors or (own and own.factors) or MemoryFactorStore(),
        passkeys=given.passkeys
        or (own and own.passkeys)
        or MemoryPasskeyStore(_as_memory(identities)),
        devices=given.devices or (own and own.devices) or MemoryDeviceStore(),
    )


def _beside(accounts: AccountStore | None) -> MemoryIdentityStore | None:
    return MemoryIdentityStore(accounts) if isinstance(accounts, MemoryAccountStore) else None


def _as_memory(identities: IdentityStore | None) -> MemoryIdentityStore | None:
    return identities if isinstance(identities, MemoryIdentityStore) else None


class NoAccounts:
    """Knows nobody; stands in where no route of an application needs a caller."""

    async def find_by_email(self, _email: str) -> None:
        """Return None."""

    async def find_by_id(self, _user_id: str, _tenant_id: str | None) -> None:
        """Return None."""

    async def replace_password_hash(self, _user_id: str, *, old: str, new: str) -> bool:  # noqa: ARG002 - the Protocol
        """Return False."""
        return False
