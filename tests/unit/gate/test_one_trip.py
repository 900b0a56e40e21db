"""A caller who was verified a moment ago is checked in one trip, and no less strictly."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from starlette.testclient import TestClient

from stockade import Principal, Stockade, body_limit, current_principal
from stockade.compat import require_admin_role
from stockade.rate_limiting import LimitRequest, LimitState
from stockade.storage.memory import MemoryLimitStore
from stockade.storage.memory.accounts import MemoryAccountStore
from tests.clock import FrozenClock
from tests.unit.gate.apps import ADMIN, MEMBER, Protected, serve

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stockade.authentication import Account, AccountStore
    from stockade.core import TenantId, UserId

LIMITS = {"enabled": True, "address": "6/minute", "authenticated": "3/minute"}


class CountingStore:
    """A store that notes the keys of each trip, and can't answer at once, as one over a network."""

    def __init__(self) -> None:
        self._inner = MemoryLimitStore(clock=FrozenClock())
        self.trips: list[list[str]] = []
        self.reset = self._inner.reset
        self.ping = self._inner.ping
        self.close = self._inner.close

    async def acquire(self, requests: Sequence[LimitRequest]) -> Sequence[LimitState]:
        """Take from all buckets, or from none."""
        self.trips.append([request.key for request in requests])
        return await self._inner.acquire(requests)


def make_app() -> FastAPI:
    """Make an application with a route for each question."""
    app = FastAPI()

    @app.get("/me")
    async def me(caller: Annotated[Principal, Depends(current_principal)]) -> str:
        return caller.user_id

    @app.get("/admin")
    async def admin(caller: Annotated[Principal, Depends(require_admin_role)]) -> str:
        return caller.user_id

    @app.post("/small")
    @body_limit(4)
    async def small(caller: Annotated[Principal, Depends(current_principal)]) -> str:
        return caller.user_id

    @app.get("/closed")
    async def closed() -> str:
        return "closed"

    return app


def protect(
    *,
    lifetime: int = 5,
    accounts: AccountStore | None = None,
    clock: FrozenClock | None = None,
    **limits: Any,  # noqa: ANN401 - settings
) -> Protected:
    """Make a Stockade with low limits whose time stands still."""
    protected = Protected(
        authentication={"identity_cache_lifetime": lifetime}, rate_limiting={**LIMITS, **limits}
    )
    protected.stockade = Stockade(
        protected.stockade.settings,
        accounts=accounts or protected.accounts,
        sinks=[protected.sink],
        clock=clock or FrozenClock(),
    )
    return protected


@contextmanager
def serve_limited(**limits: Any) -> Iterator[tuple[TestClient, Protected]]:  # noqa: ANN401 - settings
    """Serve with remembered callers and low limits."""
    protected = protect(**limits)
    with serve(make_app(), protected) as client:
        yield client, protected


def statuses(client: TestClient, headers: dict[str, str], times: int) -> list[int]:
    """Return the answers of so many requests."""
    return [client.get("/me", headers=headers).status_code for _ in range(times)]


@pytest.mark.parametrize("lifetime", [0, 5])
def test_the_limit_of_a_caller_is_the_same_either_way(lifetime: int) -> None:
    """Remembered or not, as many requests pass as the limit says."""
    protected = protect(lifetime=lifetime)
    with serve(make_app(), protected) as client:
        assert statuses(client, protected.headers(), 5) == [200, 200, 200, 429, 429]


def test_the_limit_by_address_counts_all_remembered_callers() -> None:
    """Two callers at one address share the limit of the address, whoever they are."""
    with serve_limited(authenticated="100/minute") as (client, protected):
        mine, others = protected.headers(), protected.headers(ADMIN)
        passed = [statuses(client, headers, 1)[0] for headers in (mine, others) * 4]
    assert passed == [200] * 6 + [429] * 2


