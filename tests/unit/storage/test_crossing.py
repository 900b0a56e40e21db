"""A super administrator works in a tenant on purpose, for a while and on record."""

import dataclasses
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from fastapi import Path as PathParameter
from pydantic import BaseModel
from sqlalchemy import select

from stockade import ObjectAccess, require_role
from stockade.authentication import Account
from stockade.authorization import decide, visible_to
from stockade.core import Policy, Principal, TenantId, UserId, UserType
from stockade.core.acting import ACTING
from stockade.core.identity import AuthenticationMethod
from stockade.errors import DeniedError, ForbiddenError
from stockade.storage.sql.crossing import CrossingError, TenantCrossing, require_super_admin
from tests.clock import FrozenClock
from tests.unit.storage.guarded import ADA, ANA, ROOT, Guarded, Note, Tag

WHY = "ticket 4711: notes are missing"


@pytest.fixture
def guarded(tmp_path: Path) -> Guarded:
    """A Stockade on a SQLite file."""
    return Guarded(tmp_path)


def serve_tags(guarded: Guarded) -> FastAPI:
    """Make an application whose tenant is a path parameter with a bound."""
    app = FastAPI()

    @app.get("/{tenant}/tags")
    async def tags(
        tenant: Annotated[str, PathParameter(max_length=36)],
        crossing: Annotated[TenantCrossing, Depends(guarded.stockade.cross_tenant)],
    ) -> list[int]:
        async with crossing(TenantId(tenant), reason=WHY) as session:
            return list(await session.scalars(select(Tag.id)))

    @app.get("/{tenant}/notes")
    async def notes(
        tenant: Annotated[str, PathParameter(max_length=36)],
        crossing: Annotated[TenantCrossing, Depends(guarded.stockade.cross_tenant)],
        access: Annotated[ObjectAccess, Depends(guarded.stockade.access)],
        *,
        check: bool,
    ) -> list[str]:
        query = access.visible(Note) if check else select(Note)
        async with crossing(TenantId(tenant), reason=WHY) as session:
            return [note.body for note in await session.scalars(query)]

    return app


def test_only_a_super_admin_crosses(guarded: Guarded) -> None:
    """Others are refused at the gate; each crossing is an event with the reason and the end."""
    with guarded.serve(serve_tags(guarded)) as client:
        for account, status in ((ANA, 403), (ADA, 403), (ROOT, 200)):
            answer = client.get("/acme/tags", headers=guarded.headers(account))
            assert answer.status_code == status
        assert client.get("/acme/tags", headers=guarded.headers(ROOT)).json() == [1]
        assert client.get("/globex/tags", headers=guarded.headers(ROOT)).json() == []
        assert client.get("/acme/tags").status_code == 401
    events = guarded.sink.named("tenancy.crossed")
    assert [event.details["tenant"] for event in events] == ["acme", "acme", "globex"]
    assert {event.user_id for event in events} == {"root"}
    assert {event.details["why"] for event in events} == {WHY}
    assert all(event.details["until"] > event.at.isoformat() for event in events)


def test_rules_hold_in_another_tenant(guarded: Guarded) -> None:
    """Whoever crosses a tenant's line still checks the objects that have rules."""
    with guarded.serve(serve_tags(guarded)) as client:
        headers = guarded.headers(ROOT)
        assert client.get("/acme/notes?check=true", headers=headers).json() == ["plain"]
        assert client.get("/acme/notes?check=false", headers=headers).status_code == 500


def make_crossing(guarded: Guarded, clock: FrozenClock, principal: Principal) -> TenantCrossing:
    """Make a crossing outside of any request."""
    return TenantCrossing(
        principal,
        guarded.stockade._databases.make_session,
        find=guarded.stockade.find_principal,
        watch=None,
        report=lambda: None,
        clock=clock,
        events=guarded.stockade.events,
        scope={},
    )


