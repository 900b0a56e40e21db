"""Authlib's client signs in, calls, refreshes, asks and revokes."""

import time

import pytest
import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session

from tests.interop.served import EMAIL, Served


def make_session(served: Served, **options: object) -> OAuth2Session:
    """Make a client that has signed in."""
    session = OAuth2Session("web", token_endpoint=served.url("/auth/token"), **options)
    session.fetch_token(username=EMAIL, password=served.password)
    return session


def make_service(served: Served) -> OAuth2Session:
    """Make the client of a service, which authenticates by HTTP Basic."""
    return OAuth2Session(served.client_id, served.key)


def test_a_token_opens_a_route(served: Served) -> None:
    """The client takes the type, the lifetime and both tokens out of the answer."""
    with make_session(served) as session:
        answer = session.get(served.url("/notes"))
        assert (answer.status_code, answer.json()) == (200, EMAIL)
        assert session.token["token_type"] == "bearer"
        assert session.token["expires_at"] > time.time()


def test_a_wrong_password_is_an_error_of_oauth(served: Served) -> None:
    """The client knows it by its code."""
    with OAuth2Session("web", token_endpoint=served.url("/auth/token")) as session:
        with pytest.raises(OAuthError) as caught:
            session.fetch_token(username=EMAIL, password="wrong")
        assert caught.value.error == "invalid_grant"


def test_an_expired_token_is_refreshed_by_itself(served: Served) -> None:
    """The client exchanges the refresh token, keeps the new one, and calls with the new token."""
    kept: list[dict[str, object]] = []
    with make_session(served, update_token=lambda token, **_old: kept.append(token)) as session:
        before = session.token["refresh_token"]
        session.token["expires_at"] = int(time.time()) - 1
        assert session.get(served.url("/notes")).status_code == 200
        assert len(kept) == 1
        assert session.token["refresh_token"] != before
        session.refresh_token()
        assert session.get(served.url("/notes")).status_code == 200


def test_a_refresh_token_is_used_once(served: Served) -> None:
    """The client gets OAuth's own error, and the session has ended for both."""
    with make_session(served) as session, OAuth2Session("web") as thief:
        stolen = session.token["refresh_token"]
        session.refresh_token()
        with pytest.raises(OAuthError) as caught:
            thief.refresh_token(served.url("/auth/token"), refresh_token=stolen)
        assert caught.value.error == "invalid_grant"
        with pytest.raises(OAuthError):
            session.refresh_token()


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_a_revoked_token_is_over_everywhere(served: Served, kind: str) -> None:
    """A service is told so at once, and so is whoever calls a second later."""
    introspection = served.url("/auth/introspect")
    with make_session(served) as session, make_service(served) as service:
        token = session.token[kind]
        asked = service.introspect_token(introspection, token=token, token_type_hint=kind)
        told = asked.json()
        assert (told["active"], told["username"]) == (True, EMAIL)
        revoked = session.revoke_token(
            served.url("/auth/revoke"), token=token, token_type_hint=kind
        )
        assert revoked.status_code == 200
        asked = service.introspect_token(introspection, token=token, token_type_hint=kind)
        assert asked.json() == {"active": False}
        with pytest.raises(OAuthError):
            session.refresh_token()


def test_a_service_with_a_wrong_key_is_told_nothing(served: Served) -> None:
    """The answer is 401 with a challenge of the scheme that the client used."""
    with make_session(served) as session, OAuth2Session(served.client_id, "stks_wrong") as service:
        token = session.token["access_token"]
        answer: requests.Response = service.introspect_token(
            served.url("/auth/introspect"), token=token
        )
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Basic ")
        assert EMAIL not in answer.text
