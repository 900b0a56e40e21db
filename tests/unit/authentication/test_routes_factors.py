import asyncio
import base64
import dataclasses
import secrets
from collections.abc import Iterator
from datetime import timedelta
from http.cookies import SimpleCookie
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from starlette.testclient import TestClient

from stockade import (
    Principal,
    Settings,
    Stockade,
    current_principal,
    optional_principal,
    public,
    require_fresh,
)
from stockade.authentication import BcryptHasher
from stockade.authentication.totp import PERIOD, compute_code, step_at
from stockade.core import UserId
from stockade.errors import ConfigurationError
from stockade.events import MemorySink
from stockade.storage.memory.accounts import MemoryAccountStore
from tests.clock import FrozenClock
from tests.unit.authentication.helpers import ANA, parts_of, random_password

PASSWORD = random_password()
BEA = dataclasses.replace(
    ANA,
    user_id=UserId("bea"),
    email="bea@example.com",
    password_hash=BcryptHasher(cost=4).hash(PASSWORD),
)
EVE = dataclasses.replace(BEA, user_id=UserId("eve"), email="eve@example.com")
HOST = "https://testserver"
NAME = "__Host-stockade"
OWN = {"Sec-Fetch-Site": "same-origin"}
CROSS = {"Sec-Fetch-Site": "cross-site"}


class Bench:
    """An application with second factors, and an authenticator app."""

    def __init__(
        self,
        *,
        demanded: tuple[str, ...] = (),
        limits: bool = False,
        **settings: Any,  # noqa: ANN401 - settings
    ) -> None:
        self.clock = FrozenClock()
        self.sink = MemorySink()
        self.accounts = MemoryAccountStore([BEA, EVE])
        values = {"bcrypt_cost": 4, "cookies": True, "identity_cache_lifetime": 0, **settings}
        self.stockade = Stockade(
            Settings(
                environment="test",
                authentication=values,
                authorization={"factor_required_for": demanded},
                rate_limiting={"enabled": limits, "login": "1000/minute"},
            ),
            accounts=self.accounts,
            sinks=[self.sink],
            clock=self.clock,
        )
        app = FastAPI()
        self.stockade.install(app)
        app.include_router(self.stockade.auth_router)
        app.include_router(self.stockade.factors_router)
        app.include_router(self.stockade.api_keys_router)
        app.include_router(self.stockade.password_router)

        @app.get("/who")
        async def who(caller: Annotated[Principal, Depends(current_principal)]) -> list[str]:
            return sorted(caller.factors)

        @app.get("/open")
        @public("for everybody")
        async def show(caller: Annotated[Principal | None, Depends(optional_principal)]) -> bool:
            return caller is not None

        @app.post("/pay")
        async def pay(
            caller: Annotated[
                Principal, Depends(require_fresh(timedelta(minutes=5), factor="totp"))
            ],
        ) -> str:
            return caller.user_id

        # Cookies are sent by hand: what a browser would send is what is tested.
        self.client = TestClient(app, base_url=HOST, raise_server_exceptions=False)
        self.secret = b""

    def post(self, path: str, headers: dict[str, str] | None = None, **body: str) -> Any:  # noqa: ANN401 - a response
        """Send a body."""
        answer = self.client.post(path, json=body, headers=headers)
        self.client.cookies.clear()
        return answer

    def token(self, email: str = BEA.email) -> Any:  # noqa: ANN401 - a response
        """Send the password to the token endpoint."""
        form = {"username": email, "password": PASSWORD}
        return self.client.post("/auth/token", data=form)

    def login(self, **headers: str) -> Any:  # noqa: ANN401 - a response
        """Send the password as a browser does."""
        return self.post("/auth/login", OWN | headers, email=BEA.email, password=PASSWORD)

    def code(self, offset: int = 0) -> str:
        """Return what the app shows, some steps from now."""
        return compute_code(self.secret, step_at(self.clock.now()) + offset)

    def enrol(self, headers: dict[str, str]) -> Any:  # noqa: ANN401 - a response
        """Enrol the app, confirm it, and let its first code pass."""
        begun = self.post("/auth/factors/totp", headers)
        assert begun.status_code == 201
        assert begun.headers["cache-control"] == "no-store"
        self.secret = base64.b32decode(begun.json()["secret"])
        answer = self.post("/auth/factors/totp/confirm", headers, code=self.code())
        assert answer.status_code == 200
        self.clock.advance(PERIOD)
        return answer

    def enrolled(self) -> dict[str, str]:
        """Sign in, enrol the app, and return the header of the session."""
        return bearer(self.enrol(bearer(self.token().json())).json()["tokens"])

    def who(self, headers: dict[str, str]) -> Any:  # noqa: ANN401 - names or a status
        """Return the factors of a session, or the status where it is none."""
        answer = self.client.get("/who", headers=headers)
        return answer.json() if answer.status_code == 200 else answer.status_code

    def reasons(self, name: str) -> list[str]:
        """Return the reasons of events of one name."""
        return [
            str(event.reason).removeprefix("authentication.")
            for event in self.sink.named(f"authentication.{name}")
        ]


