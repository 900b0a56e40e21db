import base64
from urllib.parse import unquote_plus

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from stockade.authentication.client_proofs import ClientProof
from stockade.errors import ConfigurationError
from tests.clock import FrozenClock
from tests.unit.authentication.helpers import rsa_pem
from tests.unit.authentication.issuers import NOW
from tests.unit.authentication.test_provider_metadata import ISSUER, make_settings

KEY = {"client_secret": None, "client_authentication": "private_key_jwt"}


def make(**settings: object) -> ClientProof:
    """Make a proof."""
    return ClientProof("local", make_settings(**settings), clock=FrozenClock())


@pytest.mark.parametrize("secret", ["hush", "a:b", "é ü", "100%+", "%3A"])
@pytest.mark.parametrize("client_id", ["app", "urn:app", "a b", "a%3Ab"])
def test_a_secret_may_hold_whatever_it_holds(secret: str, client_id: str) -> None:
    """It comes out as it was, whatever would part the two."""
    fields, headers = make(client_id=client_id, client_secret=secret).write()
    assert fields == {}
    scheme, _, pair = headers["authorization"].partition(" ")
    assert scheme == "Basic"
    given = base64.b64decode(pair).decode("ascii").split(":")
    assert [unquote_plus(part) for part in given] == [client_id, secret]


def test_a_secret_travels_in_one_place() -> None:
    """Providers refuse an application that proves itself twice."""
    fields, headers = make(client_authentication="client_secret_post").write()
    assert fields == {"client_id": "app", "client_secret": "hush"}
    assert headers == {}


def test_a_key_signs_for_this_provider_alone() -> None:
    """For a minute, with another identifier each time, and as a public library reads it."""
    proof = make(**KEY, client_key=rsa_pem())
    key = load_pem_private_key(rsa_pem().encode(), None).public_key()
    assert isinstance(key, RSAPublicKey)
    seen = []
    for _ in range(2):
        fields, headers = proof.write()
        assert headers == {}
        assert fields["client_assertion_type"].endswith(":jwt-bearer")
        claims = jwt.decode(
            fields["client_assertion"],
            key,
            ["RS256"],
            audience=ISSUER,
            options={"verify_exp": False, "verify_iat": False},
        )
        assert (claims["iss"], claims["sub"], claims["aud"]) == ("app", "app", ISSUER)
        assert (claims["iat"], claims["exp"]) == (NOW, NOW + 60)
        seen.append(claims["jti"])
    assert len(set(seen)) == 2


@pytest.mark.parametrize(
    "key", ["x", "-----BEGIN PRIVATE KEY-----", '{"kty":"oct","k":"' + "A" * 43 + '"}', "{}"]
)
def test_a_key_that_is_none_stops_the_start(key: str) -> None:
    """The message names the provider, and repeats nothing of the key."""
    with pytest.raises(ConfigurationError) as caught:
        make(**KEY, client_key=key)
    assert "provider local" in str(caught.value)
    assert len(key) < 3 or key not in str(caught.value)
