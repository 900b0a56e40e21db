"""A super administrator works in a tenant on purpose, for a while and on record."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from fastapi import Path as PathParameter
from sqlalchemy import select

from stockade import ObjectAccess
from stockade.core import Principal, TenantId, UserId, UserType
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
