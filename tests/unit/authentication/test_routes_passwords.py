import asyncio
import dataclasses
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from stockade import Settings, Stockade
from stockade.authentication import Account
from stockade.authentication.mails import AccountMails
from stockade.authentication.sessions import Client
from stockade.core.mail import Message
from stockade.errors import ConfigurationError
from stockade.events import MemorySink
from stockade.reporting import MemoryMailer
from stockade.storage.memory.accounts import MemoryAccountStore
from stockade.storage.sql import make_engine
from stockade.storage.sql.links import SQLLinkStore
from tests.unit.authentication.accounts import BARE, BEA, NEWCOMER, OFF, PASSWORD, token_in
from tests.unit.authentication.helpers import random_password

FRESH = random_password()
PAGES = "https://app.example.com"
HOSTS = ["testserver", "evil.example"]


class AccountsApp:
    """An application with every route of accounts, and everything that it mails and says."""

    def __init__(self, *, limited: bool = False, **settings: object) -> None:
        self.sink = MemorySink()
        self.mailer = MemoryMailer()
        self.store = MemoryAccountStore([BEA, OFF, BARE, NEWCOMER])
        given = {"bcrypt_cost": 4, "identity_cache_lifetime": 0, "pages_url": PAGES, **settings}
        self.stockade = Stockade(
            Settings(
                environment="test",
                web={"allowed_hosts": HOSTS},
                rate_limiting={"enabled": limited},
                authentication=given,
            ),
            accounts=self.store,
            mailer=self.mailer,
            sinks=[self.sink],
        )
        app = FastAPI()
        self.stockade.install(app)
        for router in (
            self.stockade.auth_router,
            self.stockade.password_router,
            self.stockade.registration_router,
            self.stockade.account_router,
            self.stockade.api_keys_router,
        ):
            app.include_router(router)
        self.client = TestClient(app, base_url="https://testserver", raise_server_exceptions=False)

    def mails(self) -> list[Message]:
        """Wait for what is under way, and return what was sent since the last time."""
        portal = self.client.portal
        assert portal is not None
        portal.call(self.stockade._wiring.errands.settle)
        sent = list(self.mailer.sent)
        self.mailer.sent.clear()
        return sent

    def post(self, path: str, body: object, **headers: str) -> Any:  # noqa: ANN401 - a response
        """Send JSON."""
        return self.client.post(f"/auth/{path}", json=body, headers=headers)

    def sign_in(self, password: str = PASSWORD, account: Account = BEA) -> Any:  # noqa: ANN401 - a response
        """Ask for tokens."""
        form = {"username": account.email, "password": password}
        return self.client.post("/auth/token", data=form)

    def bearer(self, granted: Any = None) -> dict[str, str]:  # noqa: ANN401 - an answer
        """Return the header of somebody who is signed in."""
        token = (granted or self.sign_in().json())["access_token"]
        return {"Authorization": f"Bearer {token}"}

    def me(self, headers: dict[str, str]) -> int:
        """Return the status of a request with a token."""
        status: int = self.client.get("/auth/me", headers=headers).status_code
        return status

    def reasons(self) -> set[str | None]:
        """Return the reasons that were recorded."""
        return {event.reason for event in self.sink}

    def link(self, path: str = "password/forgot", email: str = BEA.email) -> str:
        """Ask for a link, and return its token."""
        assert self.post(path, {"email": email}).status_code == 202
        (message,) = self.mails()
        return token_in(message)


@pytest.fixture
def make() -> Iterator[Callable[..., AccountsApp]]:
    """Make applications; in the end no password is in any event."""
    made: list[AccountsApp] = []

    def start(**settings: Any) -> AccountsApp:  # noqa: ANN401 - any setting
        app = AccountsApp(**settings)
        app.client.__enter__()
        made.append(app)
        return app

    yield start
    for app in made:
        app.client.__exit__(None, None, None)
        said = repr(list(app.sink))
        assert PASSWORD not in said
        assert FRESH not in said
        assert "stkl_" not in said


@pytest.fixture
def app(make: Callable[..., AccountsApp]) -> AccountsApp:
    """One application."""
    return make(registration="open")


def shown(answer: Any) -> tuple[int, bytes, set[str]]:  # noqa: ANN401 - a response
    """Return what a client can tell answers apart by."""
    return answer.status_code, answer.content, set(answer.headers)


