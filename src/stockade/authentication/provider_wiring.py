"""Put together what sign-in at providers needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.authentication.identities import Identities
from stockade.authentication.provider_sign_in import ExchangeCodes, ProviderSignIn
from stockade.authentication.sign_in_flows import Flows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stockade.authentication.identities import NewcomerPolicy
    from stockade.authentication.interfaces import AccountStore, IdentityStore, SpentStore
    from stockade.authentication.providers import Provider
    from stockade.authentication.sessions import Sessions
    from stockade.core.clock import Clock
    from stockade.crypto import KeyRing


def make_provider_sign_in(
    providers: Mapping[str, Provider],
    store: IdentityStore,
    *,
    spent: SpentStore,
    accounts: AccountStore,
    newcomers: NewcomerPolicy | None,
    sessions: Sessions,
    keys: KeyRing,
    clock: Clock,
) -> ProviderSignIn:
    """Build the sign-in at providers.

    Args:
        providers: The providers, by their names in the settings.
        store: Where identities live.
        spent: Where it is remembered what was used up.
        accounts: Where accounts live.
        newcomers: Says where new accounts belong.
        sessions: Knows which sessions go on.
        keys: Secrets of the application.
        clock: Source of time.
    """
    return ProviderSignIn(
        providers,
        identities=Identities(
            store,
            accounts,
            newcomers=newcomers,
            issuers=frozenset(each.settings.issuer for each in providers.values()),
            clock=clock,
        ),
        spent=spent,
        flows=Flows(keys, clock=clock),
        codes=ExchangeCodes(keys, clock=clock),
        sessions=sessions,
        clock=clock,
    )