def bearer(granted: dict[str, Any]) -> dict[str, str]:
    """Return the header of an access token."""
    return {"Authorization": f"Bearer {granted['access_token']}"}


def cookie_of(answer: Any) -> dict[str, str]:  # noqa: ANN401 - a response
    """Return what a browser sends from then on."""
    value = SimpleCookie(answer.headers["set-cookie"])[NAME].value
    return {"Cookie": f"{NAME}={value}", **OWN}


@pytest.fixture
def bench() -> Iterator[Bench]:
    """One application that is started; in the end no secret is in any event."""
    made = Bench()
    with made.client:
        yield made
    said = repr(list(made.sink))
    assert PASSWORD not in said
    assert "stkm_" not in said
    if made.secret:
        assert base64.b32encode(made.secret).decode() not in said


def test_the_token_endpoint_asks_for_the_second_factor(bench: Bench) -> None:
    """The password alone gives no token, and the answer is one that clients of OAuth2 can read."""
    bench.enrolled()
    answer = bench.token()
    assert answer.status_code == 400
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert body.keys() == {"error", "error_description", "mfa_token", "expires_in", "factors"}
    assert body["factors"] == ["totp", "recovery_code"]
    assert (body["error"], body["expires_in"]) == ("mfa_required", 300)
    assert bench.sink.named("authentication.factor_required")[0].details == {"user_id": "bea"}
    granted = bench.post("/auth/factors/verify", mfa_token=body["mfa_token"], code=bench.code())
    assert granted.status_code == 200
    assert granted.headers["cache-control"] == "no-store"
    assert granted.json().keys() == {"access_token", "token_type", "expires_in", "refresh_token"}
    assert bench.who(bearer(granted.json())) == ["password", "totp"]
    _, claims = parts_of(granted.json()["access_token"])
    assert claims["amr"] == ["mfa", "otp", "pwd"]
    last = bench.sink.named("authentication.login_succeeded")[-1]
    assert last.details == {"user_id": "bea", "factor": "totp"}


def test_factors_survive_a_refresh(bench: Bench) -> None:
    """A new access token says the same as the one before it."""
    bench.enrolled()
    pending = bench.token().json()["mfa_token"]
    granted = bench.post("/auth/factors/verify", mfa_token=pending, code=bench.code()).json()
    renewed = bench.post("/auth/refresh", refresh_token=granted["refresh_token"]).json()
    assert bench.who(bearer(renewed)) == ["password", "totp"]


