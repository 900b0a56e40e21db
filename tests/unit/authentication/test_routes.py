import dataclasses
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from stockade import Settings, Stockade
from stockade.authentication import Account, BcryptHasher
from stockade.core import TenantId, UserId
from stockade.errors import StoreError
from stockade.events import LoggingSink, MemorySink
from stockade.storage.memory.accounts import MemoryAccountStore
from tests.unit.authentication.helpers import ANA, random_password

PASSWORD = random_password()
HASHER = BcryptHasher(cost=4)
BEA = dataclasses.replace(
    ANA, user_id=UserId("bea"), email="bea@example.com", password_hash=HASHER.hash(PASSWORD)
)
OFF = dataclasses.replace(BEA, user_id=UserId("off"), email="off@example.com", active=False)
RAW = PASSWORD.encode()
FORM = {"username": BEA.email, "password": PASSWORD}


class Bench:
    """An application with sign-in, and everything that it says."""

    def __init__(self, client: TestClient, sink: MemorySink, store: MemoryAccountStore) -> None:
        self.client = client
        self.sink = sink
        self.store = store

    def sign_in(self, **form: str) -> Any:  # noqa: ANN401 - a response
        """Send the form."""
        return self.client.post("/auth/token", data={**FORM, **form})

    def reasons(self) -> list[tuple[str, str | None]]:
        """Return what was recorded about sign-in."""
        return [
            (event.name.removeprefix("authentication."), event.reason)
            for event in self.sink
            if event.name.startswith("authentication.")
        ]


@pytest.fixture
def make(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[..., Bench]]:
    """Make applications; in the end no password is in any event or log record."""
    opened: list[TestClient] = []
    sinks: list[MemorySink] = []
    caplog.set_level(logging.DEBUG)

    def start(store: MemoryAccountStore | None = None, **settings: object) -> Bench:
        sink = MemorySink()
        accounts = store or MemoryAccountStore([ANA, BEA, OFF])
        stockade = Stockade(
            Settings(environment="test", authentication={"bcrypt_cost": 4, **settings}),
            accounts=accounts,
            sinks=[sink, LoggingSink()],
        )
        app = FastAPI()
        stockade.install(app)
        app.include_router(stockade.auth_router)
        client = TestClient(app, raise_server_exceptions=False)
        client.__enter__()
        opened.append(client)
        sinks.append(sink)
        return Bench(client, sink, accounts)

    yield start
    for client in opened:
        client.__exit__(None, None, None)
    said = repr([list(sink) for sink in sinks]) + "".join(
        f"{record.getMessage()} {vars(record)}" for record in caplog.records
    )
    assert PASSWORD not in said


@pytest.fixture
def bench(make: Callable[..., Bench]) -> Bench:
    """One application."""
    return make()


def test_the_right_password_gives_a_token(bench: Bench) -> None:
    """The answer has the form of RFC 6749, section 5.1, is not stored, and the token works."""
    answer = bench.sign_in()
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"
    granted = answer.json()
    assert granted.keys() == {"access_token", "token_type", "expires_in", "refresh_token"}
    assert (granted["token_type"], granted["expires_in"]) == ("bearer", 600)
    header = {"Authorization": f"Bearer {granted['access_token']}"}
    me = bench.client.get("/auth/me", headers=header)
    assert me.json() == {
        "user_id": "bea",
        "email": "bea@example.com",
        "user_type": "user",
        "active_tenant_id": "acme",
        "roles": ["member"],
    }
    assert bench.reasons() == [("login_succeeded", None)]
    (event,) = bench.sink.named("authentication.login_succeeded")
    assert event.details == {"user_id": "bea"}
    assert granted["access_token"] not in repr(list(bench.sink))


REFUSED = [
    ({"password": "guess"}, "wrong_password"),
    ({"password": "a" * 73}, "wrong_password"),
    ({"username": "ana@example.com", "password": "x"}, "wrong_password"),
    ({"username": "nobody@example.com"}, "unknown_account"),
    ({"username": "' OR 1=1 --"}, "unknown_account"),
    ({"username": "off@example.com"}, "account_inactive"),
]


