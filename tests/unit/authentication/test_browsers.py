import dataclasses
import secrets
from collections.abc import Iterator
from http.cookies import SimpleCookie
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, WebSocket
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from stockade import Principal, Settings, Stockade, current_principal
from stockade.authentication import BcryptHasher
from stockade.core import UserId
from stockade.errors import ConfigurationError
from stockade.events import MemorySink
from stockade.storage.memory.accounts import MemoryAccountStore
from tests.clock import FrozenClock
from tests.unit.authentication.helpers import ANA, random_password

PASSWORD = random_password()
HASHER = BcryptHasher(cost=4)
BEA = dataclasses.replace(
    ANA, user_id=UserId("bea"), email="bea@example.com", password_hash=HASHER.hash(PASSWORD)
)
HOST = "https://testserver"
NAME = "__Host-stockade"
OWN = {"Sec-Fetch-Site": "same-origin"}
TRUSTED = "https://app.example.com"


class Bench:
    """An application for browsers."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - settings
        self.clock = FrozenClock()
        self.sink = MemorySink()
        self.accounts = MemoryAccountStore([BEA])
        values = {
            "bcrypt_cost": 4,
            "cookies": True,
            "identity_cache_lifetime": 0,
            "trusted_origins": [TRUSTED],
            **settings,
        }
        self.stockade = Stockade(
            Settings(environment="test", authentication=values),
            accounts=self.accounts,
            sinks=[self.sink],
            clock=self.clock,
        )
        app = FastAPI()
        self.stockade.install(app)
        app.include_router(self.stockade.auth_router)

        @app.post("/change")
        async def change(caller: Annotated[Principal, Depends(current_principal)]) -> str:
            return caller.method

        @app.websocket("/socket")
        async def socket(
            websocket: WebSocket, caller: Annotated[Principal, Depends(current_principal)]
        ) -> None:
            await websocket.accept()
            await websocket.send_text(caller.user_id)
            await websocket.close()

        # Cookies are sent by hand: what a browser would send is what is tested.
        self.client = TestClient(app, base_url=HOST, raise_server_exceptions=False)

    def sign_in(self, headers: dict[str, str] | None = None, **body: str) -> Any:  # noqa: ANN401
        """Send the password."""
        login = {"email": BEA.email, "password": PASSWORD, **body}
        answer = self.client.post("/auth/login", json=login, headers=OWN | (headers or {}))
        self.client.cookies.clear()
        return answer

    def cookie(self) -> dict[str, str]:
        """Sign in, and return what a browser sends from then on."""
        value = SimpleCookie(self.sign_in().headers["set-cookie"])[NAME].value
        return {"Cookie": f"{NAME}={value}"}

    def reason(self) -> str:
        """Return the reason of the last event."""
        return str(list(self.sink)[-1].reason).removeprefix("authentication.")

    def get(self, headers: dict[str, str]) -> int:
        """Return the status of a safe request."""
        status: int = self.client.get("/auth/me", headers=headers).status_code
        return status

    def post(self, headers: dict[str, str], path: str = "/change") -> int:
        """Return the status of a request that changes something."""
        status: int = self.client.post(path, headers=headers).status_code
        return status


@pytest.fixture
def bench() -> Iterator[Bench]:
    """One application."""
    made = Bench()
    with made.client:
        yield made


def test_the_cookie_can_be_neither_read_nor_planted(bench: Bench) -> None:
    """No script reads it, no plain connection carries it, no neighbour sets it."""
    answer = bench.sign_in()
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["cache-control"] == "no-store"
    morsel = SimpleCookie(answer.headers["set-cookie"])[NAME]
    assert (morsel["path"], morsel["domain"], morsel["samesite"]) == ("/", "", "Lax")
    assert morsel["secure"]
    assert morsel["httponly"]
    assert int(morsel["max-age"]) == 30 * 24 * 3600
    assert morsel.value not in repr(list(bench.sink))


def test_the_cookie_signs_in(bench: Bench) -> None:
    """The caller is the same as with a token."""
    cookie = bench.cookie()
    me = bench.client.get("/auth/me", headers=cookie).json()
    assert (me["user_id"], me["active_tenant_id"]) == ("bea", "acme")
    assert bench.client.post("/change", headers=cookie | OWN).json() == "cookie"


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": ""}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": HOST}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": TRUSTED}, True),
        ({"Origin": TRUSTED}, True),
        ({"Origin": HOST}, True),
        ({"Origin": "http://testserver"}, False),
        ({"Origin": "https://testserver.evil.example"}, False),
        ({"Origin": "https://eviltestserver"}, False),
        ({"Origin": "https://testserver:8443"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": ""}, False),
        ({"Referer": HOST}, False),
        ({}, False),
        ({"X-CSRF-Token": ""}, False),
        ({"X-CSRF-Token": "0" * 64}, False),
    ],
)
def test_another_site_changes_nothing(bench: Bench, headers: dict[str, str], passes: bool) -> None:
    """What changes something has to come from here, or from an origin that is trusted."""
    cookie = bench.cookie()
    assert bench.post(cookie | headers) == (200 if passes else 403)
    if not passes:
        assert bench.reason() == "cross_site"
    # Reading is for anybody that the browser lets read the answer.
    assert bench.get(cookie | headers) == 200


def test_the_token_stands_in_where_nothing_else_is_said(bench: Bench) -> None:
    """It belongs to one session, and does not outweigh what the browser says."""
    cookie, other = bench.cookie(), bench.cookie()
    answer = bench.client.get("/auth/csrf", headers=cookie)
    assert answer.headers["cache-control"] == "no-store"
    token = {"X-CSRF-Token": answer.json()["csrf_token"]}
    assert bench.post(cookie | token) == 200
    assert bench.post(other | token) == 403
    assert bench.post(cookie | token | {"Sec-Fetch-Site": "cross-site"}) == 403
    assert bench.post(cookie | token | {"Origin": "https://evil.example"}) == 403


def test_a_websocket_has_to_come_from_here(bench: Bench) -> None:
    """No other rule of browsers keeps pages from opening one to any site."""
    cookie = bench.cookie()
    with bench.client.websocket_connect(
        "wss://testserver/socket", headers=cookie | {"Origin": HOST}
    ) as socket:
        assert socket.receive_text() == "bea"
    for origin in ({"Origin": "https://evil.example"}, {}):
        with (
            pytest.raises(WebSocketDisconnect),
            bench.client.websocket_connect("wss://testserver/socket", headers=cookie | origin),
        ):
            pass


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}]
)
def test_another_site_signs_nobody_in(bench: Bench, headers: dict[str, str]) -> None:
    """Not as somebody else either."""
    answer = bench.sign_in(headers)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_a_form_signs_nobody_in(bench: Bench) -> None:
    """A page of another site can send forms, and no JSON."""
    for kind in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data"):
        answer = bench.client.post(
            "/auth/login", content=b'{"email": "a"}', headers=OWN | {"content-type": kind}
        )
        assert answer.status_code == 415


@pytest.mark.parametrize("body", [{"password": "guess"}, {"email": "nobody@example.com"}])
def test_a_refused_sign_in_says_nothing(bench: Bench, body: dict[str, Any]) -> None:
    """Unknown and wrong read the same, and no cookie is set."""
    answer = bench.sign_in(**body)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")
    assert answer.json()["detail"] == "Sign in to do this."
    assert "set-cookie" not in answer.headers
    assert "authentication.login_failed" in {event.name for event in bench.sink}


def test_a_sign_in_ends_the_session_before_it(bench: Bench) -> None:
    """A planted session is not taken over, and a browser has one session."""
    before = bench.cookie()
    answer = bench.sign_in(before)
    after = SimpleCookie(answer.headers["set-cookie"])[NAME].value
    assert f"{NAME}={after}" != before["Cookie"]
    assert (bench.get(before), bench.get({"Cookie": f"{NAME}={after}"})) == (401, 200)


def test_signing_out_ends_it(bench: Bench) -> None:
    """On the server, and in the browser."""
    cookie = bench.cookie()
    answer = bench.client.post("/auth/sign-out", headers=cookie | OWN)
    assert answer.status_code == 204
    assert SimpleCookie(answer.headers["set-cookie"])[NAME]["max-age"] == "0"
    assert answer.headers["clear-site-data"] == '"cache", "storage"'
    assert bench.get(cookie) == 401


def test_another_site_signs_nobody_out(bench: Bench) -> None:
    """It is a change like any other."""
    cookie = bench.cookie()
    assert bench.post(cookie | {"Sec-Fetch-Site": "cross-site"}, "/auth/sign-out") == 403
    assert bench.get(cookie) == 200


@pytest.mark.parametrize(
    "value", ["", "x", "stkk_" + "A" * 91, "stkr_" + "A" * 91, "é", '"x"', "x" * 9000]
)
def test_a_made_up_cookie_is_401(bench: Bench, value: str) -> None:
    """Whatever is in it."""
    headers: Any = [(b"cookie", f"{NAME}={value}".encode())]
    assert bench.client.get("/auth/me", headers=headers).status_code == 401


def test_two_cookies_of_the_name_are_refused(bench: Bench) -> None:
    """Whichever counted, another reader could take the other one."""
    cookie = bench.cookie()["Cookie"]
    for double in (f"{cookie}; {cookie}", f"{NAME}=x; {cookie}"):
        assert bench.get({"Cookie": double}) == 400
    for other in (f"a=b; {cookie}", f"{cookie}; x{NAME}=y", f" {cookie} ;"):
        assert bench.get({"Cookie": other}) == 200


def test_what_the_page_says_itself_counts(bench: Bench) -> None:
    """A token in the header decides, and a cookie beside it is no second caller."""
    cookie = bench.cookie()
    assert bench.get(cookie | {"Authorization": "Bearer x"}) == 401
    form = {"username": BEA.email, "password": PASSWORD}
    token = bench.client.post("/auth/token", data=form).json()["access_token"]
    bearer = {"Authorization": f"Bearer {token}"}
    # No page of another site can send it, so that nothing has to show where it comes from.
    assert bench.client.post("/change", headers=cookie | bearer).json() == "bearer"


@pytest.mark.parametrize(
    "change", [{"active": False}, {"token_epoch": 4}, {"tenant_id": None, "roles": frozenset()}]
)
def test_the_account_has_to_back_it(bench: Bench, change: dict[str, Any]) -> None:
    """What ends the account's tokens ends its cookies."""
    cookie = bench.cookie()
    bench.accounts._accounts[:] = [dataclasses.replace(BEA, **change)]
    assert bench.get(cookie) == 401


