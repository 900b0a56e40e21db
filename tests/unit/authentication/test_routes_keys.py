import json

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from stockade import Settings, Stockade
from stockade.authentication.routes_keys import MAXIMUM_AGE, PATH, is_known
from stockade.events import MemorySink
from tests.unit.authentication.helpers import NEW, OLD, rsa_pem


def make_client(sink: MemorySink | None = None, **settings: object) -> TestClient:
    """Make an application that shows its keys."""
    chosen = Settings(environment="test", authentication=settings, secret_keys=(OLD, NEW))
    stockade = Stockade(chosen, sinks=[sink or MemorySink()])
    app = FastAPI()
    stockade.install(app)
    app.include_router(stockade.keys_router)
    return TestClient(app)


@pytest.mark.parametrize("algorithm", ["Ed25519", "EdDSA", "ES256", "RS256"])
def test_public_keys_are_for_everybody(algorithm: str) -> None:
    """All keys that verify are shown, named, and without anything private."""
    keys = (rsa_pem(0), rsa_pem(1)) if algorithm == "RS256" else ()
    with make_client(algorithm=algorithm, signing_keys=keys) as client:
        answer = client.get(PATH)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/jwk-set+json"
    assert answer.headers["cache-control"] == f"public, max-age={MAXIMUM_AGE}"
    keys = answer.json()["keys"]
    assert len({key["kid"] for key in keys}) == 2
    public = {"kty", "crv", "x", "y", "n", "e", "use", "kid", "alg"}
    assert all(key.keys() <= public and key["use"] == "sig" for key in keys)


def test_shared_secrets_are_shown_to_nobody() -> None:
    """There is nothing to show, and the event says why."""
    sink = MemorySink()
    with make_client(sink, algorithm="HS256") as client:
        answer = client.get(PATH)
    assert answer.status_code == 404
    assert "etag" not in answer.headers
    assert "authentication.keys_are_secret" in {event.reason for event in sink}


def test_a_shared_secret_among_public_keys_is_left_out() -> None:
    """While keys are replaced by those of another kind, the secret ones stay secret."""
    secret = {"kty": "oct", "kid": "old", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldC0"}
    keys = (json.dumps(secret), rsa_pem())
    with make_client(algorithm="RS256", signing_keys=keys) as client:
        text = client.get(PATH).text
    assert secret["k"] not in text
    assert [key["kty"] for key in json.loads(text)["keys"]] == ["RSA"]


def test_who_has_the_keys_is_told_so() -> None:
    """The entity tag is that of these very keys."""
    with make_client() as client, make_client(algorithm="ES256") as other:
        tag = client.get(PATH).headers["etag"]
        again = client.get(PATH, headers={"if-none-match": tag})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
        assert other.get(PATH, headers={"if-none-match": tag}).status_code == 200


@pytest.mark.parametrize(
    ("header", "known"),
    [
        (None, False),
        ("", False),
        ('"a"', True),
        ('W/"a"', True),
        ('"b", "a"', True),
        ("*", True),
        ('"b"', False),
        ("a", False),
        ('"a', False),
        ("\x00", False),
    ],
)
def test_if_none_match(header: str | None, known: bool) -> None:
    """Tags are compared weakly, one by one (RFC 9110, section 13.1.2)."""
    assert is_known(header, '"a"') is known