OTHERS = [
    "nobody@example.org",
    OFF.email,
    BARE.email,
    "no address",
    "a@b\nBcc: c@d",
    "Ё" * 99,
]


@pytest.mark.parametrize("email", OTHERS, ids=ascii)
def test_the_answer_is_the_same_for_every_address(app: AccountsApp, email: str) -> None:
    """Status, body and headers tell nothing; the mail goes to the owner of an account alone."""
    known = app.post("password/forgot", {"email": BEA.email})
    assert (known.status_code, known.content) == (202, b"")
    assert known.headers["cache-control"] == "no-store"
    assert [message.to for message in app.mails()] == [BEA.email]
    assert shown(app.post("password/forgot", {"email": email})) == shown(known)
    # An account without a password gets its first one this way.
    expected = [BARE.email] if email == BARE.email else []
    assert [message.to for message in app.mails()] == expected


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"X-Forwarded-Host": "evil.example"},
        {"Forwarded": "host=evil.example"},
        {"Origin": "https://evil.example", "Referer": "https://evil.example/"},
    ],
    ids=lambda headers: next(iter(headers)),
)
@pytest.mark.parametrize(
    ("path", "email"), [("password/forgot", BEA.email), ("register", "new@example.org")]
)
def test_a_request_does_not_choose_where_links_lead(
    app: AccountsApp, path: str, email: str, headers: dict[str, str]
) -> None:
    """The settings do."""
    assert app.post(path, {"email": email}, **headers).status_code == 202
    (message,) = app.mails()
    assert f"\n{PAGES}/" in message.text
    assert "evil" not in message.text + message.subject


def test_a_reset_signs_everybody_out_and_nobody_in(app: AccountsApp) -> None:
    """The old access token, refresh token and password are worth nothing."""
    granted = app.sign_in().json()
    body = {"token": app.link(), "password": FRESH}
    answer = app.post("password/reset", body)
    assert (answer.status_code, answer.content) == (204, b"")
    assert "set-cookie" not in answer.headers
    assert app.me(app.bearer(granted)) == 401
    refreshed = app.post("refresh", {"refresh_token": granted["refresh_token"]})
    assert refreshed.status_code == 401
    assert app.sign_in().status_code == 400
    assert app.sign_in(FRESH).status_code == 200
    assert [message.to for message in app.mails()] == [BEA.email]
    again = app.post("password/reset", body)
    assert (again.status_code, again.json()["code"]) == (422, "invalid_link")


@pytest.mark.parametrize(
    "token", ["x", "stkl_" + "A" * 43, "stkl_" + "A" * 42 + "B", "é", "a.b.c"], ids=ascii
)
@pytest.mark.parametrize("path", ["password/reset", "verify"])
def test_what_is_no_link_reads_the_same(app: AccountsApp, path: str, token: str) -> None:
    """Made up, malformed or of another kind: one answer, whatever the password is."""
    answers = [
        app.post(path, {"token": token, "password": password}) for password in (FRESH, "weak")
    ]
    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_link")
        assert answer.json()["detail"] == answers[0].json()["detail"]
        assert token not in answer.text or len(token) == 1


def test_tokens_do_not_stand_for_each_other(app: AccountsApp) -> None:
    """A link is no access token and no refresh token, and neither is a link."""
    granted = app.sign_in().json()
    link = app.link()
    assert app.me({"Authorization": f"Bearer {link}"}) == 401
    assert app.post("refresh", {"refresh_token": link}).status_code == 401
    for token in (granted["access_token"], granted["refresh_token"]):
        answer = app.post("password/reset", {"token": token, "password": FRESH})
        assert answer.status_code == 422
        assert app.post("verify", {"token": token, "password": FRESH}).status_code == 422
    registration = app.link("register", "new@example.org")
    crossed = app.post("password/reset", {"token": registration, "password": FRESH})
    assert crossed.json()["code"] == "invalid_link"
    assert app.post("verify", {"token": link, "password": FRESH}).json()["code"] == "invalid_link"
    assert app.post("password/reset", {"token": link, "password": FRESH}).status_code == 204