def as_root(**changes: Any) -> Principal:  # noqa: ANN401 - any attribute
    """Make a super administrator."""
    values = {"user_id": UserId("root"), "email": "", "user_type": UserType.SUPER_ADMIN, **changes}
    return Principal(**values)


async def test_a_crossing_ends_by_itself(tmp_path: Path) -> None:
    """After its time a session runs nothing, also in a transaction that is open."""
    import anyio.to_thread

    guarded = await anyio.to_thread.run_sync(Guarded, tmp_path)
    clock = FrozenClock()
    crossing = make_crossing(guarded, clock, as_root())
    async with crossing(TenantId("acme"), reason=WHY, within=timedelta(seconds=60)) as session:
        await session.scalars(select(Tag.id))
        clock.advance(59)
        await session.scalars(select(Tag.id))
        clock.advance(1)
        with pytest.raises(ForbiddenError) as caught:
            await session.scalars(select(Tag.id))
        assert caught.value.reason == "tenancy.crossing_over"
        await session.rollback()
        with pytest.raises(ForbiddenError):
            await session.scalars(select(Tag.id))
    await guarded.stockade._databases.close()


@pytest.mark.parametrize(
    ("reason", "within"),
    [
        ("", timedelta(minutes=1)),
        ("short", timedelta(minutes=1)),
        ("        ", timedelta(minutes=1)),
        ("two lines\nof reason", timedelta(minutes=1)),
        ("x" * 201, timedelta(minutes=1)),
        (None, timedelta(minutes=1)),
        (WHY, timedelta(0)),
        (WHY, timedelta(seconds=-1)),
        (WHY, timedelta(hours=1, seconds=1)),
    ],
)
async def test_a_crossing_needs_a_reason_and_an_end(
    tmp_path: Path,
    reason: Any,  # noqa: ANN401 - whatever is given
    within: timedelta,
) -> None:
    """Nothing is opened and nothing recorded without both."""
    import anyio.to_thread

    guarded = await anyio.to_thread.run_sync(Guarded, tmp_path)
    crossing = make_crossing(guarded, FrozenClock(), as_root())
    with pytest.raises(CrossingError):
        async with crossing(TenantId("acme"), reason=reason, within=within):
            pass
    assert guarded.sink.named("tenancy.crossed") == []
    await guarded.stockade._databases.close()


@pytest.mark.parametrize(
    "principal",
    [
        as_root(user_type=UserType.USER, roles=frozenset({"super_admin", "owner"})),
        as_root(method=AuthenticationMethod.API_KEY),
    ],
    ids=["role-of-that-name", "program"],
)
def test_who_is_no_super_admin_in_person(principal: Principal) -> None:
    """Neither a role that is called so nor a key crosses."""
    with pytest.raises(DeniedError):
        require_super_admin(principal)


def test_a_warning_is_given_in_another_tenant_as_well(tmp_path: Path) -> None:
    """Where nothing is refused, what a crossing leaves unchecked is named, once."""
    guarded = Guarded(tmp_path, authorization={"object_checks": "warn"})
    with guarded.serve(serve_tags(guarded)) as client:
        headers = guarded.headers(ROOT)
        assert client.get("/acme/notes?check=false", headers=headers).status_code == 200
    (event,) = guarded.sink.named("authorization.object_unchecked")
    assert event.details == {"models": "Note"}


def support(guarded: Guarded) -> FastAPI:
    """Make an application that shows what a user sees."""
    app = FastAPI()

    @app.get("/{tenant}/{email}/notes")
    async def notes(
        tenant: Annotated[str, PathParameter(max_length=36)],
        email: Annotated[str, PathParameter(max_length=100)],
        crossing: Annotated[TenantCrossing, Depends(guarded.stockade.cross_tenant)],
    ) -> list[str]:
        async with crossing.as_account(email, TenantId(tenant), reason=WHY) as acting:
            query = acting.access.visible(Note).order_by(Note.id)
            found = [note.body for note in await acting.session.scalars(query)]
            masked = ACTING.get()
            assert masked is acting.principal
            assert masked.actor == "root"
            return found

    @app.get("/{tenant}/{email}/salary")
    async def salary(
        tenant: Annotated[str, PathParameter(max_length=36)],
        email: Annotated[str, PathParameter(max_length=100)],
        crossing: Annotated[TenantCrossing, Depends(guarded.stockade.cross_tenant)],
    ) -> Person:
        async with crossing.as_account(email, TenantId(tenant), reason=WHY):
            return Person(salary=1)

    @app.get("/salary")
    async def own_salary(
        _crossing: Annotated[TenantCrossing, Depends(guarded.stockade.cross_tenant)],
    ) -> Person:
        return Person(salary=1)

    return app


