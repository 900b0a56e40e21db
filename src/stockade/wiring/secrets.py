"""Read secrets of the settings as the layers want them."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from stockade.crypto import KeyRing

if TYPE_CHECKING:
    from pydantic import SecretStr

    from stockade.settings import Settings


def reveal(secret: SecretStr | None) -> str | None:
    """Return the value of a secret; None where it is not set."""
    return None if secret is None else secret.get_secret_value()


def read_keys(settings: Settings) -> KeyRing:
    """Return the secrets of the application; made up where nothing is deployed and none is set.

    Raises:
        ConfigurationError: A secret is too weak, or there is none.
    """
    given = [secret.get_secret_value() for secret in settings.secret_keys]
    if not given and not settings.environment.is_deployed:
        # Tokens of a development server end with it; nothing has to be configured to try things
        # out.
        given = [secrets.token_urlsafe(48)]
    return KeyRing(given)