def test_a_weak_password_is_named_and_not_repeated(app: AccountsApp) -> None:
    """The link still holds after it."""
    token = app.link()
    weak = "passwordpassword"
    answer = app.post("password/reset", {"token": token, "password": weak})
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["code"].startswith("password_")
    assert weak not in answer.text
    assert "authentication.password_refused" in app.reasons()
    assert app.post("password/reset", {"token": token, "password": FRESH}).status_code == 204


def begin(app: AccountsApp, account: Account, age: timedelta = timedelta()) -> dict[str, str]:
    """Return the header of somebody who has signed in without a password, as at a provider."""

    async def grant() -> str:
        sessions = app.stockade._sign_in.require_services().sessions
        then = datetime.now(UTC) - age
        made = await sessions.begin(account, Client(), authenticated_at=then)
        return made.access.value

    portal = app.client.portal
    assert portal is not None
    return {"Authorization": f"Bearer {portal.call(grant)}"}


def test_an_account_without_a_password_sets_one(app: AccountsApp) -> None:
    """Every session ends but the new one, the owner is told, and it is set once."""
    there, here = begin(app, BARE), begin(app, BARE)
    weak = app.post("password/set", {"new_password": "passwordpassword"}, **here)
    assert (weak.status_code, app.me(here)) == (422, 200)
    granted = app.post("password/set", {"new_password": FRESH}, **here)
    assert granted.status_code == 200
    assert (app.me(there), app.me(here), app.me(app.bearer(granted.json()))) == (401, 401, 200)
    assert app.sign_in(FRESH, BARE).status_code == 200
    subjects = {message.subject for message in app.mails() if message.to == BARE.email}
    assert "Your password for app.example.com was changed" in subjects
    assert "authentication.password_set" in app.reasons()
    again = app.post("password/set", {"new_password": FRESH}, **begin(app, BARE))
    assert again.status_code in {401, 403}


def test_a_password_that_is_there_is_not_set_anew(app: AccountsApp) -> None:
    """Whoever finds a browser open, or has stolen a fresh token, does not replace it."""
    answer = app.post("password/set", {"new_password": FRESH}, **app.bearer())
    assert answer.status_code == 403
    assert "authentication.password_there" in app.reasons()
    assert (app.sign_in().status_code, app.sign_in(FRESH).status_code) == (200, 400)


def test_a_first_password_needs_a_fresh_sign_in_of_a_person(app: AccountsApp) -> None:
    """No stranger, no session of yesterday, no key of a program."""
    body = {"new_password": FRESH}
    assert app.post("password/set", body).status_code == 401
    stale = app.post("password/set", body, **begin(app, BARE, timedelta(minutes=16)))
    assert (stale.status_code, stale.json()["code"]) == (401, "step_up_required")
    made = app.post("api-keys", {"name": "robot"}, **begin(app, BARE)).json()
    keys = {"X-CLIENT-ID": made["client_id"], "X-API-KEY": made["api_key"]}
    assert app.post("password/set", body, **keys).status_code in {401, 403}
    assert app.sign_in(FRESH, BARE).status_code == 400


def test_of_those_who_set_one_at_once_one_does(app: AccountsApp) -> None:
    """Two requests with two passwords leave one of them, and one session."""
    header = begin(app, BARE)
    wanted = [random_password() for _ in range(4)]

    def send(password: str) -> int:
        body = {"new_password": password}
        status: int = app.post("password/set", body, **header).status_code
        return status

    with ThreadPoolExecutor(4) as threads:
        done = list(threads.map(send, wanted))
    assert done.count(200) == 1
    chosen = [app.sign_in(password, BARE).status_code for password in wanted]
    assert chosen.count(200) == 1
    assert chosen.index(200) == done.index(200)


def test_an_account_without_a_password_closes_itself(app: AccountsApp) -> None:
    """With a sign-in of just now, as any other."""
    stale = begin(app, BARE, timedelta(minutes=16))
    assert app.client.delete("/auth/account", headers=stale).status_code == 401
    assert app.client.delete("/auth/account", headers=begin(app, BARE)).status_code == 204
    assert app.me(stale) == 401


