"""Wire those whose word counts beside our own: outside issuers of tokens, and providers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.authentication.http_reader import HTTPReader
from stockade.authentication.outside_issuers import make_outside_issuers
from stockade.authentication.provider_wiring import make_provider_sign_in
from stockade.authentication.providers import make_providers
from stockade.errors import ConfigurationError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stockade.authentication.identities import NewcomerPolicy
    from stockade.authentication.outside_issuers import OutsideIssuer
    from stockade.authentication.provider_sign_in import ProviderSignIn
    from stockade.authentication.providers import Provider
    from stockade.authentication.sessions import Sessions
    from stockade.core.clock import Clock
    from stockade.crypto import KeyRing
    from stockade.events import EventLog
    from stockade.settings import Settings
    from stockade.wiring.stores import ChosenStores


class ProviderWiring:
    """Outside issuers, and sign-in at providers.

    Args:
        settings: Settings of all layers.
        keys: Secrets of the application.
        stores: Where everything about callers lives.
        permissions_of: Permissions that follow from roles.
        newcomers: Says where accounts belong that people get by a provider.
        events: Where it is recorded that one is away.
        clock: Source of time.

    Raises:
        ConfigurationError: The settings can't be in force as they are.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        keys: KeyRing,
        stores: ChosenStores,
        permissions_of: Callable[[frozenset[str]], frozenset[str]],
        newcomers: NewcomerPolicy | None,
        events: EventLog,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._stores = stores
        self._newcomers = newcomers
        self._events = events
        self._clock = clock
        self.outside = self._make_outside_issuers(permissions_of)
        self._providers = self._make_providers()
        self.names = {each.settings.issuer: name for name, each in self._providers.items()}
        self._sign_in: ProviderSignIn | None = None

    def _make_outside_issuers(
        self, permissions_of: Callable[[frozenset[str]], frozenset[str]]
    ) -> dict[str, OutsideIssuer]:
        settings = self._settings.authentication
        if not settings.issuers:
            # The HTTP client is an extra, and is not asked for in vain.
            return {}
        return make_outside_issuers(
            settings,
            HTTPReader(),
            permissions_of=permissions_of,
            allow_http=not self._settings.environment.is_deployed,
            events=self._events,
            clock=self._clock,
        )

    def _make_providers(self) -> dict[str, Provider]:
        settings = self._settings.authentication
        if not settings.providers:
            return {}
        if self._stores.identities is None:
            message = (
                "sign-in at a provider needs a place for who is who there: set"
                " STOCKADE_DATABASE_URL or pass identities= beside accounts="
            )
            raise ConfigurationError(message)
        return make_providers(
            settings,
            HTTPReader(),
            allow_http=not self._settings.environment.is_deployed,
            events=self._events,
            clock=self._clock,
        )

    def require_sign_in(self, sessions: Callable[[], Sessions]) -> ProviderSignIn:
        """Return the sign-in at providers.

        Args:
            sessions: Gives the sessions.

        Raises:
            NotFoundError: There are no accounts.
        """
        stores = self._stores
        if stores.accounts is None or stores.identities is None:
            # Without accounts there are no providers, and so nothing of this name.
            raise NotFoundError(reason="authentication.provider_unknown")
        if self._sign_in is None:
            self._sign_in = make_provider_sign_in(
                self._providers,
                stores.identities,
                spent=stores.spent,
                accounts=stores.accounts,
                newcomers=self._newcomers,
                sessions=sessions(),
                keys=self._keys,
                clock=self._clock,
            )
        return self._sign_in
