import dataclasses
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from starlette.testclient import TestClient

from stockade import Principal, current_principal, require_permission, require_role
from stockade.authentication import Account
from stockade.authentication.api_keys import APIKeys, generate_client_id
from stockade.authentication.models import APIClient, APISecret
from stockade.core import TenantId, UserId
from stockade.crypto import KeyRing
from stockade.storage.memory.accounts import MemoryAccountStore
from tests.clock import FrozenClock
from tests.unit.authentication.helpers import OLD
from tests.unit.gate.apps import ADMIN, MEMBER, Protected

SCOPES = frozenset({"notes:note:read"})
ROLES = {
    "admin": ["notes:note:read", "notes:note:write"],
    "owner": [],
    "member": ["notes:note:read"],
}


class Bench:
    """An application that programs call."""

    def __init__(self) -> None:
        self.clock = FrozenClock()
        self.protected = Protected(authorization={"roles": ROLES})
        stockade = self.protected.stockade
        # The same Stockade, with a clock that stands still.
        stockade.__init__(  # type: ignore[misc]  # A test bench.
            stockade.settings,
            accounts=self.protected.accounts,
            sinks=[self.protected.sink],
            clock=self.clock,
        )
        self.store = stockade._sign_in.api_clients
        self.keys = APIKeys(stockade._keys)
        app = FastAPI()
        stockade.install(app)
        app.include_router(stockade.auth_router)
        app.include_router(stockade.api_keys_router)

        @app.get("/who")
        async def who(caller: Annotated[Principal, Depends(current_principal)]) -> dict[str, Any]:
            return {
                "user_id": caller.user_id,
                "tenant_id": caller.tenant_id,
                "roles": sorted(caller.roles),
                "permissions": sorted(caller.permissions),
                "method": caller.method,
                "super": caller.is_super_admin,
                "limits": [(rule.amount, rule.window, rule.scope) for rule in caller.limits],
            }

        @app.get("/read", dependencies=[Depends(require_permission("notes:note:read"))])
        async def read() -> None: ...

        @app.get("/write", dependencies=[Depends(require_permission("notes:note:write"))])
        async def write() -> None: ...

        @app.get("/admin", dependencies=[Depends(require_role("admin"))])
        async def admin() -> None: ...

        self.client = TestClient(app, raise_server_exceptions=False)

    async def make(self, **changes: object) -> dict[str, str]:
        """Make a program, and return its headers."""
        now = self.clock.now()
        client = APIClient(
            client_id=generate_client_id(),
            name="Nightly",
            tenant_id=TenantId("acme"),
            user_id=MEMBER.user_id,
            roles=frozenset(),
            scopes=SCOPES,
            created_at=now,
            created_by=MEMBER.user_id,
        )
        client = dataclasses.replace(client, **changes)  # type: ignore[arg-type]  # Any field.
        new = self.keys.generate()
        secret = APISecret(secret_id="1", digest=new.digest, created_at=now)
        await self.store.add(client, secret)
        return {"X-CLIENT-ID": client.client_id, "X-API-KEY": new.value}

    def get(self, path: str, headers: dict[str, str]) -> int:
        """Return the status of a request."""
        status: int = self.client.get(path, headers=headers).status_code
        return status

    def reason(self) -> str:
        """Return the reason of the last refusal."""
        return str(list(self.protected.sink)[-1].reason).removeprefix("authentication.")

    def sign_in(self, account: Account = ADMIN) -> dict[str, str]:
        """Return the header of a fresh sign-in."""
        return self.protected.headers(account)


@pytest.fixture
def bench() -> Iterator[Bench]:
    """One application."""
    made = Bench()
    with made.client:
        yield made


async def test_a_program_acts_for_its_owner(bench: Bench) -> None:
    """In one tenant, with its scopes, and never as a super admin."""
    headers = await bench.make()
    assert bench.client.get("/who", headers=headers).json() == {
        "user_id": "mia",
        "tenant_id": "acme",
        "roles": [],
        "permissions": ["notes:note:read"],
        "method": "api_key",
        "super": False,
        "limits": [],
    }
    assert [bench.get(path, headers) for path in ("/read", "/write", "/admin")] == [200, 403, 403]


