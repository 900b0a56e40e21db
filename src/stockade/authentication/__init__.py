"""Say who calls: passwords, access tokens and the principal behind a request."""

from stockade.authentication.authenticator import BearerAuthenticator
from stockade.authentication.errors import (
    InvalidCredentialsError,
    InvalidTokenError,
    PasswordTooLongError,
)
from stockade.authentication.interfaces import AccountStore
from stockade.authentication.models import Account, IssuedToken
from stockade.authentication.passwords import BcryptHasher, HashingPool
from stockade.authentication.policy import PasswordPolicy
from stockade.authentication.settings import AuthenticationSettings
from stockade.authentication.sign_in import PasswordSignIn
from stockade.authentication.tokens import AccessTokens
from stockade.core.dependencies import current_principal

__all__ = [
    "AccessTokens",
    "Account",
    "AccountStore",
    "AuthenticationSettings",
    "BcryptHasher",
    "BearerAuthenticator",
    "HashingPool",
    "InvalidCredentialsError",
    "InvalidTokenError",
    "IssuedToken",
    "PasswordPolicy",
    "PasswordSignIn",
    "PasswordTooLongError",
    "current_principal",
]
