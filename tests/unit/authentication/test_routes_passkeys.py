import asyncio
import dataclasses
import json
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from hypothesis import given
from hypothesis import strategies as st

from stockade import Principal, Settings, Stockade, require_fresh
from stockade.errors import ConfigurationError
from stockade.storage.memory.accounts import MemoryAccountStore
from tests.unit.authentication.authenticators import Authenticator
from tests.unit.authentication.helpers import parts_of
from tests.unit.authentication.test_routes_factors import (
    BEA,
    CROSS,
    EVE,
    OWN,
    Bench,
    bearer,
    cookie_of,
)


class PasskeyBench(Bench):
    """An application with passkeys."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - settings
        super().__init__(passkey_rp_id="example.com", **settings)
        app = self.client.app
        assert isinstance(app, FastAPI)
        app.include_router(self.stockade.passkeys_router)

        @app.post("/sign")
        async def sign(
            caller: Annotated[
                Principal, Depends(require_fresh(timedelta(minutes=5), factor="passkey"))
            ],
        ) -> str:
            return caller.user_id

        self.phone = Authenticator()

    def send(self, path: str, headers: dict[str, str] | None = None, **body: Any) -> Any:  # noqa: ANN401 - a response
        """Send a body to one of the routes."""
        answer = self.client.post(f"/auth/passkeys{path}", json=body, headers=headers)
        self.client.cookies.clear()
        return answer

    def register(self, headers: dict[str, str], phone: Authenticator | None = None) -> Any:  # noqa: ANN401 - a response
        """Register the phone, or another authenticator."""
        options = self.send("/register/options", headers)
        assert options.status_code == 200
        assert options.headers["cache-control"] == "no-store"
        credential = (phone or self.phone).make(options.json())
        return self.send("/register", headers, name="Phone", credential=credential)

    def registered(self) -> dict[str, str]:
        """Sign in, register the phone, and return the header of the session."""
        return bearer(self.register(bearer(self.token().json())).json()["tokens"])

    def signed(self, path: str = "", headers: dict[str, str] | None = None, **body: str) -> Any:  # noqa: ANN401 - JSON
        """Let the phone sign what a route asks for."""
        options = self.send(f"{path}/options", headers, **body)
        assert options.status_code == 200
        return self.phone.sign(options.json())


@pytest.fixture
def bench() -> Iterator[PasskeyBench]:
    """One application that is started."""
    made = PasskeyBench()
    with made.client:
        yield made


def test_a_passkey_signs_in_without_a_password(bench: PasskeyBench) -> None:
    """It stands for both factors, and the session is in the account's default tenant."""
    bench.registered()
    answer = bench.send("/sign-in", credential=bench.signed())
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    header = bearer(answer.json())
    assert bench.who(header) == ["passkey"]
    assert parts_of(answer.json()["access_token"])[1]["amr"] == ["mfa", "pop"]
    me = bench.client.get("/auth/me", headers=header).json()
    assert (me["user_id"], me["active_tenant_id"]) == ("bea", "acme")
    last = bench.sink.named("authentication.login_succeeded")[-1]
    assert last.details == {"user_id": "bea", "factor": "passkey"}
    (shown,) = bench.client.get("/auth/passkeys", headers=header).json()
    assert shown.keys() == {"passkey_id", "name", "backed_up", "created_at", "last_used_at"}
    assert shown["name"] == "Phone"


def test_a_passkey_signs_a_browser_in(bench: PasskeyBench) -> None:
    """In a cookie, which another site can't plant."""
    bench.registered()
    signed = bench.signed()
    for headers in (CROSS, {}):
        refused = bench.send("/sign-in", headers, credential=signed, cookie=True)
        assert refused.status_code == 403
    answer = bench.send("/sign-in", OWN, credential=signed, cookie=True)
    assert answer.status_code == 204
    assert bench.who(cookie_of(answer)) == ["passkey"]


def test_a_passkey_is_asked_for_after_the_password(bench: PasskeyBench) -> None:
    """Nobody goes round it by the password alone; its recovery codes stand in."""
    made = bench.register(bearer(bench.token().json()))
    assert made.status_code == 201
    codes = made.json()["recovery_codes"]
    assert len(codes) == 10
    refused = bench.token()
    assert (refused.status_code, refused.json()["factors"]) == (400, ["passkey", "recovery_code"])
    pending = refused.json()["mfa_token"]
    options = bench.send("/verify/options", mfa_token=pending).json()
    assert len(options["allowCredentials"]) == 1
    credential = bench.phone.sign(options)
    answer = bench.send("/verify", mfa_token=pending, credential=credential)
    assert bench.who(bearer(answer.json())) == ["passkey", "password"]
    again = bench.send("/verify", mfa_token=pending, credential=credential)
    assert (again.status_code, again.json()["code"]) == (403, "invalid_passkey")
    assert bench.reasons("factor_failed") == ["passkey_replayed"]
    body = {"mfa_token": pending, "code": codes[0]}
    assert bench.post("/auth/factors/verify", **body).status_code == 200