def test_a_browser_is_asked_for_the_second_factor(bench: Bench) -> None:
    """The session begins in a cookie, as the sign-in wanted it, and ends the one before."""
    bench.enrolled()
    answer = bench.login()
    assert (answer.status_code, answer.json()["code"]) == (403, "mfa_required")
    assert "set-cookie" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"
    pending = answer.json()["mfa_token"]
    first = bench.post("/auth/factors/verify", OWN, mfa_token=pending, code=bench.code())
    assert (first.status_code, first.content) == (204, b"")
    assert "HttpOnly" in first.headers["set-cookie"]
    before = cookie_of(first)
    assert bench.who(before) == ["password", "totp"]
    bench.clock.advance(PERIOD)
    pending = bench.login(**before).json()["mfa_token"]
    assert bench.who(before) == ["password", "totp"]
    second = bench.post("/auth/factors/verify", before, mfa_token=pending, code=bench.code())
    assert bench.who(cookie_of(second)) == ["password", "totp"]
    assert bench.who(before) == 401


def test_another_site_ends_no_sign_in_of_a_browser(bench: Bench) -> None:
    """Nobody is signed in as somebody else (login CSRF); tokens for programs are no cookies."""
    bench.enrolled()
    pending = bench.login().json()["mfa_token"]
    for headers in (CROSS, {}, {"Origin": "https://evil.example"}):
        body = {"mfa_token": pending, "code": bench.code()}
        assert bench.post("/auth/factors/verify", headers, **body).status_code == 403
    done = bench.post("/auth/factors/verify", OWN, mfa_token=pending, code=bench.code())
    assert done.status_code == 204


def test_a_pending_token_opens_nothing_else(bench: Bench) -> None:
    """It is no access token, no refresh token and no cookie, and nothing else is one of it."""
    bench.enrolled()
    pending = bench.token().json()["mfa_token"]
    assert bench.who({"Authorization": f"Bearer {pending}"}) == 401
    assert bench.who({"Cookie": f"{NAME}={pending}"}) == 401
    assert bench.post("/auth/refresh", refresh_token=pending).status_code == 401
    header = {"Authorization": f"Bearer {pending}"}
    assert bench.post("/auth/factors/totp/remove", header, code=bench.code()).status_code == 401
    form = {"token": pending}
    assert bench.client.post("/auth/revoke", data=form).status_code == 200
    granted = bench.post("/auth/factors/verify", mfa_token=pending, code=bench.code()).json()
    bench.clock.advance(PERIOD)
    for other in (granted["access_token"], granted["refresh_token"], "x"):
        answer = bench.post("/auth/factors/verify", mfa_token=other, code=bench.code())
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")


def test_a_code_signs_in_once(bench: Bench) -> None:
    """The same token and the same code again are refused, with the exact reason in the event."""
    bench.enrolled()
    pending = bench.token().json()["mfa_token"]
    body = {"mfa_token": pending, "code": bench.code()}
    answers = [bench.post("/auth/factors/verify", **body) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 403, 403]
    assert answers[1].json()["code"] == "invalid_code"
    assert bench.reasons("factor_failed") == ["factor_code_replayed"] * 2
    assert bench.sink.named("authentication.factor_failed")[0].details == {"user_id": "bea"}


def test_every_wrong_code_reads_the_same(bench: Bench) -> None:
    """Wrong, replayed, malformed and on paper: one answer."""
    bench.enrolled()
    pending = bench.token().json()["mfa_token"]
    codes = ["000000", bench.code(-1), "abcdefg", "abcd-efgh-ijkl-mnop-qrst-uvwx", bench.code(5)]
    bodies = set()
    for code in codes:
        answer = bench.post("/auth/factors/verify", mfa_token=pending, code=code)
        bodies.add((answer.status_code, answer.json()["code"], answer.json()["detail"]))
        assert code not in answer.text
    assert len(bodies) == 1


@pytest.mark.parametrize(
    "change",
    [{"token_epoch": 4}, {"active": False}, {"tenant_id": None}],
    ids=["epoch", "inactive", "left"],
)
def test_an_account_that_changed_ends_the_sign_in(bench: Bench, change: dict[str, Any]) -> None:
    """Whoever raises the epoch ends the sign-ins that wait as well."""
    bench.enrolled()
    pending = bench.token().json()["mfa_token"]
    if change == {"tenant_id": None}:
        bench.accounts._accounts.remove(BEA)
    bench.accounts.put(dataclasses.replace(BEA, **change))
    answer = bench.post("/auth/factors/verify", mfa_token=pending, code=bench.code())
    assert answer.status_code == 401