@pytest.mark.parametrize(("form", "reason"), REFUSED, ids=[f"{r[1]}-{r[0]!a:.25}" for r in REFUSED])
def test_a_refused_sign_in_says_nothing(bench: Bench, form: dict[str, str], reason: str) -> None:
    """Unknown, wrong and inactive read the same; the exact reason is in the event."""
    answer = bench.sign_in(**form)
    assert answer.status_code == 400
    assert answer.json() == {
        "error": "invalid_grant",
        "error_description": "The address or the password is wrong.",
    }
    assert answer.headers["cache-control"] == "no-store"
    assert bench.reasons() == [("login_failed", f"authentication.{reason}")]
    known = {name for name in answer.headers if name != "x-request-id"}
    other = bench.sign_in(username="somebody@example.com")
    assert known == {name for name in other.headers if name != "x-request-id"}
    assert other.content == answer.content


@pytest.mark.parametrize(
    "form",
    [
        {"username": "a" * 255, "password": PASSWORD},
        {"username": BEA.email, "password": PASSWORD * 100},
        {**FORM, "grant_type": PASSWORD * 5},
        {**FORM, "refresh_token": PASSWORD * 500},
        {**FORM, "scope": PASSWORD * 100},
        {**FORM, "client_secret": PASSWORD * 100},
    ],
    ids=lambda form: ",".join(form) or "nothing",
)
def test_a_form_that_does_not_fit_repeats_nothing(bench: Bench, form: dict[str, str]) -> None:
    """Over-long fields are told by place and rule, before anything is hashed."""
    answer = bench.client.post("/auth/token", data=form)
    assert answer.status_code == 422
    assert PASSWORD not in answer.text
    assert bench.reasons() == []


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"username": BEA.email}, "invalid_request"),
        ({"password": PASSWORD}, "invalid_request"),
        ({}, "invalid_request"),
        ({"username": "", "password": PASSWORD}, "invalid_request"),
        ({"username": BEA.email, "password": ""}, "invalid_request"),
        ({"grant_type": "refresh_token"}, "invalid_request"),
        ({**FORM, "grant_type": "refresh_token"}, "invalid_request"),
        ({**FORM, "grant_type": "client_credentials"}, "unsupported_grant_type"),
        ({**FORM, "grant_type": PASSWORD}, "unsupported_grant_type"),
        ({"grant_type": "refresh_token", "refresh_token": PASSWORD}, "invalid_grant"),
    ],
)
def test_a_form_that_is_no_grant_gets_the_error_of_oauth(
    bench: Bench, form: dict[str, str], error: str
) -> None:
    """Clients of OAuth2 know these errors by name; nothing is repeated (RFC 6749, section 5.2)."""
    answer = bench.client.post("/auth/token", data=form)
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert answer.headers["cache-control"] == "no-store"
    assert PASSWORD not in answer.text


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (
            b'{"username": "bea@example.com", "password": "%b"}' % PASSWORD.encode(),
            "application/json",
        ),
        (b"username=bea@example.com&password=" + RAW, "text/plain"),
        (b"username=bea@example.com&password=" + PASSWORD.encode(), None),
        (PASSWORD.encode(), "multipart/form-data; boundary=x"),
        (PASSWORD.encode(), "multipart/form-data"),
        (b"%ff%ff=" + PASSWORD.encode(), "application/x-www-form-urlencoded"),
    ],
    ids=["json", "text", "untyped", "broken-multipart", "no-boundary", "not-utf-8"],
)
def test_anything_but_the_form_is_refused_without_echo(
    bench: Bench, content: bytes, kind: str | None
) -> None:
    """A password in a body that is not read is not sent back either."""
    headers = {} if kind is None else {"content-type": kind}
    answer = bench.client.post("/auth/token", content=content, headers=headers)
    assert answer.status_code in {400, 415, 422}
    assert answer.headers["content-type"] == "application/problem+json"
    assert PASSWORD not in answer.text
    assert "login_succeeded" not in str(bench.reasons())