def test_a_browser_ends_its_sign_in_with_a_passkey(bench: PasskeyBench) -> None:
    """The session is of the kind that the sign-in asked for."""
    bench.registered()
    pending = bench.login().json()["mfa_token"]
    assert bench.send("/verify/options", CROSS, mfa_token=pending).status_code == 403
    signed = bench.signed("/verify", OWN, mfa_token=pending)
    answer = bench.send("/verify", OWN, mfa_token=pending, credential=signed)
    assert bench.who(cookie_of(answer)) == ["passkey", "password"]


def test_a_passkey_of_another_account_ends_no_sign_in(bench: PasskeyBench) -> None:
    """Whoever knows a password does not get in by a passkey of his own."""
    bench.registered()
    eve = Authenticator()
    bench.register(bearer(bench.token(EVE.email).json()), eve)
    pending = bench.token().json()["mfa_token"]
    options = bench.send("/verify/options", mfa_token=pending).json()
    answer = bench.send("/verify", mfa_token=pending, credential=eve.sign(options))
    assert answer.status_code == 403
    own = bench.send("/verify/options", mfa_token=bench.token(EVE.email).json()["mfa_token"])
    answer = bench.send("/verify", mfa_token=pending, credential=eve.sign(own.json()))
    assert answer.status_code == 403
    (first, second) = bench.sink.named("authentication.factor_failed")
    assert first.details == second.details == {"user_id": "bea"}


def test_a_route_asks_for_a_fresh_passkey(bench: PasskeyBench) -> None:
    """A step-up gives it, and an older one is too old."""
    header = bench.registered()
    assert bench.client.post("/sign", headers=header).status_code == 200
    bench.clock.advance(301)
    refused = bench.client.post("/sign", headers=header)
    assert (refused.status_code, refused.json()["factor"]) == (401, "passkey")
    signed = bench.signed("/step-up", header)
    raised = bearer(bench.send("/step-up", header, credential=signed).json())
    assert bench.client.post("/sign", headers=raised).status_code == 200
    assert bench.who(header) == 401


def test_what_one_signed_steps_nobody_else_up(bench: PasskeyBench) -> None:
    """The challenge is for the account that asked."""
    bench.registered()
    other = bearer(bench.token(EVE.email).json())
    signed = bench.signed("/step-up", other)
    assert bench.send("/step-up", other, credential=signed).status_code == 403


def test_a_registration_ends_all_other_sessions(bench: PasskeyBench) -> None:
    """They began without it; a second passkey brings no new recovery codes."""
    there = bearer(bench.token().json())
    header = bench.registered()
    assert bench.who(there) == 401
    assert bench.who(header) == ["passkey", "password"]
    second = bench.register(header, Authenticator())
    assert (second.status_code, second.json()["recovery_codes"]) == (201, [])
    assert bench.who(header) == 401
    assert bench.reasons("factor_changed") == ["passkey_registered"] * 2


def test_an_old_session_registers_and_removes_nothing(bench: PasskeyBench) -> None:
    """Whoever finds a browser open does not take the account over."""
    header = bench.registered()
    (known,) = bench.client.get("/auth/passkeys", headers=header).json()
    bench.clock.advance(15 * 60 + 1)
    pending = bench.token().json()["mfa_token"]
    signed = bench.signed("/verify", mfa_token=pending)
    granted = bench.send("/verify", mfa_token=pending, credential=signed).json()
    path = f"/auth/passkeys/{known['passkey_id']}"
    bench.clock.advance(9 * 60)
    granted = bench.post("/auth/refresh", refresh_token=granted["refresh_token"]).json()
    bench.clock.advance(7 * 60)
    assert bench.send("/register/options", bearer(granted)).status_code == 401
    assert bench.client.delete(path, headers=bearer(granted)).status_code == 401


