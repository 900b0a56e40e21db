import asyncio
import dataclasses
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import Depends, FastAPI, WebSocket
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from stockade import (
    Principal,
    Settings,
    Stockade,
    current_principal,
    public,
    rate_limit,
    require_fresh,
    require_permission,
    require_role,
)
from stockade.core import TenantId, UserId, UserType
from stockade.core.identity import AuthenticationMethod
from stockade.errors import ConfigurationError
from stockade.events import MemorySink
from stockade.storage.memory.accounts import MemoryAccountStore
from stockade.testing import as_browser, as_principal
from stockade.testing.errors import HelperError
from tests.clock import FrozenClock
from tests.unit.authentication.helpers import ANA, NEW

Caller = Annotated[Principal, Depends(current_principal)]
COOKIE = AuthenticationMethod.COOKIE


class Bench:
    """An application with a route for each kind of demand."""

    def __init__(self, environment: str = "test", **settings: Any) -> None:  # noqa: ANN401 - settings
        self.clock = FrozenClock()
        self.sink = MemorySink()
        self.stockade = Stockade(
            Settings(
                environment=environment,
                secret_keys=(NEW,),
                web={"allowed_hosts": ["testserver"]},
                **{
                    "authentication": {"cookies": True, "identity_cache_lifetime": 0},
                    "authorization": {"roles": {"admin": ["notes:note:write"], "member": []}},
                    **settings,
                },
            ),
            accounts=MemoryAccountStore([ANA]),
            sinks=[self.sink],
            clock=self.clock,
        )
        self.app = FastAPI()
        self.stockade.install(self.app)
        add_routes(self.app)
        self.app.include_router(self.stockade.auth_router)
        self.client = TestClient(self.app)

    def token(self) -> dict[str, str]:
        """Issue a real token of an account."""
        return {"Authorization": f"Bearer {self.stockade._sign_in.tokens.issue(ANA).value}"}

    def reason(self) -> str | None:
        """Return the reason of the last event."""
        return list(self.sink)[-1].reason


def add_routes(app: FastAPI) -> None:
    """Add a route for each kind of demand."""

    @app.get("/open")
    @public("for everybody")
    async def everybody() -> str:
        return "open"

    @app.get("/me")
    async def me(caller: Caller) -> dict[str, Any]:
        return {
            "user_id": caller.user_id,
            "email": caller.email,
            "tenant": caller.tenant_id,
            "method": caller.method,
        }

    @app.post("/change")
    async def change(caller: Caller) -> str:
        return caller.user_id

    @app.get("/limited")
    @rate_limit("2/minute")
    async def limited(caller: Caller) -> str:
        return caller.user_id

    @app.get("/admin")
    async def admin(caller: Annotated[Principal, Depends(require_role("admin"))]) -> str:
        return caller.user_id

    permitted = require_permission("notes:note:write")

    @app.get("/permitted")
    async def write(caller: Annotated[Principal, Depends(permitted)]) -> str:
        return caller.user_id

    fresh = require_fresh(timedelta(minutes=10))

    @app.get("/proved")
    async def proved(
        caller: Annotated[Principal, Depends(require_fresh(timedelta(minutes=10), factor="totp"))],
    ) -> str:
        return caller.user_id

    @app.get("/fresh")
    async def recently(caller: Annotated[Principal, Depends(fresh)]) -> str:
        return caller.user_id

    @app.websocket("/socket")
    async def socket(websocket: WebSocket, caller: Caller) -> None:
        await websocket.accept()
        await websocket.send_text(caller.user_id)
        await websocket.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    """One application."""
    made = Bench()
    with made.client:
        yield made


def test_requests_come_from_the_caller(bench: Bench) -> None:
    """Inside the block an endpoint sees the caller that was described; outside there is nobody."""
    assert bench.client.get("/me").status_code == 401
    with as_principal(bench.client, user_id="mia", email="mia@example.com") as mia:
        assert mia.user_id == "mia"
        seen = bench.client.get("/me").json()
    assert seen == {
        "user_id": "mia",
        "email": "mia@example.com",
        "tenant": None,
        "method": "bearer",
    }
    assert bench.client.get("/me").status_code == 401


def test_a_whole_principal_is_taken_as_it_is(bench: Bench) -> None:
    """A test may bring the very principal, such as with what a later factor adds."""
    own = Principal(user_id=UserId("zoe"), email="", tenant_id=TenantId("acme"))
    with as_principal(bench.client, own) as caller:
        assert caller is own
        assert bench.client.get("/me").json()["tenant"] == "acme"


