import asyncio
import secrets
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI

from stockade import Settings, Stockade
from stockade.errors import ConfigurationError
from stockade.storage.memory.accounts import MemoryAccountStore
from tests.unit.authentication.test_routes import FORM, Bench, bench, make

__all__ = ["bench", "make"]


@pytest.fixture
def fresh(make: Callable[..., Bench]) -> Bench:
    """One application that believes nothing it has read before."""
    return make(identity_cache_lifetime=0)


def sign_in(bench: Bench, **headers: str) -> dict[str, Any]:
    """Sign in, and return the answer."""
    granted: dict[str, Any] = bench.client.post("/auth/token", data=FORM, headers=headers).json()
    return granted


def bearer(granted: dict[str, Any]) -> dict[str, str]:
    """Return the header of an access token."""
    return {"Authorization": f"Bearer {granted['access_token']}"}


def me(bench: Bench, granted: dict[str, Any]) -> int:
    """Return the status of a request with an access token."""
    status: int = bench.client.get("/auth/me", headers=bearer(granted)).status_code
    return status


def refresh(bench: Bench, granted: dict[str, Any]) -> Any:  # noqa: ANN401 - a response
    """Exchange the refresh token."""
    return bench.client.post("/auth/refresh", json={"refresh_token": granted["refresh_token"]})


def test_a_refresh_gives_new_tokens(fresh: Bench) -> None:
    """Both ways of asking give the same kind of answer, which nobody may keep."""
    first = sign_in(fresh)
    answer = refresh(fresh, first)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    second = answer.json()
    assert second.keys() == first.keys()
    assert second["refresh_token"] != first["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": second["refresh_token"]}
    third = fresh.client.post("/auth/token", data=form)
    assert third.json().keys() == first.keys()
    assert me(fresh, third.json()) == me(fresh, first) == 200


def test_a_stolen_token_ends_the_session_for_both(fresh: Bench) -> None:
    """It is an alarm, once, and neither access token works any longer."""
    first = sign_in(fresh)
    second = refresh(fresh, first).json()
    third = refresh(fresh, second).json()
    assert refresh(fresh, first).status_code == 401
    assert refresh(fresh, first).status_code == 401
    assert refresh(fresh, third).status_code == 401
    assert me(fresh, third) == me(fresh, first) == 401
    names = [name for name, _ in fresh.reasons()]
    assert names.count("refresh_reused") == 1
    assert first["refresh_token"] not in repr(list(fresh.sink))


@pytest.mark.parametrize(
    "body",
    [{}, {"refresh_token": ""}, {"refresh_token": "x" * 5000}, {"refresh_token": 1}, [], "x", None],
)
def test_another_body_does_not_fit(bench: Bench, body: object) -> None:
    """Nothing of it comes back."""
    assert bench.client.post("/auth/refresh", json=body).status_code == 422


@pytest.mark.parametrize("value", ["x", "stkr_" + "A" * 91, "stkr_" + "A" * 90, "é", "a.b.c"])
def test_what_is_no_token_is_401(bench: Bench, value: str) -> None:
    """A made-up token, and an access token, refresh nothing."""
    answer = bench.client.post("/auth/refresh", json={"refresh_token": value})
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")
    assert value not in answer.text or value == "x"


def test_tokens_do_not_stand_for_each_other(bench: Bench) -> None:
    """A refresh token opens no route, and an access token refreshes nothing."""
    granted = sign_in(bench)
    swapped = {
        "access_token": granted["refresh_token"],
        "refresh_token": granted["access_token"],
    }
    assert me(bench, swapped) == 401
    assert refresh(bench, swapped).status_code == 401


def test_signing_out_ends_this_session_alone(fresh: Bench) -> None:
    """Access token and refresh token end together; other devices go on."""
    here, there = sign_in(fresh), sign_in(fresh)
    assert fresh.client.post("/auth/logout", headers=bearer(here)).status_code == 204
    assert me(fresh, here) == 401
    assert refresh(fresh, here).status_code == 401
    assert me(fresh, there) == 200
    assert ("session_ended", "authentication.signed_out") in fresh.reasons()


