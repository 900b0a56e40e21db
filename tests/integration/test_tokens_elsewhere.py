"""Other services verify our tokens by our public keys, with the libraries that they use."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import jwt
import pytest
from fastapi import FastAPI
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import KeySet
from jwt.algorithms import OKPAlgorithm

from stockade import Settings, Stockade
from stockade.core.clock import SystemClock
from tests.servers.process import free_port
from tests.unit.authentication.helpers import ANA, NEW, OLD, rsa_pem
from tests.unit.authentication.issuers import serve

URL = "/.well-known/jwks.json"
NAMES = {"issuer": "https://own.example", "audience": "https://api.example"}


@dataclass(frozen=True)
class Served:
    """A running application, and what it issues."""

    address: str
    algorithm: str
    stockade: Stockade

    def issue(self) -> str:
        """Issue a token of the moment."""
        return self.stockade._sign_in.tokens.issue(ANA).value


@pytest.fixture(scope="module", params=["Ed25519", "EdDSA", "ES256", "RS256"])
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    """A running application for each algorithm, in the middle of a rotation."""
    chosen = {"algorithm": request.param, **NAMES}
    if request.param == "RS256":
        chosen["signing_keys"] = (rsa_pem(0), rsa_pem(1))
    settings = Settings(environment="test", secret_keys=(OLD, NEW), authentication=chosen)
    stockade = Stockade(settings, sinks=[], clock=SystemClock())
    app = FastAPI()
    stockade.install(app)
    app.include_router(stockade.keys_router)
    with serve(app, free_port(), lifespan="on") as address:
        yield Served(address, request.param, stockade)


@pytest.fixture
def _new_name() -> Iterator[None]:
    """Teach PyJWT the name that RFC 9864 gave to what it calls EdDSA."""
    jwt.register_algorithm("Ed25519", OKPAlgorithm())
    yield
    jwt.unregister_algorithm("Ed25519")


@pytest.mark.usefixtures("_new_name")
def test_pyjwt_verifies_our_tokens(served: Served) -> None:
    """Its client finds the key by our address, and the key verifies the token."""
    client = jwt.PyJWKClient(served.address + URL)
    token = served.issue()
    key = client.get_signing_key_from_jwt(token)
    claims = jwt.decode(
        token,
        key.key,
        algorithms=[served.algorithm],
        issuer=NAMES["issuer"],
        audience=NAMES["audience"],
        options={"require": ["exp", "iat", "sub", "client_id", "jti"]},
    )
    assert claims["sub"] == "ana"
    assert len(client.get_signing_keys()) == 2


@pytest.mark.usefixtures("_new_name")
def test_pyjwt_refuses_what_is_not_ours(served: Served) -> None:
    """The public key verifies these very bytes alone."""
    key = jwt.PyJWKClient(served.address + URL).get_signing_key_from_jwt(served.issue())
    head, _, signature = served.issue().rpartition(".")
    other = served.issue().rpartition(".")[0]
    for forged in (f"{other}.{signature}", f"{head}."):
        with pytest.raises(jwt.InvalidTokenError):
            jwt.decode(
                forged,
                key.key,
                algorithms=[served.algorithm],
                audience=NAMES["audience"],
                issuer=NAMES["issuer"],
            )


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
def test_joserfc_verifies_our_tokens(served: Served) -> None:
    """The same with a key set of joserfc."""
    document: Any = httpx2.get(served.address + URL).json()
    keys = KeySet.import_key_set(document)
    decoded = joserfc_jwt.decode(served.issue(), keys, algorithms=[served.algorithm])
    registry = joserfc_jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": NAMES["issuer"]},
        aud={"essential": True, "value": NAMES["audience"]},
    )
    registry.validate(decoded.claims)
    assert decoded.header["typ"] == "at+jwt"
    assert decoded.claims["sub"] == "ana"