def test_it_ends_when_it_is_idle_and_in_any_case(bench: Bench) -> None:
    """Use keeps it, and nothing keeps it beyond its lifetime."""
    cookie = bench.cookie()
    for _ in range(4):
        bench.clock.advance(6 * 24 * 3600)
        assert bench.get(cookie) == 200
    bench.clock.advance(6 * 24 * 3600)
    assert bench.get(cookie) == 401
    cookie = bench.cookie()
    bench.clock.advance(7 * 24 * 3600)
    assert bench.get(cookie) == 401


def test_sessions_of_browsers_are_listed(bench: Bench) -> None:
    """Beside all others, and this one is marked."""
    cookie = bench.cookie()
    (listed,) = bench.client.get("/auth/sessions", headers=cookie).json()
    assert listed["current"]


def test_without_the_setting_a_cookie_is_nothing() -> None:
    """Neither the routes are there nor is a cookie looked at."""
    made = Bench(cookies=False)
    with made.client:
        assert made.sign_in().status_code == 404
        assert made.get({"Cookie": f"{NAME}=x"}) == 401
        assert made.reason() == "no_credentials"


@pytest.mark.parametrize("origin", ["*", "app.example.com", "https://a.example/", "null", ""])
def test_an_origin_is_exact(origin: str) -> None:
    """Anything else stops the start."""
    with pytest.raises((ConfigurationError, ValueError)):
        Bench(trusted_origins=[origin])


def test_the_safe_methods_stay_safe(bench: Bench) -> None:
    """A method in small letters, or one that nobody knows, is none of them."""
    cookie = bench.cookie()
    for method in ("get", "DELETE", "PUT", "PATCH", secrets.token_hex(4).upper()):
        answer = bench.client.request(method, "/change", headers=cookie)
        assert answer.status_code in {401, 403, 405}