@pytest.mark.parametrize(
    ("path", "facts", "status"),
    [
        ("/admin", {}, 403),
        ("/admin", {"tenant": "acme", "roles": {"member"}}, 403),
        ("/admin", {"tenant": "acme", "roles": {"admin"}}, 200),
        ("/admin", {"user_type": UserType.SUPER_ADMIN}, 200),
        ("/permitted", {}, 403),
        ("/permitted", {"tenant": "acme", "roles": ["admin"]}, 200),
        ("/permitted", {"permissions": ["notes:note:write"]}, 200),
        ("/permitted", {"permissions": ["notes:note:read"]}, 403),
        ("/fresh", {}, 200),
        ("/fresh", {"signed_in_ago": timedelta(minutes=9)}, 200),
        ("/fresh", {"signed_in_ago": timedelta(minutes=11)}, 401),
        ("/fresh", {"method": AuthenticationMethod.API_KEY}, 401),
        ("/fresh", {"method": AuthenticationMethod.COOKIE}, 200),
        ("/proved", {}, 401),
        ("/proved", {"factors": ["password", "totp"]}, 200),
        ("/proved", {"factors": ["passkey"]}, 401),
    ],
)
def test_policies_hold(bench: Bench, path: str, facts: dict[str, Any], status: int) -> None:
    """Roles, permissions and the age of the sign-in decide as they do for real callers."""
    with as_principal(bench.client, **facts):
        assert bench.client.get(path).status_code == status


def test_a_sign_in_grows_old(bench: Bench) -> None:
    """The age of the sign-in goes by the clock of the application."""
    with as_principal(bench.client):
        bench.clock.advance(601)
        assert bench.client.get("/fresh").status_code == 401


def test_limits_count_the_caller() -> None:
    """A limit is used up by one caller and not by the other."""
    bench = Bench(rate_limiting={"enabled": True})
    with bench.client:
        with as_principal(bench.client, user_id="mia"):
            assert [bench.client.get("/limited").status_code for _ in range(3)] == [200, 200, 429]
        with as_principal(bench.client, user_id="leo"):
            assert bench.client.get("/limited").status_code == 200


def test_a_websocket_comes_from_the_caller(bench: Bench) -> None:
    """The handshake carries the caller as well."""
    with (
        as_principal(bench.client, user_id="mia"),
        bench.client.websocket_connect("/socket") as open_socket,
    ):
        assert open_socket.receive_text() == "mia"


def test_the_inner_caller_counts(bench: Bench) -> None:
    """Blocks nest: each gives way to the next and comes back after it."""
    with as_principal(bench.client, user_id="outer"):
        with as_principal(bench.client, user_id="inner"):
            assert bench.client.get("/me").json()["user_id"] == "inner"
        assert bench.client.get("/me").json()["user_id"] == "outer"


def test_two_clients_are_two_callers(bench: Bench) -> None:
    """Blocks may overlap and end in any order; each client keeps its own caller."""
    other = TestClient(bench.app)
    first, second = as_principal(bench.client, user_id="a"), as_principal(other, user_id="b")
    first.__enter__()
    second.__enter__()
    assert bench.client.get("/me").json()["user_id"] == "a"
    assert other.get("/me").json()["user_id"] == "b"
    first.__exit__(None, None, None)
    assert bench.client.get("/me").status_code == 401
    assert other.get("/me").json()["user_id"] == "b"
    second.__exit__(None, None, None)
    assert other.get("/me").status_code == 401