def test_a_factor_is_enrolled_with_the_one_that_is_there(bench: PasskeyBench) -> None:
    """A session that began without it, however fresh, brings in neither an app nor a passkey."""
    bench.registered()
    store = bench.stockade._sign_in.sessions
    sessions = asyncio.run(store.list_active(BEA.user_id, now=bench.clock.now()))
    assert len(sessions) == 1
    bare = bench.stockade._sign_in.tokens.issue(BEA, session=_without_factors(sessions[0]))
    header = {"Authorization": f"Bearer {bare.value}"}
    for path in ("/auth/factors/totp", "/auth/passkeys/register/options"):
        answer = bench.client.post(path, headers=header)
        assert (answer.status_code, answer.json()["factor"]) == (401, "mfa")


def _without_factors(session: Any) -> Any:  # noqa: ANN401 - a session
    return dataclasses.replace(session, factors=frozenset({"password"}))


def test_a_removed_passkey_leaves_no_factor(bench: PasskeyBench) -> None:
    """All sessions end but this one, which falls back; the recovery codes are gone."""
    made = bench.register(bearer(bench.token().json())).json()
    header = bearer(made["tokens"])
    (known,) = bench.client.get("/auth/passkeys", headers=header).json()
    path = f"/auth/passkeys/{known['passkey_id']}"
    foreign = bearer(bench.token(EVE.email).json())
    assert bench.client.delete(path, headers=foreign).status_code == 401
    bench.register(foreign, Authenticator())
    removed = bench.client.delete(path, headers=header)
    assert bench.who(bearer(removed.json())) == ["password"]
    assert bench.who(header) == 401
    assert bench.token().status_code == 200
    shown = bench.client.get("/auth/factors", headers=bearer(bench.token().json())).json()
    assert (shown["factors"], shown["recovery_codes"]) == ([], 0)
    assert bench.send("/sign-in", credential=bench.signed()).status_code == 403


def test_nobody_removes_a_passkey_of_another(bench: PasskeyBench) -> None:
    """It reads as if there was none."""
    header = bench.registered()
    (known,) = bench.client.get("/auth/passkeys", headers=header).json()
    made = bench.register(bearer(bench.token(EVE.email).json()), Authenticator()).json()
    path = f"/auth/passkeys/{known['passkey_id']}"
    assert bench.client.delete(path, headers=bearer(made["tokens"])).status_code == 404
    assert len(bench.client.get("/auth/passkeys", headers=header).json()) == 1


def test_recovery_codes_stay_while_a_factor_is_left(bench: PasskeyBench) -> None:
    """An app beside a passkey: whichever goes, the codes are for the other one."""
    header = bench.registered()
    app = bench.enrol(header).json()
    header = bearer(app["tokens"])
    shown = bench.client.get("/auth/factors", headers=header).json()
    assert (shown["factors"], shown["recovery_codes"]) == (["passkey", "totp"], 10)
    removed = bench.post("/auth/factors/totp/remove", header, code=bench.code())
    shown = bench.client.get("/auth/factors", headers=bearer(removed.json())).json()
    assert (shown["factors"], shown["recovery_codes"]) == (["passkey"], 10)


def test_a_copied_passkey_is_an_alarm(bench: PasskeyBench) -> None:
    """With an event of its own, which says whose it is."""
    bench.registered()
    bench.send("/sign-in", credential=bench.signed())
    bench.phone.count = 0
    answer = bench.send("/sign-in", credential=bench.signed())
    assert (answer.status_code, answer.json()["code"]) == (403, "invalid_passkey")
    (event,) = bench.sink.named("authentication.passkey_cloned")
    assert event.details == {"user_id": "bea"}


def test_an_inactive_account_signs_nobody_in(bench: PasskeyBench) -> None:
    """The same answer as for a passkey that is not known."""
    bench.registered()
    bench.accounts.put(dataclasses.replace(BEA, active=False))
    inactive = bench.send("/sign-in", credential=bench.signed())
    stranger = Authenticator(handle=b"x")
    unknown = bench.send("/sign-in", credential=stranger.sign(bench.send("/options").json()))
    for answer in (inactive, unknown):
        assert (answer.status_code, answer.json()["code"]) == (403, "invalid_passkey")
    assert bench.reasons("factor_failed") == ["account_inactive", "passkey_unknown"]


