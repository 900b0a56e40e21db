"""The guard decides in one order, and says who, why and where to the event log alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Path, Request

from stockade import (
    Principal,
    body_limit,
    current_principal,
    public,
    rate_limit,
    require_fresh,
    require_permission,
    require_role,
)
from stockade.errors import StoreError
from stockade.storage.memory.accounts import MemoryAccountStore
from tests.unit.gate.apps import ADMIN, MEMBER, ROOT, Protected, serve

if TYPE_CHECKING:
    from stockade.authentication import Account

Caller = Annotated[Principal, Depends(current_principal)]
LIMITED = {"enabled": True}


def test_limit_by_address_comes_before_authentication() -> None:
    """A flood of forged tokens meets the limit by address, not the signature check."""
    app = FastAPI()
    protected = Protected(rate_limiting={"enabled": True, "address": "3/minute"})
    app.get("/x", dependencies=[Depends(current_principal)])(lambda: "ran")
    forged = {"Authorization": "Bearer a.b.c"}

    with serve(app, protected) as client:
        statuses = [client.get("/x", headers=forged).status_code for _ in range(5)]

    assert statuses == [401, 401, 401, 429, 429]


def test_limit_by_caller_uses_the_verified_identity() -> None:
    """Two callers behind one address have a bucket each, and a forged token chooses none."""
    app, protected = FastAPI(), Protected(rate_limiting=LIMITED)

    @app.get("/x")
    @rate_limit("2/minute")
    async def answer(caller: Caller) -> str:
        return caller.user_id

    with serve(app, protected) as client:
        mia = [client.get("/x", headers=protected.headers()).status_code for _ in range(3)]
        ada = client.get("/x", headers=protected.headers(ADMIN)).status_code

    assert mia == [200, 200, 429]
    assert ada == 200


def test_limit_by_caller_comes_before_the_role() -> None:
    """A member who hammers an endpoint of admins is limited, not asked for a role each time."""
    app, protected = FastAPI(), Protected(rate_limiting=LIMITED)
    endpoint = rate_limit("2/minute")(lambda: "ran")
    app.get("/x", dependencies=[Depends(require_role("admin"))])(endpoint)

    with serve(app, protected) as client:
        statuses = [client.get("/x", headers=protected.headers()).status_code for _ in range(3)]

    assert statuses == [403, 403, 429]


@pytest.mark.parametrize(
    ("account", "status"),
    [(MEMBER, 403), (ADMIN, 200), (ROOT, 200)],
    ids=["member", "admin", "root"],
)
def test_role_is_checked(account: Account, status: int) -> None:
    """A role lets its holders and super admins through, and nobody else."""
    app, protected = FastAPI(), Protected()
    app.get("/x", dependencies=[Depends(require_role("admin", "owner"))])(lambda: "ran")

    with serve(app, protected) as client:
        answer = client.get("/x", headers=protected.headers(account))

    assert answer.status_code == status


def test_permission_follows_from_the_role() -> None:
    """A permission is held by whoever has a role that grants it."""
    app = FastAPI()
    protected = Protected(
        authorization={"roles": {"admin": ["notes:note:delete"], "member": ["notes:note:read"]}}
    )
    app.delete("/x", dependencies=[Depends(require_permission("notes:note:delete"))])(lambda: "ran")

    with serve(app, protected) as client:
        statuses = [
            client.delete("/x", headers=protected.headers(account)).status_code
            for account in (MEMBER, ADMIN)
        ]

    assert statuses == [403, 200]


def test_old_sign_in_is_asked_to_step_up() -> None:
    """A sign-in that is too old is answered with the challenge of RFC 9470."""
    app, protected = FastAPI(), Protected()
    app.get("/x", dependencies=[Depends(require_fresh(timedelta(microseconds=1)))])(lambda: "ran")

    with serve(app, protected) as client:
        answer = client.get("/x", headers=protected.headers())

    assert answer.status_code == 401
    assert "insufficient_user_authentication" in answer.headers["www-authenticate"]
    assert protected.names() == ["authorization.refused"]


def test_body_limit_of_an_endpoint_replaces_the_general_one() -> None:
    """An endpoint may take less or more than the rest, announced and streamed."""
    app, protected = FastAPI(), Protected(web={"max_body_size": 100})

    async def count(request: Request) -> int:
        return len(await request.body())

    app.post("/small")(public("for the test")(body_limit(10)(count)))

    async def count_more(request: Request) -> int:
        return len(await request.body())

    app.post("/large")(public("for the test")(body_limit(1000)(count_more)))

    with serve(app, protected) as client:
        small = [client.post("/small", content=b"x" * size).status_code for size in (10, 11)]
        large = client.post("/large", content=b"x" * 1000).json()
        streamed = client.post("/small", content=iter([b"x" * 6, b"x" * 6])).status_code

    assert small == [200, 413]
    assert large == 1000
    assert streamed == 413


def test_membership_that_ended_is_refused() -> None:
    """A token of a tenant that its account has left no longer holds."""
    app, protected = FastAPI(), Protected()
    app.get("/x", dependencies=[Depends(current_principal)])(lambda: "ran")

    with serve(app, protected) as client:
        headers = protected.headers()
        before = client.get("/x", headers=headers).status_code
        protected.stockade._sign_in.accounts._accounts.remove(MEMBER)  # type: ignore[union-attr]  # The memory store.
        protected.accounts.put(replace(MEMBER, tenant_id=None, roles=frozenset()))
        after = client.get("/x", headers=headers).status_code

    assert (before, after) == (200, 401)


class _Away(MemoryAccountStore):
    """A store that does not answer."""

    async def find_by_id(self, user_id: Any, tenant_id: Any) -> Account | None:  # noqa: ANN401 - the Protocol's
        raise StoreError("the database could not answer")


def test_accounts_that_are_away_are_503_and_an_error_event(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When nobody can be looked up, nobody gets in, and the log has an error."""
    app, protected = FastAPI(), Protected()
    app.get("/x", dependencies=[Depends(current_principal)])(lambda: "ran")
    monkeypatch.setattr(protected.stockade._sign_in.accounts, "find_by_id", _Away().find_by_id)

    with serve(app, protected) as client:
        answer = client.get("/x", headers=protected.headers())

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert protected.names() == ["web.server_error"]


def test_every_refusal_is_one_event_with_its_place() -> None:
    """A refusal's event names the route's template, the method, the caller and the exact reason."""
    app, protected = FastAPI(), Protected()

    @app.get("/items/{number}", dependencies=[Depends(require_role("admin"))])
    def answer(number: Annotated[int, Path(ge=1, le=99)]) -> int:
        return number

    with serve(app, protected) as client:
        response = client.get("/items/7", headers=protected.headers())

    (event,) = protected.sink.named("authorization.refused")
    assert (event.route, event.method, event.user_id) == ("/items/{number}", "GET", MEMBER.user_id)
    assert event.reason == "authorization.role_missing"
    assert event.request_id == response.headers["x-request-id"]
    assert "role_missing" not in response.text


def test_verified_caller_is_in_the_state() -> None:
    """`request.state.authenticated_user_id` holds the verified caller, and nothing else sets it."""
    app, protected = FastAPI(), Protected()

    @app.get("/x")
    async def answer(request: Request, caller: Caller) -> list[str]:
        return [request.state.authenticated_user_id, caller["user_id"] or ""]

    with serve(app, protected) as client:
        response = client.get("/x", headers=protected.headers())

    assert response.json() == [MEMBER.user_id, MEMBER.user_id]