async def test_an_asynchronous_client_can_be_somebody(bench: Bench) -> None:
    """A client of httpx that calls the application in this process works as well."""
    transport = httpx2.ASGITransport(app=bench.app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as client:
        with as_principal(client, user_id="mia"):
            callers = await asyncio.gather(*(client.get("/me") for _ in range(5)))
        assert {each.json()["user_id"] for each in callers} == {"mia"}
        assert (await client.get("/me")).status_code == 401


def test_an_application_within_another_is_found(bench: Bench) -> None:
    """Something that wraps the application does not hide it."""

    class Wrapper:
        def __init__(self, app: FastAPI) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401
            await self.app(scope, receive, send)

    client = TestClient(Wrapper(bench.app))
    with as_principal(client, user_id="mia"):
        assert client.get("/me").json()["user_id"] == "mia"


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_a_deployed_application_makes_nobody_up(environment: str) -> None:
    """Outside of tests and development the helper refuses, and nothing has changed."""
    bench = Bench(environment)
    before = bench.stockade._guard.authenticator
    with pytest.raises(ConfigurationError), as_principal(bench.client):
        pytest.fail("somebody was made up")
    assert bench.stockade._guard.authenticator is before
    assert "authorization" not in bench.client.headers


def test_local_development_may_make_callers_up() -> None:
    """The environment of developers counts as well."""
    bench = Bench("local")
    with bench.client, as_principal(bench.client):
        assert bench.client.get("/me").status_code == 200


def test_a_credential_ends_with_its_block(bench: Bench) -> None:
    """What a request carried counts for nothing after the block, also where it was kept."""
    with as_principal(bench.client):
        kept = bench.client.headers["authorization"]
        assert bench.client.get("/me").status_code == 200
    assert bench.client.get("/me", headers={"Authorization": kept}).status_code == 401
    assert bench.reason() == "authentication.token_malformed"


def test_a_credential_ends_with_a_test_that_fails(bench: Bench) -> None:
    """An error inside the block ends it as well."""
    with pytest.raises(ZeroDivisionError), as_principal(bench.client):
        raise ZeroDivisionError
    assert bench.client.get("/me").status_code == 401


def test_a_credential_counts_in_one_application(bench: Bench) -> None:
    """Another application of the same process, with the same keys, does not know it."""
    other = Bench()
    with as_principal(bench.client), other.client:
        kept = bench.client.headers["authorization"]
        assert other.client.get("/me", headers={"Authorization": kept}).status_code == 401


@pytest.mark.parametrize(
    "change",
    [
        lambda kept: kept + "A",
        lambda kept: kept[:-1],
        lambda kept: kept.lower(),
        lambda _kept: "Bearer ",
        lambda _kept: "Bearer stkt_",
        lambda _kept: "Bearer stkt_" + "A" * 43,
        lambda kept: kept.replace("Bearer", "Basic"),
    ],
    ids=["longer", "shorter", "lower", "empty", "prefix", "guess", "basic"],
)
def test_nothing_else_is_taken_for_it(bench: Bench, change: Any) -> None:  # noqa: ANN401
    """While somebody is made up, nobody else gets in with something like it."""
    with as_principal(bench.client):
        kept = bench.client.headers["authorization"]
        answer = bench.client.get("/me", headers={"Authorization": change(kept)})
    assert answer.status_code == 401


def test_a_real_credential_counts_as_before(bench: Bench) -> None:
    """A request with a token of its own is that token's, and a bad one is refused."""
    with as_principal(bench.client, user_id="mia"):
        assert bench.client.get("/me", headers=bench.token()).json()["user_id"] == "ana"
        bad = {"Authorization": "Bearer x"}
        assert bench.client.get("/me", headers=bad).status_code == 401


def test_two_credentials_are_refused(bench: Bench) -> None:
    """A key beside the caller is refused as it is beside a token."""
    keys = {"X-CLIENT-ID": "stkc_" + "0" * 24, "X-API-KEY": "x"}
    with as_principal(bench.client):
        assert bench.client.get("/me", headers=keys).status_code == 401
    assert bench.reason() == "authentication.several_credentials"


def test_the_open_stays_open(bench: Bench) -> None:
    """A caller at an open route is nobody's business."""
    with as_principal(bench.client):
        assert bench.client.get("/open").status_code == 200


def test_no_secret_shows(bench: Bench) -> None:
    """The credential is in no event and in no text of what knows it."""
    with as_principal(bench.client):
        kept = bench.client.headers["authorization"].removeprefix("Bearer ")
        bench.client.get("/admin")
        assert kept not in repr(list(bench.sink))
        assert kept not in repr(vars(bench.stockade._guard.authenticator))


def test_a_cookie_of_another_site_is_refused(bench: Bench) -> None:
    """A caller with a cookie can be made to send nothing by a page of another site."""
    with as_principal(bench.client, user_id="mia", method=COOKIE):
        assert bench.client.get("/me").json()["method"] == "cookie"
        assert bench.client.post("/change").status_code == 403
        assert bench.reason() == "authentication.cross_site"
        with as_browser(bench.client):
            assert bench.client.post("/change").json() == "mia"
        with as_browser(bench.client, page="https://evil.example"):
            assert bench.client.post("/change").status_code == 403
    assert bench.client.get("/me").status_code == 401


def test_a_cookie_has_its_token(bench: Bench) -> None:
    """The token of the session lets a client change things that says nothing of its page."""
    with as_principal(bench.client, method=COOKIE):
        token = bench.client.get("/auth/csrf").json()["csrf_token"]
        right, wrong = {"X-CSRF-Token": token}, {"X-CSRF-Token": "0" * 64}
        assert bench.client.post("/change", headers=right).status_code == 200
        assert bench.client.post("/change", headers=wrong).status_code == 403


def test_a_websocket_of_another_site_is_refused(bench: Bench) -> None:
    """A page of another site opens no websocket with the caller's cookie."""
    with (
        as_principal(bench.client, method=COOKIE),
        as_browser(bench.client, page="https://evil.example"),
        pytest.raises(WebSocketDisconnect),
        bench.client.websocket_connect("/socket"),
    ):
        pytest.fail("the socket opened")


def test_a_credential_is_of_its_kind(bench: Bench) -> None:
    """A cookie is no token, and a token no cookie: nobody gets around the check of the site."""
    with as_principal(bench.client, method=COOKIE):
        value = bench.client.cookies["__Host-stockade"]
        bearer = {"Authorization": f"Bearer {value}"}
        assert bench.client.post("/change", headers=bearer).status_code == 401
    with as_principal(bench.client):
        value = bench.client.headers["authorization"].removeprefix("Bearer ")
    other = TestClient(bench.app, headers={"Cookie": f"__Host-stockade={value}"})
    assert other.get("/me").status_code == 401


@pytest.mark.parametrize(
    "facts",
    [
        {"roles": {"admin"}},
        {"tenant": "acme", "roles": {"adnim"}},
        {"tenant": "acme", "roles": "admin"},
        {"permissions": "notes:note:write"},
        {"method": AuthenticationMethod.BASIC},
        {"method": AuthenticationMethod.API_KEY, "user_type": UserType.SUPER_ADMIN},
        {"method": AuthenticationMethod.API_KEY, "signed_in_ago": timedelta(0)},
        {"method": AuthenticationMethod.API_KEY, "factors": ["totp"]},
        {"factors": ["sms"]},
        {"factors": "totp"},
    ],
    ids=[
        "no tenant",
        "typing mistake",
        "text",
        "text too",
        "basic",
        "super program",
        "program",
        "program with a factor",
        "no factor",
        "text as well",
    ],
)
def test_a_caller_that_can_not_be_is_refused(bench: Bench, facts: dict[str, Any]) -> None:
    """A mistake in a test is an error there, and not a refusal that the test may expect."""
    with pytest.raises(HelperError), as_principal(bench.client, **facts):
        pytest.fail("somebody was made up")


def test_a_principal_and_facts_are_refused(bench: Bench) -> None:
    """Facts beside a principal would count for nothing."""
    own = Principal(user_id=UserId("zoe"), email="")
    with pytest.raises(HelperError), as_principal(bench.client, own, user_id="mia"):
        pytest.fail("somebody was made up")


def test_cookies_that_are_off_are_refused() -> None:
    """There is no caller with a cookie where the application takes none."""
    bench = Bench(authentication={"cookies": False})
    with pytest.raises(HelperError), as_principal(bench.client, method=COOKIE):
        pytest.fail("somebody was made up")


def test_a_client_of_something_else_is_refused() -> None:
    """An application without Stockade, and a client that calls over the network."""
    for client in (TestClient(FastAPI()), httpx2.Client()):
        with client, pytest.raises(HelperError), as_principal(client):
            pytest.fail("somebody was made up")


def test_a_caller_goes_with_other_dependencies(bench: Bench) -> None:
    """Whoever is made up is the same object for each dependency of a request."""
    seen: list[Principal] = []

    async def note(caller: Caller) -> None:
        seen.append(caller)

    @bench.app.get("/noted", dependencies=[Depends(note)])
    async def noted(caller: Caller) -> None:
        seen.append(caller)

    made_up = Principal(user_id=UserId("zoe"), email="zoe@example.com")
    with as_principal(bench.client, dataclasses.replace(made_up, email="")) as caller:
        assert bench.client.get("/noted").status_code == 200
    assert seen == [caller, caller]