def test_the_answer_names_both_limits() -> None:
    """A request that passes and one that is refused both say how each limit stands."""
    with serve_limited() as (client, protected):
        headers = protected.headers()
        statuses(client, headers, 1)
        passed = client.get("/me", headers=headers).headers
        statuses(client, headers, 1)
        refused = client.get("/me", headers=headers)
    assert passed["ratelimit-policy"] == '"address:6/60s";q=6;w=60, "user:3/60s";q=3;w=60'
    assert passed["ratelimit"].startswith('"address:6/60s";r=4;t=')
    assert '"user:3/60s";r=1;t=' in passed["ratelimit"]
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.headers["ratelimit"].count('"user:3/60s";r=0;t=') == 1


def test_a_refused_request_takes_nothing_from_the_address() -> None:
    """Where the caller's limit is used up, the address keeps its room for others."""
    with serve_limited() as (client, protected):
        statuses(client, protected.headers(), 20)
        assert statuses(client, protected.headers(ADMIN), 3) == [200, 200, 200]


def test_forged_tokens_are_counted_before_they_are_looked_at() -> None:
    """Nobody gets more tries than the address has, remembered callers beside it or not."""
    with serve_limited() as (client, protected):
        statuses(client, protected.headers(), 1)
        tries = [
            client.get("/me", headers={"Authorization": f"Bearer {n}"}).status_code
            for n in range(8)
        ]
    assert tries == [401] * 5 + [429] * 3


def test_a_role_is_asked_of_a_remembered_caller() -> None:
    """Being remembered opens nothing that the role does not."""
    with serve_limited(authenticated="100/minute") as (client, protected):
        found = [client.get("/admin", headers=protected.headers()).status_code for _ in range(3)]
        allowed = client.get("/admin", headers=protected.headers(ADMIN))
    assert found == [403] * 3
    assert allowed.status_code == 200


def test_a_route_without_a_policy_stays_closed_to_a_remembered_caller() -> None:
    """A forgotten policy is a refusal, also where the caller is known."""
    with serve_limited() as (client, protected):
        headers = protected.headers()
        statuses(client, headers, 1)
        assert client.get("/closed", headers=headers).status_code == 403


def test_a_body_that_is_too_large_is_refused_as_before() -> None:
    """An announced size over the limit is refused before the caller's own limit is touched."""
    with serve_limited(address="100/minute") as (client, protected):
        headers = protected.headers()
        statuses(client, headers, 1)
        large = [
            client.post("/small", headers=headers, content=b"12345").status_code for _ in range(4)
        ]
        assert large == [413] * 4
        assert client.post("/small", headers=headers, content=b"1").status_code == 200


def test_a_token_that_was_changed_is_not_remembered() -> None:
    """The memory is of the very header: one more character is a stranger."""
    with serve_limited() as (client, protected):
        headers = protected.headers()
        statuses(client, headers, 1)
        changed = {"Authorization": headers["Authorization"] + "A"}
        assert client.get("/me", headers=changed).status_code == 401


def test_one_trip_for_a_remembered_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first request asks the store twice, the next ones once, for the same buckets."""
    store = CountingStore()
    monkeypatch.setattr("stockade.wiring.limits.guarded_limit_store", lambda *_, **__: store)
    protected = protect()
    with serve(make_app(), protected) as client:
        store.trips.clear()
        assert statuses(client, protected.headers(), 5) == [200, 200, 200, 429, 429]
    first, second, *others = store.trips
    assert others == [first + second] * 4
    assert first[0].startswith("{ip:")
    assert second[0].startswith("{user:mia}")


class BlockableAccounts(MemoryAccountStore):
    """Accounts that can all be blocked."""

    blocked = False

    async def find_by_id(self, user_id: UserId, tenant_id: TenantId | None) -> Account | None:
        """Return the account, or nothing once it is blocked."""
        return None if self.blocked else await super().find_by_id(user_id, tenant_id)


def test_a_blocked_account_is_noticed_when_the_memory_ends() -> None:
    """What is remembered is believed for as long as the setting says, not longer."""
    accounts, clock = BlockableAccounts([MEMBER]), FrozenClock()
    protected = protect(accounts=accounts, clock=clock)
    with serve(make_app(), protected) as client:
        headers = protected.headers(MEMBER)
        assert statuses(client, headers, 2) == [200, 200]
        accounts.blocked = True
        clock.advance(4)
        assert statuses(client, headers, 1) == [200]
        clock.advance(2)
        assert statuses(client, headers, 1) == [401]