def test_a_sign_in_waits_for_five_minutes(bench: Bench) -> None:
    """After that it begins anew."""
    bench.enrolled()
    pending = bench.token().json()["mfa_token"]
    bench.clock.advance(300)
    answer = bench.post("/auth/factors/verify", mfa_token=pending, code=bench.code())
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"code": "123456"},
        {"mfa_token": "x"},
        {"mfa_token": "x", "code": "1"},
        {"mfa_token": "x", "code": "1" * 41},
        {"mfa_token": "x" * 4097, "code": "123456"},
        {"mfa_token": "x", "code": 123456},
        {"mfa_token": "x", "code": "123456", "more": 1},
        [],
        "x",
    ],
    ids=ascii,
)
def test_another_body_does_not_fit(bench: Bench, body: object) -> None:
    """Nothing of it comes back."""
    answer = bench.client.post("/auth/factors/verify", json=body)
    assert answer.status_code == 422
    assert "123456" not in answer.text


def test_a_recovery_code_stands_in(bench: Bench) -> None:
    """Once; what is left is counted."""
    codes = bench.enrol(bearer(bench.token().json())).json()["recovery_codes"]
    assert len(set(codes)) == 10
    pending = bench.token().json()["mfa_token"]
    body = {"mfa_token": pending, "code": codes[0].upper()}
    granted = bench.post("/auth/factors/verify", **body)
    header = bearer(granted.json())
    assert bench.who(header) == ["password", "recovery_code"]
    assert bench.post("/auth/factors/verify", **body).status_code == 403
    shown = bench.client.get("/auth/factors", headers=header).json()
    assert shown["recovery_codes"] == 9
    assert shown["totp_since"] is not None
    assert shown["factors"] == ["totp"]


def test_an_old_session_enrols_and_removes_nothing(bench: Bench) -> None:
    """Whoever finds a browser open does not take the account over, and does not weaken it."""
    header = bench.enrolled()
    bench.clock.advance(15 * 60 + 1)
    granted = bench.token(EVE.email).json()
    stale = bearer(granted)
    bench.clock.advance(9 * 60)
    for path in ("totp", "totp/confirm", "totp/remove", "recovery-codes"):
        answer = bench.post(f"/auth/factors/{path}", header, code=bench.code())
        assert answer.status_code == 401
    assert bench.post("/auth/factors/totp", stale).status_code == 201
    refreshed = bench.post("/auth/refresh", refresh_token=granted["refresh_token"]).json()
    bench.clock.advance(7 * 60)
    answer = bench.post("/auth/factors/totp", bearer(refreshed))
    assert (answer.status_code, answer.json()["code"]) == (401, "step_up_required")


def test_a_session_of_the_password_alone_ends_when_a_factor_is_enrolled(bench: Bench) -> None:
    """All others, and also the one in which it happens: another takes its place."""
    there, here = bench.token().json(), bench.token().json()
    enrolled = bench.enrol(bearer(here)).json()
    assert bench.who(bearer(enrolled["tokens"])) == ["password", "totp"]
    for old in (there, here):
        assert bench.who(bearer(old)) == 401
        assert bench.post("/auth/refresh", refresh_token=old["refresh_token"]).status_code == 401
    assert bench.reasons("factor_changed") == ["factor_enrolled"]


def test_a_removed_factor_ends_the_sessions_that_had_it(bench: Bench) -> None:
    """None goes on as if the account still had it; the next sign-in takes the password alone."""
    here = bench.enrolled()
    pending = bench.token().json()["mfa_token"]
    body = {"mfa_token": pending, "code": bench.code()}
    there = bearer(bench.post("/auth/factors/verify", **body).json())
    bench.clock.advance(PERIOD)
    assert bench.post("/auth/factors/totp/remove", here, code="000000").status_code == 403
    removed = bench.post("/auth/factors/totp/remove", here, code=bench.code())
    assert bench.who(bearer(removed.json())) == ["password"]
    assert (bench.who(here), bench.who(there)) == (401, 401)
    assert bench.who(bearer(bench.token().json())) == ["password"]
    assert bench.reasons("factor_changed") == ["factor_enrolled", "factor_removed"]


