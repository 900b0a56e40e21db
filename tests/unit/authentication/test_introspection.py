import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from stockade.authentication.errors import InvalidTokenError
from stockade.authentication.introspection import require_business
from stockade.authentication.sessions import Client
from stockade.core import Principal, TenantId, UserId
from stockade.core.identity import AuthenticationMethod
from tests.unit.authentication.introspecting import BEA, CAL, Bench, bench

__all__ = ["bench"]


async def test_an_access_token_says_whom_it_stands_for(bench: Bench) -> None:
    """A service of the tenant learns what it needs to decide, and nobody may keep it."""
    service = await bench.make_program()
    granted = bench.sign_in()
    answer = bench.ask(granted["access_token"], service)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"
    told = answer.json()
    now = int(bench.clock.now().timestamp())
    assert told.pop("jti")
    assert told.pop("sid")
    assert told == {
        "active": True,
        "token_type": "Bearer",
        "scope": "notes:note:read",
        "client_id": "stockade",
        "username": "bea@example.com",
        "sub": "bea",
        "aud": "stockade",
        "iss": "stockade",
        "exp": now + 600,
        "auth_time": now,
        "user_type": "user",
        "active_tenant_id": "acme",
        "roles": ["member"],
        "amr": ["pwd"],
    }


async def test_a_role_that_demands_a_factor_is_not_active_without() -> None:
    """The gate lets such a token do nothing, and no service is to let it do more."""
    bench = Bench(authorization={"factor_required_for": {"member"}})
    with bench.client:
        service = await bench.make_program()
        granted = bench.sign_in()
        assert bench.ask(granted["access_token"], service).json() == {"active": False}
        assert bench.reason() == "introspection_factor"
        account = await bench.accounts.find_by_id(BEA.user_id, BEA.tenant_id)
        assert account is not None
        grant = await bench.stockade._sign_in.require_services().sessions.begin(
            account, Client(), factors=frozenset({"password", "totp"})
        )
        told = bench.ask(grant.access.value, service).json()
        assert (told["active"], told["amr"]) == (True, ["mfa", "otp", "pwd"])


async def test_a_refresh_token_is_told_where_one_is_meant(bench: Bench) -> None:
    """It has no type, no scope and no roles, and ends at the latest when its session does."""
    service = await bench.make_program()
    refresh = bench.sign_in()["refresh_token"]
    told = bench.ask(refresh, service, hint="refresh_token").json()
    assert told["active"]
    assert told["exp"] == int((bench.clock.now() + timedelta(days=7)).timestamp())
    assert not told.keys() & {"token_type", "scope", "roles", "aud", "jti"}


@pytest.mark.parametrize("hint", [None, "", "access_token", "REFRESH_TOKEN", "x"])
async def test_a_refresh_token_never_passes_for_an_access_token(
    bench: Bench, hint: str | None
) -> None:
    """A service that goes by ``active`` alone is not taken in by a stolen refresh token."""
    service = await bench.make_program()
    answer = bench.ask(bench.sign_in()["refresh_token"], service, hint=hint)
    assert answer.json() == {"active": False}
    assert bench.reason() == "introspection_unasked"


async def test_a_wrong_hint_does_not_hide_an_access_token(bench: Bench) -> None:
    """The search goes on with the other kind (RFC 7662, section 2.1)."""
    service = await bench.make_program()
    token = bench.sign_in()["access_token"]
    assert bench.ask(token, service, hint="refresh_token").json()["token_type"] == "Bearer"


async def test_what_is_revoked_is_not_active_at_once(bench: Bench) -> None:
    """Nothing is believed from before, whatever the gate believes for a moment."""
    service = await bench.make_program()
    granted = bench.sign_in()
    assert bench.is_active(granted, service) == (True, True)
    bench.client.post("/auth/revoke", data={"token": granted["refresh_token"]})
    assert bench.is_active(granted, service) == (False, False)
    assert bench.reason() == "session_over"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"active": False}, "account_inactive"),
        ({"token_epoch": 4}, "token_revoked"),
        ({"tenant_id": None, "roles": frozenset()}, "membership_ended"),
    ],
    ids=["inactive", "epoch", "left"],
)
async def test_an_account_that_no_longer_backs_it(
    bench: Bench, change: dict[str, Any], reason: str
) -> None:
    """Both tokens are over with the account, at once."""
    service = await bench.make_program()
    granted = bench.sign_in()
    # In the place of all that is known, so that one who left is in no tenant any longer.
    bench.accounts._accounts[:] = [dataclasses.replace(BEA, **change)]
    assert bench.is_active(granted, service) == (False, False)
    assert bench.reason() == reason


