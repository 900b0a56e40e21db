"""Make the routers of accounts, sign-in, factors and programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stockade.authentication.leaked_keys import LeakReporters
from stockade.authentication.routes import make_auth_router
from stockade.authentication.routes_accounts import make_account_router
from stockade.authentication.routes_api_keys import make_api_keys_router
from stockade.authentication.routes_factors import make_factors_router
from stockade.authentication.routes_introspection import make_introspection_router
from stockade.authentication.routes_keys import make_keys_router
from stockade.authentication.routes_leaked_keys import make_leaked_keys_router
from stockade.authentication.routes_passkeys import make_passkeys_router
from stockade.authentication.routes_passwords import make_password_router
from stockade.authentication.routes_providers import make_oidc_router
from stockade.authentication.routes_registration import make_registration_router
from stockade.gate.dependencies import public

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import APIRouter

    from stockade.authentication.account_services import AccountServices
    from stockade.authentication.api_clients import APIClients
    from stockade.authentication.browsers import CrossSiteGuard
    from stockade.authentication.introspection import Introspector
    from stockade.authentication.leaked_keys import LeakedKeys
    from stockade.authentication.passkeys import Passkeys
    from stockade.authentication.post import Notifier
    from stockade.authentication.provider_sign_in import ProviderSignIn
    from stockade.authentication.routes_factor_sessions import FactorServices
    from stockade.authentication.routes_sessions import SignInServices
    from stockade.authentication.settings import AuthenticationSettings
    from stockade.authentication.signing_keys import SigningKeys
    from stockade.events import EventLog


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterParts:
    """What gives the routers their services, once the application has started.

    Args:
        sign_in: Sign-in and sessions.
        accounts: Passwords, registration, and what owners of accounts do.
        leaked_keys: Ends keys that scanners have found.
        introspector: Answers questions about tokens.
        factors: Second factors.
        passkeys: Passkeys.
        api_clients: Programs and their keys.
        provider_sign_in: Sign-in at providers.
        public_keys: The keys that verify access tokens.
    """

    sign_in: Callable[[], SignInServices]
    accounts: Callable[[], AccountServices]
    leaked_keys: Callable[[], LeakedKeys]
    introspector: Callable[[], Introspector]
    factors: Callable[[], FactorServices]
    passkeys: Callable[[], Passkeys]
    api_clients: Callable[[], APIClients]
    provider_sign_in: Callable[[], ProviderSignIn]
    public_keys: SigningKeys


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInRouters:
    """The routers of everything that says who calls; `Stockade` says what each is for."""

    auth_router: APIRouter
    password_router: APIRouter
    registration_router: APIRouter
    account_router: APIRouter
    leaked_keys_router: APIRouter
    introspection_router: APIRouter
    keys_router: APIRouter
    factors_router: APIRouter
    passkeys_router: APIRouter
    api_keys_router: APIRouter
    oidc_router: APIRouter


def make_sign_in_routers(
    parts: RouterParts,
    *,
    settings: AuthenticationSettings,
    guard: CrossSiteGuard | None,
    notifier: Notifier,
    events: EventLog,
) -> SignInRouters:
    """Make the routers.

    Args:
        parts: What gives them their services.
        settings: Where browsers go, and who reports leaked keys.
        guard: Keeps other sites from using cookies; None where cookies are off.
        notifier: Tells owners of accounts what has happened to them.
        events: Where sign-ins and changes are recorded.
    """
    return SignInRouters(
        auth_router=make_auth_router(
            parts.sign_in,
            open_policy=public("whoever signs in is not signed in yet"),
            events=events,
            guard=guard,
        ),
        password_router=make_password_router(
            parts.accounts,
            open_policy=public("whoever has lost the password can't sign in"),
        ),
        registration_router=make_registration_router(
            parts.accounts,
            open_policy=public("whoever registers has no account yet"),
        ),
        account_router=make_account_router(
            parts.accounts,
            open_policy=public("a link in a mail is enough"),
        ),
        leaked_keys_router=make_leaked_keys_router(
            parts.leaked_keys,
            reporters=LeakReporters(settings.leak_reporter_keys),
            open_policy=public("a report of leaked keys is believed by its signature"),
            events=events,
        ),
        introspection_router=make_introspection_router(
            parts.introspector, settings=settings, events=events
        ),
        keys_router=make_keys_router(
            parts.public_keys, open_policy=public("public keys are for everybody")
        ),
        factors_router=make_factors_router(
            parts.factors,
            open_policy=public("whoever gives a second factor is not signed in yet"),
            events=events,
            guard=guard,
        ),
        passkeys_router=make_passkeys_router(
            parts.factors,
            parts.passkeys,
            open_policy=public("whoever signs in with a passkey is not signed in yet"),
            events=events,
            guard=guard,
        ),
        api_keys_router=make_api_keys_router(parts.api_clients, events=events),
        oidc_router=make_oidc_router(
            parts.provider_sign_in,
            lambda: parts.sign_in().sessions,
            open_policy=public("whoever signs in is not signed in yet"),
            settings=settings,
            notifier=notifier,
            events=events,
        ),
    )