def test_a_second_app_needs_the_first_one_to_go(bench: Bench) -> None:
    """Nobody puts an app of his own in its place."""
    header = bench.enrolled()
    answer = bench.post("/auth/factors/totp", header)
    assert (answer.status_code, answer.json()["code"]) == (403, "factor_exists")


def test_new_recovery_codes_need_a_second_factor(bench: Bench) -> None:
    """A fresh password is not enough."""
    header = bench.enrolled()
    made = bench.post("/auth/factors/recovery-codes", header)
    assert (made.status_code, len(made.json()["recovery_codes"])) == (201, 10)
    other = bearer(bench.token(EVE.email).json())
    answer = bench.post("/auth/factors/recovery-codes", other)
    assert answer.status_code == 401
    challenge = answer.headers["www-authenticate"]
    assert 'acr_values="mfa"' in challenge
    assert 'max_age="900"' in challenge
    assert answer.json()["factor"] == "mfa"
    assert bench.reasons("factor_changed")[-1] == "recovery_codes_renewed"


def test_a_route_asks_for_a_fresh_factor(bench: Bench) -> None:
    """A recovery code is another one, and an old code is too old; a step-up helps."""
    codes = bench.enrol(bearer(bench.token().json())).json()["recovery_codes"]
    pending = bench.token().json()["mfa_token"]
    granted = bench.post("/auth/factors/verify", mfa_token=pending, code=codes[0]).json()
    refused = bench.post("/pay", bearer(granted))
    assert (refused.status_code, refused.json()["factor"]) == (401, "totp")
    assert 'acr_values="totp", max_age="300"' in refused.headers["www-authenticate"]
    raised = bench.post("/auth/factors/step-up", bearer(granted), code=bench.code()).json()
    assert bench.post("/pay", bearer(raised)).status_code == 200
    assert bench.who(bearer(granted)) == 401
    bench.clock.advance(301)
    assert bench.post("/pay", bearer(raised)).status_code == 401
    again = bench.post("/auth/factors/step-up", bearer(raised), code=bench.code())
    assert bench.post("/pay", bearer(again.json())).status_code == 200
    assert len(bench.sink.named("authentication.stepped_up")) == 2


def test_a_later_recovery_code_makes_no_old_app_fresh(bench: Bench) -> None:
    """The age of the sign-in is the age of the factor that it names."""
    codes = bench.enrol(bearer(bench.token().json())).json()["recovery_codes"]
    pending = bench.token().json()["mfa_token"]
    granted = bench.post("/auth/factors/verify", mfa_token=pending, code=bench.code()).json()
    assert bench.post("/pay", bearer(granted)).status_code == 200
    bench.clock.advance(301)
    raised = bench.post("/auth/factors/step-up", bearer(granted), code=codes[0]).json()
    assert bench.who(bearer(raised)) == ["password", "recovery_code"]
    assert bench.post("/pay", bearer(raised)).status_code == 401


def test_a_step_up_lengthens_no_session(bench: Bench) -> None:
    """It ends when the one before it would have ended, in a cookie as well."""
    bench.enrolled()
    pending = bench.login().json()["mfa_token"]
    first = bench.post("/auth/factors/verify", OWN, mfa_token=pending, code=bench.code())
    bench.clock.advance(5 * 86_400)
    second = bench.post("/auth/factors/step-up", cookie_of(first), code=bench.code())
    assert second.status_code == 204
    assert bench.who(cookie_of(first)) == 401
    assert bench.who(cookie_of(second)) == ["password", "totp"]
    ages = [
        int(SimpleCookie(answer.headers["set-cookie"])[NAME]["max-age"])
        for answer in (first, second)
    ]
    assert ages[0] - ages[1] == 5 * 86_400


