"""Prove to a provider which application asks: by a shared secret, or by a signature.

Source: RFC 6749, section 2.3.1; RFC 7523, sections 2.2 and 3; OpenID Connect Core 1.0, section 9.
"""

from __future__ import annotations

import base64
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import quote_plus

from stockade.authentication.algorithms import Algorithm, UnusableKeyError
from stockade.authentication.jws import encode_base64url, encode_object, write_compact
from stockade.authentication.signing_keys import read_signing_key
from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from stockade.authentication.algorithms import SigningKey
    from stockade.authentication.provider_settings import ProviderSettings
    from stockade.core.clock import Clock

_LIFETIME: Final = timedelta(minutes=1)
_KIND: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class ClientProof:
    """What a request to a provider's token endpoint carries to show who asks.

    Args:
        name: Name of the provider in the settings.
        settings: How this application proves itself.
        clock: Source of time.

    Raises:
        ConfigurationError: The private key can't be used; the message never repeats it.
    """

    def __init__(self, name: str, settings: ProviderSettings, *, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        key = settings.client_key
        self._key = None if key is None else _read_key(name, key.get_secret_value())

    def write(self) -> tuple[dict[str, str], dict[str, str]]:
        """Return the fields and the headers that go with a request; secrets."""
        settings = self._settings
        if self._key is not None:
            assertion = self._sign(self._key)
            return {"client_assertion_type": _KIND, "client_assertion": assertion}, {}
        given = settings.client_secret
        secret = "" if given is None else given.get_secret_value()
        if settings.client_authentication == "client_secret_post":
            return {"client_id": settings.client_id, "client_secret": secret}, {}
        # Both are encoded as in a form before they are put together: either may hold a colon.
        pair = f"{quote_plus(settings.client_id)}:{quote_plus(secret)}"
        return {}, {"authorization": "Basic " + base64.b64encode(pair.encode("ascii")).decode()}

    def _sign(self, key: SigningKey) -> str:
        now = int(self._clock.now().timestamp())
        client_id = self._settings.client_id
        claims = {
            "iss": client_id,
            "sub": client_id,
            # The provider's own name and not an address that it has given: whoever it is sent to,
            # it is good for this provider alone.
            "aud": self._settings.issuer,
            "iat": now,
            "exp": now + int(_LIFETIME.total_seconds()),
            "jti": secrets.token_urlsafe(16),
        }
        algorithm = key.verification.algorithm
        # Providers know the older name of this one.
        name = "EdDSA" if algorithm is Algorithm.ED25519 else str(algorithm)
        header = encode_object({"alg": name, "typ": "JWT", "kid": key.verification.kid})
        signed = write_compact(header, claims)
        return (signed + b"." + encode_base64url(key.sign(signed))).decode("ascii")


def _read_key(name: str, text: str) -> SigningKey:
    problem = "it is a shared secret"
    try:
        key = read_signing_key(text)
    except UnusableKeyError as error:
        problem = str(error)
    else:
        if key.verification.public is not None:
            return key
    message = (
        f"the client_key of the provider {name} can't be used: {problem}; `stockade keys generate`"
        " makes one"
    )
    raise ConfigurationError(message)
