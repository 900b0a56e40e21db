"""Say what the authentication layer needs from stores."""

from stockade.authentication.interfaces.accounts import (
    AccountStore,
    LinkStore,
    WritableAccountStore,
)
from stockade.authentication.interfaces.factors import (
    FactorStore,
    PasskeyStore,
    RecoveryCodeStore,
    TOTPStore,
)
from stockade.authentication.interfaces.programs import APIClientStore, LeakedKeyStore
from stockade.authentication.interfaces.providers import IdentityStore, SpentStore
from stockade.authentication.interfaces.sessions import DeviceStore, SessionStore

__all__ = [
    "APIClientStore",
    "AccountStore",
    "DeviceStore",
    "FactorStore",
    "IdentityStore",
    "LeakedKeyStore",
    "LinkStore",
    "PasskeyStore",
    "RecoveryCodeStore",
    "SessionStore",
    "SpentStore",
    "TOTPStore",
    "WritableAccountStore",
]