def test_another_site_steps_nobody_up(bench: Bench) -> None:
    """The cookie alone is not enough, as on every route that changes something."""
    bench.enrolled()
    pending = bench.login().json()["mfa_token"]
    first = bench.post("/auth/factors/verify", OWN, mfa_token=pending, code=bench.code())
    bench.clock.advance(PERIOD)
    headers = cookie_of(first) | CROSS
    for path in ("step-up", "totp", "totp/remove"):
        assert bench.post(f"/auth/factors/{path}", headers, code=bench.code()).status_code == 403


def test_a_browser_enrols_and_removes(bench: Bench) -> None:
    """It gets a new cookie each time, and no tokens."""
    signed_in = bench.login()
    assert signed_in.status_code == 204
    enrolled = bench.enrol(cookie_of(signed_in))
    assert enrolled.json()["tokens"] is None
    assert bench.who(cookie_of(signed_in)) == 401
    assert bench.who(cookie_of(enrolled)) == ["password", "totp"]
    removed = bench.post("/auth/factors/totp/remove", cookie_of(enrolled), code=bench.code())
    assert removed.status_code == 204
    assert bench.who(cookie_of(removed)) == ["password"]


def test_guessing_a_code_is_slowed_down() -> None:
    """Ten tries, then 429, also for the right code; the password is not counted here."""
    bench = Bench(limits=True, attempts_per_address=1000, attempts_per_account=1000)
    with bench.client:
        bench.enrolled()
        pending = bench.token().json()["mfa_token"]
        tries = [
            bench.post("/auth/factors/verify", mfa_token=pending, code=f"{number:06}").status_code
            for number in range(12)
        ]
        assert set(tries) == {403, 429}
        assert tries.index(429) <= 10
        pending = bench.token().json()["mfa_token"]
        last = bench.post("/auth/factors/verify", mfa_token=pending, code=bench.code())
        assert last.status_code == 429
        assert int(last.headers["retry-after"]) > 0


DEMANDED = ["/who", "/auth/me", "/auth/sessions", "/auth/api-keys"]


@pytest.mark.parametrize("path", DEMANDED)
def test_a_role_demands_a_factor(path: str) -> None:
    """Without one a session enrols one or ends, and does nothing else; with one it goes on."""
    bench = Bench(demanded=("member",))
    with bench.client:
        granted = bench.token().json()
        answer = bench.client.get(path, headers=bearer(granted))
        assert (answer.status_code, answer.json()["code"]) == (401, "step_up_required")
        assert answer.json()["factor"] == "mfa"
        assert 'acr_values="mfa"' in answer.headers["www-authenticate"]
        assert bench.client.get("/auth/factors", headers=bearer(granted)).status_code == 200
        enrolled = bearer(bench.enrol(bearer(granted)).json()["tokens"])
        assert bench.client.get(path, headers=enrolled).status_code == 200
        (event, *_) = bench.sink.named("authorization.refused")
        assert event.reason == "authorization.factor_demanded"


def test_a_demand_holds_for_open_routes_that_know_their_caller() -> None:
    """Whoever has not given the factor is not taken for a caller; strangers are served."""
    bench = Bench(demanded=("member",))
    with bench.client:
        header = bearer(bench.token().json())
        assert bench.client.get("/open", headers=header).status_code == 401
        assert bench.client.get("/open").json() is False
        assert bench.client.post("/auth/logout", headers=header).status_code == 204


def test_a_demand_is_not_met_by_removing_the_factor() -> None:
    """The session falls back to what it may do without one."""
    bench = Bench(demanded=("member",))
    with bench.client:
        header = bench.enrolled()
        removed = bench.post("/auth/factors/totp/remove", header, code=bench.code()).json()
        assert bench.who(bearer(removed)) == 401
        assert bench.client.get("/auth/factors", headers=bearer(removed)).status_code == 200


def test_a_demand_for_other_roles_asks_nobody() -> None:
    """A member is none of them."""
    bench = Bench(demanded=("owner", "super_admin"))
    with bench.client:
        assert bench.who(bearer(bench.token().json())) == ["password"]