def bodies() -> Iterator[tuple[str, object]]:
    """Yield paths and what they do not take."""
    for path, fields in (
        ("password/forgot", ("email",)),
        ("password/reset", ("token", "password", "keep_identities")),
        ("register", ("email",)),
        ("verify", ("token", "password")),
        ("email/allow", ("token",)),
        ("email/confirm", ("token",)),
    ):
        values: tuple[object, ...] = ("", 1, None, ["canary"], {"$gt": ""}, "canary" * 2000)
        for value in values:
            yield path, dict.fromkeys(fields, value)
        plain: dict[str, object] = dict.fromkeys(fields, "ana@example.org")
        more: tuple[object, ...] = ({**plain, "user_id": "bea"}, {**plain, "is_admin": True})
        for body in (None, [], "x", {}, *more):
            yield path, body


@pytest.mark.parametrize(("path", "body"), list(bodies()))
def test_another_body_does_not_fit(app: AccountsApp, path: str, body: object) -> None:
    """Nothing of it comes back, and nothing is mailed."""
    answer = app.post(path, body)
    assert answer.status_code == 422
    assert "canary" not in answer.text
    assert app.mails() == []


@pytest.mark.parametrize("path", ["password/forgot", "password/reset", "password/change"])
def test_a_token_in_the_address_is_no_way_in(app: AccountsApp, path: str) -> None:
    """A link that is opened, such as by a scanner of mails, uses nothing up."""
    token = app.link()
    url = f"/auth/{path}?token={token}&password={FRESH}"
    assert app.client.get(url).status_code in {401, 404, 405}
    assert app.client.post(url).status_code in {401, 422}
    assert app.post("password/reset", {"token": token, "password": FRESH}).status_code == 204


def test_a_change_gives_new_tokens(app: AccountsApp) -> None:
    """Those of before end, on this device as well: a copy of them is worth nothing."""
    here, there = app.bearer(), app.bearer()
    body = {"current_password": PASSWORD, "new_password": FRESH}
    answer = app.post("password/change", body, **here)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert (app.me(here), app.me(there)) == (401, 401)
    assert app.me(app.bearer(answer.json())) == 200
    assert app.sign_in(FRESH).status_code == 200
    assert [message.to for message in app.mails()] == [BEA.email]


def test_a_wrong_current_password_signs_nobody_out(app: AccountsApp) -> None:
    """It is 403 and not 401, which a front end would take for the end of the session."""
    here = app.bearer()
    body = {"current_password": "guess", "new_password": FRESH}
    answer = app.post("password/change", body, **here)
    assert (answer.status_code, answer.json()["code"]) == (403, "wrong_password")
    assert app.me(here) == 200
    assert "authentication.wrong_password" in app.reasons()
    assert app.mails() == []


def test_a_stranger_changes_nothing(app: AccountsApp) -> None:
    """Before the body is read."""
    assert app.post("password/change", {"x": 1}).status_code == 401


def test_a_program_changes_no_password(app: AccountsApp) -> None:
    """Not even with the right one."""
    made = app.post("api-keys", {"name": "robot"}, **app.bearer()).json()
    keys = {"X-CLIENT-ID": made["client_id"], "X-API-KEY": made["api_key"]}
    body = {"current_password": PASSWORD, "new_password": FRESH}
    assert app.post("password/change", body, **keys).status_code == 403


def test_a_browser_gets_a_new_cookie(make: Callable[..., AccountsApp]) -> None:
    """The one of before is worth nothing, and no other site changes a password."""
    app = make(cookies=True)
    own = {"Sec-Fetch-Site": "same-origin"}
    assert app.post("login", {"email": BEA.email, "password": PASSWORD}, **own).status_code == 204
    before = dict(app.client.cookies)
    body = {"current_password": PASSWORD, "new_password": FRESH}
    crossed = app.post("password/change", body, **{"Sec-Fetch-Site": "cross-site"})
    assert crossed.status_code == 403
    answer = app.post("password/change", body, **own)
    assert (answer.status_code, answer.content) == (204, b"")
    attributes = answer.headers["set-cookie"]
    assert all(word in attributes for word in ("HttpOnly", "Secure", "SameSite=Lax", "Path=/"))
    assert dict(app.client.cookies) != before
    assert app.me({}) == 200
    app.client.cookies.clear()
    app.client.cookies.update(before)
    assert app.me({}) == 401