async def test_a_program_never_has_more_than_its_owner(bench: Bench) -> None:
    """What the owner lost, or never had, the program has not either."""
    headers = await bench.make(
        roles=frozenset({"admin"}), scopes=frozenset({"notes:note:read", "notes:note:write"})
    )
    who = bench.client.get("/who", headers=headers).json()
    assert (who["roles"], who["permissions"]) == ([], ["notes:note:read"])


async def test_a_program_may_have_a_limit_of_its_own(bench: Bench) -> None:
    """It counts for this program alone, and over all routes."""
    headers = await bench.make(requests_per_minute=5)
    found = bench.client.get("/who", headers=headers).json()["limits"]
    assert found == [[5, 60, f"program:{headers['X-CLIENT-ID']}"]]


async def test_a_service_of_the_tenant_stands_for_itself(bench: Bench) -> None:
    """It has its own name, its own roles, and goes on without an account."""
    headers = await bench.make(user_id=None, roles=frozenset({"member"}), scopes=frozenset())
    who = bench.client.get("/who", headers=headers).json()
    assert who["user_id"] == f"client:{headers['X-CLIENT-ID']}"
    assert (who["roles"], who["permissions"]) == (["member"], ["notes:note:read"])


@pytest.mark.parametrize(
    ("drop", "change", "reason"),
    [
        ("X-API-KEY", {}, "api_key_incomplete"),
        ("X-CLIENT-ID", {}, "api_key_incomplete"),
        ("", {"X-API-KEY": "guess"}, "api_key_malformed"),
        ("", {"X-CLIENT-ID": "stkc_guess"}, "api_key_malformed"),
        ("", {"X-CLIENT-ID": "stkc_" + "0" * 24}, "api_key_unknown"),
        ("", {"Authorization": "Bearer x"}, "several_credentials"),
    ],
)
async def test_anything_else_is_refused(
    bench: Bench, drop: str, change: dict[str, str], reason: str
) -> None:
    """The answer is the same, and the exact reason is in the event."""
    headers = {**await bench.make(), **change}
    headers.pop(drop, None)
    answer = bench.client.get("/who", headers=headers)
    assert answer.status_code == 401
    assert bench.reason() == reason
    assert "guess" not in answer.text


async def test_the_key_of_another_program_is_refused(bench: Bench) -> None:
    """Identifier and key belong together; the answer reads like that for an unknown program."""
    first, second = await bench.make(), await bench.make()
    wrong = bench.client.get("/who", headers={**first, "X-API-KEY": second["X-API-KEY"]})
    assert bench.reason() == "api_key_wrong"
    nobody = bench.client.get("/who", headers={**first, "X-CLIENT-ID": generate_client_id()})
    assert wrong.json().keys() == nobody.json().keys()
    assert wrong.json()["detail"] == nobody.json()["detail"]


async def test_two_headers_of_a_kind_are_refused(bench: Bench) -> None:
    """Whichever counted, another reader could take the other one."""
    headers = list((await bench.make()).items())
    answer = bench.client.get("/who", headers=[*headers, headers[1]])
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"expires_at": FrozenClock().now() + timedelta(hours=1)}, "api_key_ended"),
        ({"revoked_at": FrozenClock().now()}, "api_key_ended"),
        ({"user_id": UserId("nobody")}, "account_inactive"),
        ({"tenant_id": TenantId("zeta")}, "membership_ended"),
    ],
)
async def test_a_program_ends(bench: Bench, changes: dict[str, Any], reason: str) -> None:
    """By itself, by its owner, and with its owner."""
    headers = await bench.make(**changes)
    bench.clock.advance(3600)
    assert bench.get("/who", headers) == 401
    assert bench.reason() == reason