def test_signing_out_everywhere_ends_all(fresh: Bench) -> None:
    """No device goes on."""
    grants = [sign_in(fresh) for _ in range(3)]
    assert fresh.client.post("/auth/logout-all", headers=bearer(grants[0])).status_code == 204
    assert {me(fresh, granted) for granted in grants} == {401}
    assert ("session_ended", "authentication.signed_out_everywhere") in fresh.reasons()


def test_sessions_are_shown_to_their_owner(fresh: Bench) -> None:
    """With device and address, and which of them this one is; no secret is among it."""
    phone = sign_in(fresh, **{"User-Agent": "Phone"})
    laptop = sign_in(fresh, **{"User-Agent": "Laptop"})
    listed = fresh.client.get("/auth/sessions", headers=bearer(laptop)).json()
    assert {(each["device"], each["current"]) for each in listed} == {
        ("Phone", False),
        ("Laptop", True),
    }
    assert listed[0].keys() == {
        *("session_id", "device", "address", "created_at", "last_used_at", "expires_at"),
        "current",
    }
    other = next(each["session_id"] for each in listed if not each["current"])
    ended = fresh.client.delete(f"/auth/sessions/{other}", headers=bearer(laptop))
    assert ended.status_code == 204
    assert (me(fresh, phone), me(fresh, laptop)) == (401, 200)
    again = fresh.client.delete(f"/auth/sessions/{other}", headers=bearer(laptop))
    assert again.status_code == 404


def test_nobody_ends_a_session_of_another_account(fresh: Bench) -> None:
    """It reads as if there was none."""
    granted = sign_in(fresh)
    header = bearer(granted)
    answer = fresh.client.delete(f"/auth/sessions/{uuid.uuid4()}", headers=header)
    assert answer.status_code == 404
    assert fresh.client.delete("/auth/sessions/x", headers=header).status_code == 422


@pytest.mark.parametrize("path", ["/auth/logout", "/auth/logout-all"])
def test_a_stranger_ends_nothing(bench: Bench, path: str) -> None:
    """Without a token it is 401."""
    assert bench.client.post(path).status_code == 401
    assert bench.client.get("/auth/sessions").status_code == 401


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_a_token_is_revoked(fresh: Bench, kind: str) -> None:
    """Either token ends the session of both (RFC 7009)."""
    granted = sign_in(fresh)
    answer = fresh.client.post("/auth/revoke", data={"token": granted[kind]})
    assert (answer.status_code, answer.content) == (200, b"")
    assert me(fresh, granted) == 401
    assert refresh(fresh, granted).status_code == 401


@pytest.mark.parametrize("value", ["x", "stkr_x", "a.b.c", "é"])
def test_revoking_what_is_no_token_reads_the_same(bench: Bench, value: str) -> None:
    """Nobody learns whether a token is one."""
    answer = bench.client.post("/auth/revoke", data={"token": value})
    assert (answer.status_code, answer.content) == (200, b"")
    assert bench.reasons() == []


def test_a_revoked_session_ends_within_the_second(make: Callable[..., Bench]) -> None:
    """What was read before is believed for as long as the settings say, and no longer."""
    bench = make(identity_cache_lifetime=0.2)
    granted = sign_in(bench)
    assert me(bench, granted) == 200
    bench.client.post("/auth/revoke", data={"token": granted["refresh_token"]})
    for _ in range(1000):
        if me(bench, granted) == 401:
            break
    assert me(bench, granted) == 401


def test_own_accounts_need_a_place_for_sessions() -> None:
    """In memory they would be gone with each deployment, and unknown to other processes."""
    settings = Settings(
        environment="production",
        secret_keys=[secrets.token_urlsafe(48)],
        web={"allowed_hosts": ["example.com"]},
    )
    app = FastAPI()
    stockade = Stockade(settings, accounts=MemoryAccountStore())
    stockade.install(app)
    app.include_router(stockade.auth_router)
    with pytest.raises(ConfigurationError, match="sessions="):
        asyncio.run(stockade.start())
    asyncio.run(stockade.stop())