def test_a_mailbox_is_not_flooded(make: Callable[..., AccountsApp]) -> None:
    """The limit is the same for an address that is nobody's."""
    app = make(limited=True, mails_per_address=2)
    answers = []
    for email in (BEA.email, "nobody@example.org"):
        for _ in range(2):
            assert app.post("password/forgot", {"email": email}).status_code == 202
        answers.append(app.post("password/forgot", {"email": email}))
    assert [answer.status_code for answer in answers] == [429, 429]
    assert answers[0].json()["code"] == answers[1].json()["code"]
    assert answers[0].headers["retry-after"] == answers[1].headers["retry-after"]
    assert len(app.mails()) == 2


# --- At the start -----------------------------------------------------------------------------


class ReadOnlyAccounts:
    """Accounts that nobody can change."""

    async def find_by_email(self, _email: str) -> None:
        """Return None."""

    async def find_by_id(self, _user_id: str, _tenant_id: str | None) -> None:
        """Return None."""

    async def replace_password_hash(self, _user_id: str, *, old: str, new: str) -> bool:
        """Return False."""
        return False


SMTP: dict[str, object] = {"smtp_url": "smtps://mail.example.com", "sender": "no-reply@example.com"}
MISTAKES: list[tuple[dict[str, object], dict[str, object], object, str]] = [
    ({}, SMTP, MemoryAccountStore(), "PAGES_URL"),
    ({"pages_url": "http://app.example.com"}, SMTP, MemoryAccountStore(), "https"),
    ({"pages_url": PAGES}, {}, MemoryAccountStore(), "SMTP_URL"),
    ({"pages_url": PAGES}, SMTP, ReadOnlyAccounts(), "WritableAccountStore"),
    ({"pages_url": PAGES}, SMTP, MemoryAccountStore(), "links="),
]


@pytest.mark.parametrize("router", ["password_router", "registration_router", "account_router"])
@pytest.mark.parametrize(
    ("authentication", "reporting", "accounts", "told"), MISTAKES, ids=[m[3] for m in MISTAKES]
)
def test_what_is_missing_stops_the_start(
    authentication: dict[str, object],
    reporting: dict[str, object],
    accounts: Any,  # noqa: ANN401 - two kinds of stores
    told: str,
    router: str,
) -> None:
    """Nobody finds out by a mail that never comes; without these routes nothing is asked for."""
    settings = Settings(
        environment="production",
        secret_keys=[secrets.token_urlsafe(48)],
        web={"allowed_hosts": ["example.com"]},
        authentication=authentication,
        reporting=reporting,
    )
    for included in (False, True):
        app = FastAPI()
        stockade = Stockade(settings, accounts=accounts, sinks=[])
        stockade.install(app)
        if included:
            app.include_router(getattr(stockade, router))
            with pytest.raises(ConfigurationError) as caught:
                asyncio.run(stockade.start())
            assert told in str(caught.value)
        else:
            asyncio.run(stockade.start())
        asyncio.run(stockade.stop())


def test_links_of_other_words_need_tls_as_well() -> None:
    """Mails of one's own lead to pages that nobody listens in on."""
    settings = Settings(
        environment="production",
        secret_keys=[secrets.token_urlsafe(48)],
        web={"allowed_hosts": ["example.com"]},
    )
    app = FastAPI()
    stockade = Stockade(
        settings,
        accounts=MemoryAccountStore(),
        links=SQLLinkStore(make_engine("sqlite://")),
        mailer=MemoryMailer(),
        mails=AccountMails("http://app.example.com"),
        sinks=[],
    )
    stockade.install(app)
    app.include_router(stockade.password_router)
    with pytest.raises(ConfigurationError) as caught:
        asyncio.run(stockade.start())
    assert "https" in str(caught.value)


@pytest.mark.parametrize(
    "pages_url",
    [
        "",
        "app.example.com",
        "javascript:alert(1)",
        "https://app.example.com/",
        "https://app.example.com/?next=",
        "https://app.example.com/#",
        "https://user:canary@app.example.com",
        "https://app.example.com\n",
        "https://app.example.com /x",
    ],
    ids=ascii,
)
def test_links_begin_with_a_plain_address(pages_url: str) -> None:
    """What is put behind it has to stay behind it."""
    with pytest.raises(ConfigurationError) as caught:
        Settings(environment="test", authentication={"pages_url": pages_url})
    assert "canary" not in str(caught.value)


def test_an_account_of_the_store_shows_no_hash() -> None:
    """Logging what a change returns does not log a hash."""
    assert BEA.password_hash not in repr(dataclasses.replace(BEA))