@pytest.mark.parametrize("form", [{"password": PASSWORD + "\0"}, {"username": BEA.email + "\0"}])
def test_a_nul_is_refused_before_anything_is_hashed(bench: Bench, form: dict[str, str]) -> None:
    """C code would end there, so that the rest would not count."""
    answer = bench.sign_in(**form)
    assert answer.json()["errors"][0]["code"] == "string_unstorable"
    assert PASSWORD not in answer.text
    assert bench.reasons() == []


def test_credentials_in_the_address_are_not_read(bench: Bench) -> None:
    """A query ends up in logs of proxies; it signs nobody in."""
    answer = bench.client.post(f"/auth/token?username={BEA.email}&password=guess")
    assert answer.status_code == 400
    assert bench.client.get("/auth/token").status_code == 405


def test_a_field_given_twice_signs_in_nobody_else(bench: Bench) -> None:
    """Which of two passwords counts is nobody's guess (RFC 6749, section 3.2)."""
    body = f"username={BEA.email}&password=guess&password={PASSWORD}"
    kind = {"content-type": "application/x-www-form-urlencoded"}
    first = bench.client.post("/auth/token", content=body, headers=kind)
    second = bench.client.post(
        "/auth/token", content=f"username={ANA.email}&{body}&username={OFF.email}", headers=kind
    )
    assert [first.status_code, second.status_code] == [422, 422]
    assert first.json()["errors"][0] == {
        "pointer": "/body/password",
        "code": "repeated",
        "message": "Must not be sent more than once.",
    }


def test_an_upload_is_no_password(bench: Bench) -> None:
    """A file in a field's place does not fit."""
    answer = bench.client.post(
        "/auth/token", data={"username": BEA.email}, files={"password": ("x", PASSWORD.encode())}
    )
    assert answer.status_code == 422
    assert PASSWORD not in answer.text


def test_me_needs_a_token(bench: Bench) -> None:
    """Without a token, with another scheme and with a forged one nobody is told anything."""
    for header in ({}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer a.b.c"}):
        answer = bench.client.get("/auth/me", headers=header)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert [reason for _, reason in bench.reasons()] == [
        "authentication.no_credentials",
        "authentication.other_scheme",
        "authentication.token_malformed",
    ]


def test_a_deactivated_account_is_signed_out(make: Callable[..., Bench]) -> None:
    """Without a lifetime of identities a deactivated account stops at once."""
    bench = make(identity_cache_lifetime=0)
    header = {"Authorization": f"Bearer {bench.sign_in().json()['access_token']}"}
    assert bench.client.get("/auth/me", headers=header).status_code == 200
    bench.store.put(dataclasses.replace(BEA, active=False))
    answer = bench.client.get("/auth/me", headers=header)
    assert answer.status_code == 401
    assert answer.json()["code"] == "invalid_token"
    assert "inactive" not in answer.text


class AwayStore(MemoryAccountStore):
    """A store whose database is away."""

    async def find_by_email(self, email: str) -> Account | None:
        """Fail.

        Raises:
            StoreError: Always.
        """
        raise StoreError(email)

    async def find_by_id(self, user_id: UserId, tenant_id: TenantId | None) -> Account | None:
        """Fail.

        Raises:
            StoreError: Always.
        """
        raise StoreError(user_id)


def test_a_store_that_is_away_is_503(make: Callable[..., Bench]) -> None:
    """Neither sign-in nor a token is called wrong because the database is away."""
    bench = make(identity_cache_lifetime=0)
    header = {"Authorization": f"Bearer {bench.sign_in().json()['access_token']}"}
    bench.store.__class__ = AwayStore
    for answer in (bench.sign_in(), bench.client.get("/auth/me", headers=header)):
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        assert BEA.email not in answer.text
