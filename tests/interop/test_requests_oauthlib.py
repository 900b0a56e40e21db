"""requests-oauthlib's client signs in, calls, refreshes, asks and revokes."""

import time

import pytest
import requests
from oauthlib.oauth2 import InvalidGrantError, LegacyApplicationClient
from requests_oauthlib import OAuth2Session

from tests.interop.served import EMAIL, Served


def make_session(served: Served, **options: object) -> OAuth2Session:
    """Make a client that has signed in."""
    session = OAuth2Session(client=LegacyApplicationClient("web"), **options)
    session.fetch_token(
        served.url("/auth/token"),
        username=EMAIL,
        password=served.password,
        include_client_id=True,
    )
    return session


def ask(served: Served, token: str, hint: str) -> dict[str, object]:
    """Ask about a token, as a service without a library for it does."""
    answer = requests.post(
        served.url("/auth/introspect"),
        data={"token": token, "token_type_hint": hint},
        auth=(served.client_id, served.key),
        timeout=30,
    )
    assert answer.status_code == 200
    told: dict[str, object] = answer.json()
    return told


def test_a_token_opens_a_route(served: Served) -> None:
    """The client takes both tokens out of the answer and sends the one for access."""
    with make_session(served) as session:
        answer = session.get(served.url("/notes"))
        assert (answer.status_code, answer.json()) == (200, EMAIL)
        assert session.authorized


def test_a_wrong_password_is_an_error_of_oauth(served: Served) -> None:
    """The client has a class for it."""
    session = OAuth2Session(client=LegacyApplicationClient("web"))
    with session, pytest.raises(InvalidGrantError):
        session.fetch_token(served.url("/auth/token"), username=EMAIL, password="wrong")


def test_an_expired_token_is_refreshed_by_itself(served: Served) -> None:
    """The client exchanges the refresh token, keeps the new one, and calls with the new token."""
    kept: list[dict[str, object]] = []
    options = {"auto_refresh_url": served.url("/auth/token"), "token_updater": kept.append}
    with make_session(served, **options) as session:
        before = session.token["refresh_token"]
        session.token = {**session.token, "expires_at": time.time() - 1}
        assert session.get(served.url("/notes")).status_code == 200
        assert len(kept) == 1
        assert session.token["refresh_token"] != before


def test_a_refresh_token_is_used_once(served: Served) -> None:
    """The second use is OAuth's own error."""
    with make_session(served) as session:
        used = session.token["refresh_token"]
        session.refresh_token(served.url("/auth/token"))
        with pytest.raises(InvalidGrantError):
            session.refresh_token(served.url("/auth/token"), refresh_token=used)


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_a_revoked_token_is_over_everywhere(served: Served, kind: str) -> None:
    """The library writes the request of RFC 7009; a service is told at once."""
    with make_session(served) as session:
        token = session.token[kind]
        assert ask(served, token, kind)["active"] is True
        url, headers, body = session._client.prepare_token_revocation_request(
            served.url("/auth/revoke"), token, token_type_hint=kind
        )
        assert requests.post(url, data=body, headers=headers, timeout=30).status_code == 200
        assert ask(served, token, kind) == {"active": False}
        with pytest.raises(InvalidGrantError):
            session.refresh_token(served.url("/auth/token"))