@pytest.mark.parametrize(
    "change",
    [
        {"id": "x"},
        {"id": "é" * 20},
        {"id": "A" * 1365},
        {"type": "password"},
        {"response": {}},
        {"response": None},
        {"rawId": 5},
    ],
    ids=lambda change: repr(change)[:30],
)
def test_another_body_does_not_fit(bench: PasskeyBench, change: dict[str, Any]) -> None:
    """It is told by place and rule, and nothing comes back."""
    bench.registered()
    credential = {**bench.signed(), **change}
    assert bench.send("/sign-in", credential=credential).status_code == 422


def test_a_program_has_no_passkeys(bench: PasskeyBench) -> None:
    """Its key is no sign-in."""
    header = bench.registered()
    made = bench.client.post("/auth/api-keys", json={"name": "job"}, headers=header).json()
    key = {"X-CLIENT-ID": made["client_id"], "X-API-KEY": made["api_key"]}
    assert bench.client.get("/auth/passkeys", headers=key).status_code == 401
    for path in ("/register/options", "/step-up/options"):
        assert bench.send(path, key).status_code == 401


@pytest.mark.parametrize(
    ("settings", "routers", "named"),
    [
        ({}, ("factors_router", "passkeys_router"), "PASSKEY_RP_ID"),
        ({"passkey_rp_id": "example.com"}, ("passkeys_router",), "factors_router"),
    ],
    ids=["no domain", "no recovery"],
)
def test_passkeys_that_could_not_work_stop_the_start(
    settings: dict[str, str], routers: tuple[str, ...], named: str
) -> None:
    """One line says what is missing."""
    app = FastAPI()
    made = Settings(environment="test", authentication=settings)
    stockade = Stockade(made, accounts=MemoryAccountStore())
    stockade.install(app)
    for router in routers:
        app.include_router(getattr(stockade, router))
    with pytest.raises(ConfigurationError, match=named):
        asyncio.run(stockade.start())
    asyncio.run(stockade.stop())


PATHS = [
    "/auth/factors/verify",
    "/auth/factors/step-up",
    "/auth/factors/totp",
    "/auth/factors/totp/confirm",
    "/auth/factors/totp/remove",
    "/auth/factors/recovery-codes",
    "/auth/passkeys/register/options",
    "/auth/passkeys/register",
    "/auth/passkeys/options",
    "/auth/passkeys/sign-in",
    "/auth/passkeys/verify/options",
    "/auth/passkeys/verify",
    "/auth/passkeys/step-up/options",
    "/auth/passkeys/step-up",
]
_TEXT = st.text(max_size=40) | st.text("0123456789", min_size=6, max_size=6)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)
_BODIES = _JSON | st.fixed_dictionaries(
    {},
    optional={
        "code": _JSON,
        "mfa_token": _JSON | st.from_regex(r"stkm_[A-Za-z0-9_-]+\.[0-9a-f]{64}", fullmatch=True),
        "credential": _JSON
        | st.fixed_dictionaries(
            {
                "id": st.from_regex(r"[A-Za-z0-9_-]{16,40}", fullmatch=True),
                "rawId": st.from_regex(r"[A-Za-z0-9_-]{16,40}", fullmatch=True),
                "type": st.just("public-key"),
                "response": st.dictionaries(
                    st.sampled_from(
                        [
                            "clientDataJSON",
                            "attestationObject",
                            "authenticatorData",
                            "signature",
                            "userHandle",
                            "transports",
                        ]
                    ),
                    st.from_regex(r"[A-Za-z0-9_-]{1,80}", fullmatch=True) | _JSON,
                ),
            }
        ),
        "name": _JSON,
        "cookie": _JSON,
    },
)


@given(st.data())
def test_no_body_is_an_error_of_the_server(data: st.DataObject) -> None:
    """Whatever is sent to whichever route, signed in or not."""
    bench, header = _shared()
    path = data.draw(st.sampled_from(PATHS))
    headers = header if data.draw(st.booleans()) else {}
    body = json.dumps(data.draw(_BODIES))
    answer = bench.client.post(
        path, content=body, headers={**headers, "Content-Type": "application/json"}
    )
    assert answer.status_code < 500


@cache
def _shared() -> tuple[PasskeyBench, dict[str, str]]:
    bench = PasskeyBench()
    return bench, bench.registered()


def test_an_address_that_nobody_has_shown_to_be_theirs_signs_nobody_in(
    bench: PasskeyBench,
) -> None:
    """As with a password; the reason is in the event."""
    bench.registered()
    bench.accounts.put(dataclasses.replace(BEA, email_verified=False))
    assert bench.send("/sign-in", credential=bench.signed()).status_code == 403
    assert bench.reasons("factor_failed") == ["email_unverified"]