class Person(BaseModel):
    salary: Annotated[int | None, visible_to(require_role("admin"))] = None


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/acme/ana@example.com/salary", {}),
        ("/acme/ada@example.com/salary", {"salary": 1}),
        ("/salary", {"salary": 1}),
    ],
)
def test_an_answer_is_masked_as_for_the_account(
    guarded: Guarded, path: str, seen: dict[str, int]
) -> None:
    """It is serialized after the handler has left the block; the next request is its own again."""
    with guarded.serve(support(guarded)) as client:
        for _ in range(2):
            assert client.get(path, headers=guarded.headers(ROOT)).json() == seen
        assert client.get("/salary", headers=guarded.headers(ROOT)).json() == {"salary": 1}


@pytest.mark.parametrize(
    ("caller", "path", "status", "seen"),
    [
        (ROOT, "/acme/ana@example.com/notes", 200, ["plain", "hidden"]),
        (ROOT, "/acme/ben@example.com/notes", 200, ["plain"]),
        (ROOT, "/globex/ana@example.com/notes", 404, None),
        (ROOT, "/acme/nobody@example.com/notes", 404, None),
        (ROOT, "/acme/root@example.com/notes", 404, None),
        (ADA, "/acme/ana@example.com/notes", 403, None),
    ],
    ids=["author", "other", "no-member", "nobody", "super-admin", "no-super-admin"],
)
def test_a_super_admin_sees_what_an_account_sees(
    guarded: Guarded,
    caller: Account,
    path: str,
    status: int,
    seen: list[str] | None,
) -> None:
    """Rules and masks are those of the account; the event names both."""
    with guarded.serve(support(guarded)) as client:
        answer = client.get(path, headers=guarded.headers(caller))
        assert answer.status_code == status
        assert seen is None or answer.json() == seen
    events = guarded.sink.named("authorization.impersonated")
    assert len(events) == (status == 200)
    for event in events:
        assert event.user_id == "root"
        assert event.details["subject"] == path.split("/")[2].partition("@")[0]
        assert event.details["why"] == WHY


async def test_nobody_acts_as_another_super_admin(tmp_path: Path) -> None:
    """Also one who is a member of the tenant can't be acted as, and no sign-in is borrowed."""
    import anyio.to_thread

    guarded = await anyio.to_thread.run_sync(Guarded, tmp_path)
    boss = dataclasses.replace(ROOT, email="boss@example.com", user_id=UserId("boss"))
    guarded.accounts.put(dataclasses.replace(boss, tenant_id=TenantId("acme")))
    crossing = make_crossing(guarded, FrozenClock(), as_root())
    with pytest.raises(ForbiddenError) as caught:
        async with crossing.as_account("boss@example.com", TenantId("acme"), reason=WHY):
            pass
    assert caught.value.reason == "authorization.super_admin_untouchable"
    async with crossing.as_account("ana@example.com", TenantId("acme"), reason=WHY) as acting:
        fresh = Policy(step_up=timedelta(days=365))
        assert not decide(fresh, acting.principal, now=FrozenClock().now()).granted
        with pytest.raises(ForbiddenError):
            require_super_admin(acting.principal)
    assert ACTING.get() is acting.principal
    ACTING.set(None)
    await guarded.stockade._databases.close()