async def test_an_expired_token_is_not_active(bench: Bench) -> None:
    """The access token ends by itself, and the refresh token when its session is idle."""
    service = await bench.make_program()
    granted = bench.sign_in()
    bench.clock.advance(600)
    assert bench.is_active(granted, service) == (False, True)
    bench.clock.advance(7 * 24 * 3600 - 601)
    assert bench.is_active(granted, service) == (False, True)
    bench.clock.advance(1)
    assert bench.is_active(granted, service) == (False, False)


async def test_an_exchanged_refresh_token_is_not_active(bench: Bench) -> None:
    """Its successor is; and asking is no use of it, which would end the session."""
    service = await bench.make_program()
    first = bench.sign_in()
    second = bench.client.post("/auth/refresh", json={"refresh_token": first["refresh_token"]})
    bench.clock.advance(11)
    assert bench.is_active(first, service) == (True, False)
    assert bench.is_active(second.json(), service) == (True, True)


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ({"tenant_id": "acme", "user_id": None}, True),
        ({"tenant_id": "globex", "user_id": None}, False),
        ({"tenant_id": "acme", "user_id": "bea"}, True),
        ({"tenant_id": "acme", "user_id": "cal"}, False),
        ({"tenant_id": None, "user_id": "bea"}, False),
    ],
    ids=["service", "other tenant", "own program", "other account", "outside of tenants"],
)
async def test_a_program_learns_of_its_own_business(
    bench: Bench, program: dict[str, Any], expected: bool
) -> None:
    """Another tenant's or another account's token looks like one that does not hold."""
    caller = await bench.make_program(**program)
    granted = bench.sign_in()
    assert bench.is_active(granted, caller) == (expected, expected)
    if not expected:
        assert bench.reason() == "introspection_foreign"
        assert bench.ask(granted["access_token"], caller).content == b'{"active":false}'


async def test_a_foreign_token_does_not_tell_whether_it_was_revoked(bench: Bench) -> None:
    """No store is asked about its account, so that not even the time can tell."""
    caller = await bench.make_program(tenant_id="globex", user_id=None)
    granted = bench.sign_in()
    asked: list[str] = []
    find = bench.accounts.find_by_id

    async def note(user_id: UserId, tenant_id: TenantId | None) -> Any:  # noqa: ANN401 - an account
        asked.append(user_id)
        return await find(user_id, tenant_id)

    bench.accounts.find_by_id = note  # type: ignore[method-assign]  # Counts the questions.
    bench.is_active(granted, caller)
    bench.client.post("/auth/revoke", data={"token": granted["refresh_token"]})
    bench.is_active(granted, caller)
    assert asked == []


async def test_a_token_without_a_tenant_is_its_owners_business(bench: Bench) -> None:
    """An account outside of tenants has programs of its own, and no service sees its tokens."""
    bench.accounts.put(CAL)
    granted = bench.sign_in(CAL.email)
    own = await bench.make_program(tenant_id=None, user_id="cal")
    other = await bench.make_program(tenant_id=None, user_id="bea")
    service = await bench.make_program()
    assert bench.is_active(granted, own) == (True, True)
    assert bench.is_active(granted, other) == (False, False)
    assert bench.is_active(granted, service) == (False, False)


def test_a_service_without_a_tenant_has_no_business() -> None:
    """The name alone opens nothing: tokens without a tenant are those of their owners."""
    service = Principal(
        user_id=UserId("client:stkc_0"), email="", method=AuthenticationMethod.API_KEY
    )
    with pytest.raises(InvalidTokenError) as caught:
        require_business(service, user_id=UserId("bea"), tenant_id=None)
    assert caught.value.reason == "authentication.introspection_foreign"