async def test_an_end_is_seen_at_once(bench: Bench) -> None:
    """With a lifetime of nothing, nothing that was read before is believed."""
    headers = await bench.make()
    assert bench.get("/who", headers) == 200
    await bench.store.revoke(headers["X-CLIENT-ID"], now=bench.clock.now())
    assert bench.get("/who", headers) == 401


async def test_the_last_use_is_known_to_the_minute(bench: Bench) -> None:
    """Not every request writes."""
    headers = await bench.make()
    for seconds in (0, 30, 31):
        bench.clock.advance(seconds)
        assert bench.get("/who", headers) == 200
    found = await bench.store.find(headers["X-CLIENT-ID"])
    assert found is not None
    assert found.client.last_used_at == bench.clock.now()


async def test_a_use_moves_a_key_to_the_newest_secret(bench: Bench) -> None:
    """After it, the secret that it was made with can go."""
    now = bench.clock.now()
    older = APIKeys(KeyRing([OLD]))
    bench.protected.stockade._sign_in.api_keys._digest_keys += older._digest_keys
    new = older.generate()
    client = APIClient(
        client_id=generate_client_id(),
        name="Nightly",
        tenant_id=TenantId("acme"),
        user_id=MEMBER.user_id,
        roles=frozenset(),
        scopes=SCOPES,
        created_at=now,
        created_by=MEMBER.user_id,
    )
    secret = APISecret(secret_id="1", digest=new.digest, created_at=now)
    await bench.store.add(client, secret)
    headers = {"X-CLIENT-ID": client.client_id, "X-API-KEY": new.value}
    assert bench.get("/who", headers) == 200
    stored = await bench.store.find(client.client_id)
    assert stored is not None
    assert stored.secrets[0].digest == bench.keys.digest_now(new.value.encode())
    bench.protected.stockade._sign_in.api_keys._digest_keys = bench.keys._digest_keys
    assert bench.get("/who", headers) == 200


def make_key(bench: Bench, account: Account = ADMIN, **body: Any) -> Any:  # noqa: ANN401 - a response
    """Ask for a key."""
    wanted = {"name": "Nightly", "scopes": ["notes:note:read"], **body}
    return bench.client.post("/auth/api-keys", json=wanted, headers=bench.sign_in(account))


def headers_of(answer: Any) -> dict[str, str]:  # noqa: ANN401 - a response
    """Return the headers of a key that was just made."""
    made = answer.json()
    return {"X-CLIENT-ID": made["client_id"], "X-API-KEY": made["api_key"]}


def test_a_key_is_shown_once(bench: Bench) -> None:
    """When it is made; the list has everything else."""
    answer = make_key(bench)
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    assert bench.get("/read", headers_of(answer)) == 200
    (listed,) = bench.client.get("/auth/api-keys", headers=bench.sign_in()).json()
    shown = answer.json()
    key = shown.pop("api_key")
    assert listed == {**shown, "last_used_at": listed["last_used_at"]}
    assert key not in repr(list(bench.protected.sink))
    assert "authentication.api_key_changed" in bench.protected.names()


@pytest.mark.parametrize(
    ("account", "body", "reason"),
    [
        (MEMBER, {"scopes": ["notes:note:write"]}, "scope_not_held"),
        (MEMBER, {"roles": ["admin"]}, "role_not_held"),
        (ADMIN, {"roles": ["owner"]}, "role_not_held"),
        (MEMBER, {"of_tenant": True}, "tenant_admin_needed"),
    ],
)
def test_nobody_gives_more_than_he_has(
    bench: Bench, account: Account, body: dict[str, object], reason: str
) -> None:
    """Neither permissions nor roles, and a service of the tenant is for who administers it."""
    assert make_key(bench, account, **body).status_code == 403
    assert bench.reason() == reason


