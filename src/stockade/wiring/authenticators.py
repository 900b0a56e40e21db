"""Make what turns the credentials of a request into a caller."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.authentication import BearerAuthenticator
from stockade.authentication.browsers import CookieAuthenticator
from stockade.authentication.credentials import APIKeyAuthenticator, RequestAuthenticator
from stockade.authentication.outside_issuers import OutsideAuthenticator

if TYPE_CHECKING:
    from collections.abc import Callable

    from stockade.authentication import AccessTokens
    from stockade.authentication.api_keys import APIKeys
    from stockade.authentication.browsers import CrossSiteGuard
    from stockade.authentication.refresh_tokens import RefreshTokens
    from stockade.authentication.settings import AuthenticationSettings
    from stockade.core.clock import Clock
    from stockade.wiring.providers import ProviderWiring
    from stockade.wiring.stores import ChosenStores


def make_authenticator(
    stores: ChosenStores,
    providers: ProviderWiring,
    *,
    tokens: AccessTokens,
    api_keys: APIKeys,
    refresh: RefreshTokens,
    guard: CrossSiteGuard | None,
    permissions_of: Callable[[frozenset[str]], frozenset[str]],
    settings: AuthenticationSettings,
    clock: Clock,
) -> RequestAuthenticator:
    """Make the authenticator of requests.

    Args:
        stores: Where everything about callers lives.
        providers: Knows the outside issuers of tokens.
        tokens: Verifies access tokens.
        api_keys: Reads the keys of programs.
        refresh: Reads the cookies of sessions.
        guard: Keeps other sites from using cookies; None where cookies are off.
        permissions_of: Permissions that follow from roles.
        settings: Lifetimes and sizes.
        clock: Source of time.
    """
    accounts, outside = stores.known_accounts, providers.outside
    own = BearerAuthenticator(
        tokens,
        accounts,
        stores.sessions,
        permissions_of=permissions_of,
        settings=settings,
        clock=clock,
    )
    bearer: BearerAuthenticator | OutsideAuthenticator = own
    if outside:
        bearer = OutsideAuthenticator(own, outside, size=settings.token_cache_size, clock=clock)
    keys = APIKeyAuthenticator(
        stores.api_clients,
        accounts,
        keys=api_keys,
        permissions_of=permissions_of,
        settings=settings,
        clock=clock,
    )
    cookies = None
    if guard is not None:
        cookies = CookieAuthenticator(
            stores.sessions,
            accounts,
            cookies=refresh,
            guard=guard,
            permissions_of=permissions_of,
            settings=settings,
            clock=clock,
        )
    return RequestAuthenticator(bearer, keys, cookies)