def test_a_demand_that_nobody_could_meet_stops_the_start() -> None:
    """Without the router there is no way to enrol a factor."""
    settings = Settings(environment="test", authorization={"factor_required_for": ["admin"]})
    app = FastAPI()
    stockade = Stockade(settings, accounts=MemoryAccountStore())
    stockade.install(app)
    app.include_router(stockade.auth_router)
    with pytest.raises(ConfigurationError, match="factors_router"):
        asyncio.run(stockade.start())
    asyncio.run(stockade.stop())


def test_own_accounts_need_a_place_for_factors() -> None:
    """In memory they would be gone with each deployment, and with them the second factor."""
    settings = Settings(
        environment="production",
        secret_keys=[secrets.token_urlsafe(48)],
        web={"allowed_hosts": ["example.com"]},
    )
    app = FastAPI()
    stockade = Stockade(settings, accounts=MemoryAccountStore())
    stockade.install(app)
    app.include_router(stockade.factors_router)
    with pytest.raises(ConfigurationError, match="factors="):
        asyncio.run(stockade.start())
    asyncio.run(stockade.stop())


def test_a_key_of_a_program_sees_no_factors(bench: Bench) -> None:
    """It is no sign-in, and needs none where a role demands one."""
    header = bench.enrolled()
    made = bench.client.post("/auth/api-keys", json={"name": "job"}, headers=header).json()
    key = {"X-CLIENT-ID": made["client_id"], "X-API-KEY": made["api_key"]}
    assert bench.who(key) == []
    for path in ("step-up", "totp", "totp/remove", "recovery-codes"):
        answer = bench.post(f"/auth/factors/{path}", key, code=bench.code())
        assert answer.status_code == 401
    assert bench.client.get("/auth/factors", headers=key).status_code == 401


def test_a_sign_in_from_a_new_device_is_told() -> None:
    """The application is told whose it is, and which session; a step-up is none."""
    told: list[tuple[str, str]] = []
    sink = MemorySink()
    stockade = Stockade(
        Settings(environment="test", authentication={"bcrypt_cost": 4}),
        accounts=MemoryAccountStore([BEA]),
        sinks=[sink],
        on_new_device=lambda account, session: told.append((account.email, session.device)),
    )
    app = FastAPI()
    stockade.install(app)
    app.include_router(stockade.auth_router)
    form = {"username": BEA.email, "password": PASSWORD}
    with TestClient(app) as client:
        for device in ("Laptop 1", "Laptop 2", "Phone 1", "Phone 2", "Laptop 3"):
            headers = {"User-Agent": device}
            assert client.post("/auth/token", data=form, headers=headers).status_code == 200
    assert told == [(BEA.email, "Phone 1")]
    assert len(sink.named("authentication.new_device")) == 1


def test_a_new_password_asks_for_the_second_factor_once_more(bench: Bench) -> None:
    """Every session ends, and the next one begins with both: nobody keeps a factor fresh by it."""
    header = bench.enrolled()
    new = random_password()
    body = {"current_password": PASSWORD, "new_password": new}
    changed = bench.post("/auth/password/change", header, **body)
    assert (changed.status_code, changed.json()["code"]) == (403, "mfa_required")
    assert bench.who(header) == 401
    verify = {"mfa_token": changed.json()["mfa_token"], "code": bench.code()}
    granted = bench.post("/auth/factors/verify", **verify)
    assert bench.who(bearer(granted.json())) == ["password", "totp"]


def test_a_sign_in_that_waits_ends_with_a_new_password(bench: Bench) -> None:
    """Whoever knows the old one does not get in with it any more."""
    header = bench.enrolled()
    pending = bench.token().json()["mfa_token"]
    body = {"current_password": PASSWORD, "new_password": random_password()}
    bench.post("/auth/password/change", header, **body)
    answer = bench.post("/auth/factors/verify", mfa_token=pending, code=bench.code())
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")