def test_a_key_makes_no_key(bench: Bench) -> None:
    """One that leaked must not make another that outlives it."""
    headers = headers_of(make_key(bench))
    answer = bench.client.post("/auth/api-keys", json={"name": "x"}, headers=headers)
    assert answer.status_code in {401, 403}
    path = f"/auth/api-keys/{headers['X-CLIENT-ID']}"
    assert bench.client.post(f"{path}/rotate", headers=headers).status_code in {401, 403}
    assert bench.client.delete(path, headers=headers).status_code == 403
    assert bench.get("/read", headers) == 200


def test_an_old_sign_in_makes_no_key(bench: Bench) -> None:
    """Whoever finds a browser open has to give the password first."""
    header = bench.sign_in()
    bench.clock.advance(16 * 60 - 1)
    answer = bench.client.post("/auth/api-keys", json={"name": "x"}, headers=header)
    assert answer.status_code == 401


def test_keys_overlap_for_a_day(bench: Bench) -> None:
    """The old one goes on until every place has the new one."""
    old = headers_of(make_key(bench))
    path = f"/auth/api-keys/{old['X-CLIENT-ID']}/rotate"
    new = headers_of(bench.client.post(path, headers=bench.sign_in()))
    assert old["X-CLIENT-ID"] == new["X-CLIENT-ID"]
    assert (bench.get("/read", old), bench.get("/read", new)) == (200, 200)
    bench.clock.advance(24 * 3600)
    assert (bench.get("/read", old), bench.get("/read", new)) == (401, 200)


def test_others_find_no_key(bench: Bench) -> None:
    """A program of another account reads as if there was none, also for an administrator."""
    path = f"/auth/api-keys/{make_key(bench, MEMBER).json()['client_id']}"
    assert bench.client.delete(path, headers=bench.sign_in(ADMIN)).status_code == 404
    assert bench.client.post(f"{path}/rotate", headers=bench.sign_in()).status_code == 404
    assert bench.client.get("/auth/api-keys", headers=bench.sign_in()).json() == []
    assert bench.client.delete(path, headers=bench.sign_in(MEMBER)).status_code == 204
    assert bench.client.delete(path, headers=bench.sign_in(MEMBER)).status_code == 404


def test_services_of_the_tenant_are_for_its_administrators(bench: Bench) -> None:
    """They are listed for them, and end by them; those of another tenant are not there."""
    made = make_key(bench, ADMIN, of_tenant=True).json()
    path = f"/auth/api-keys/{made['client_id']}"
    assert bench.client.get("/auth/api-keys", headers=bench.sign_in(MEMBER)).json() == []
    assert bench.client.delete(path, headers=bench.sign_in(MEMBER)).status_code == 404
    stranger = dataclasses.replace(ADMIN, user_id=UserId("eve"), tenant_id=TenantId("zeta"))
    accounts = bench.protected.accounts
    assert isinstance(accounts, MemoryAccountStore)
    accounts.put(stranger)
    assert bench.client.delete(path, headers=bench.sign_in(stranger)).status_code == 404
    assert bench.client.delete(path, headers=bench.sign_in(ADMIN)).status_code == 204


@pytest.mark.parametrize(
    "body",
    [
        {"name": ""},
        {"name": "x" * 101},
        {"name": "a\nb"},
        {"scopes": ["everything"]},
        {"scopes": ["a:b:*"]},
        {"scopes": ["notes:note:read"] * 101},
        {"roles": ["no such role!"]},
        {"expires_in_days": 0},
        {"expires_in_days": 367},
        {"owner": "root"},
    ],
)
def test_a_request_that_does_not_fit(bench: Bench, body: dict[str, Any]) -> None:
    """Every field is bounded."""
    assert make_key(bench, **body).status_code == 422


@pytest.mark.parametrize("name", ["x", "stkc_", "stkc_" + "g" * 24, "stkc_" + "0" * 25])
def test_an_identifier_that_is_none(bench: Bench, name: str) -> None:
    """It is refused before anything is looked up."""
    answer = bench.client.delete(f"/auth/api-keys/{name}", headers=bench.sign_in())
    assert answer.status_code == 422
