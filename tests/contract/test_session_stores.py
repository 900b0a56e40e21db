"""Expect the same of every store of sessions."""

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stockade.authentication.interfaces import SessionStore
from stockade.authentication.models import RefreshUse, Session
from stockade.core import TenantId, UserId
from stockade.errors import StoreError
from stockade.storage.memory.sessions import MemorySessionStore
from stockade.storage.sql import NewAccount, create_account, make_engine, upgrade_schema
from stockade.storage.sql.sessions import SQLSessionStore

NOW = datetime(2026, 1, 1, 12, 0, 0, 123_456, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=1)
ANA, BEA = UserId("ana"), UserId("bea")
FIRST, SECOND, THIRD, OTHER = (letter * 64 for letter in "abcd")


def make_session(user_id: UserId = ANA, **changes: object) -> Session:
    """Make a session that has just begun."""
    session = Session(
        session_id=str(uuid.uuid4()),
        user_id=user_id,
        tenant_id=TenantId("acme"),
        token_epoch=3,
        created_at=NOW,
        authenticated_at=NOW,
        last_used_at=NOW,
        expires_at=NOW + timedelta(days=30),
        device="Firefox é",
        address="2001:db8::1",
        factors=frozenset({"password", "totp"}),
    )
    return dataclasses.replace(session, **changes)  # type: ignore[arg-type]  # Any field.


def use_of(session: Session, *presented: str, successor: str = SECOND) -> RefreshUse:
    """Exchange a token for its successor."""
    return RefreshUse(
        session_id=session.session_id,
        presented=presented or (OTHER, FIRST),
        successor=successor,
        device="Safari",
        address="192.0.2.1",
    )


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SessionStore]:
    """One store of each kind, with two accounts."""
    if request.param == "memory":
        yield MemorySessionStore()
        return
    url = f"sqlite:///{tmp_path}/sessions.db"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
    engine = make_engine(url)
    await upgrade_schema(engine)
    async with engine.begin() as connection:
        for user_id in (ANA, BEA):
            account = NewAccount(email=f"{user_id}@example.com", password_hash="", user_id=user_id)
            await create_account(connection, account)
    yield SQLSessionStore(engine)
    await engine.dispose()


async def test_a_session_comes_back_as_it_was(store: SessionStore) -> None:
    """Every moment keeps its time zone and its microseconds."""
    for session in (
        make_session(),
        make_session(tenant_id=None, device="", address="", factors=frozenset()),
    ):
        await store.add(session, digest=FIRST, keep=9)
        found = await store.find(session.session_id)
        assert found is not None
        assert found.session == session
        assert (found.digest, found.previous, found.rotated_at) == (FIRST, None, None)
    assert await store.find("nothing") is None


async def test_a_token_is_exchanged_once(store: SessionStore) -> None:
    """The successor takes its place, and what it was is remembered."""
    session = make_session()
    await store.add(session, digest=FIRST, keep=9)
    later = NOW + timedelta(minutes=5)
    rotated = await store.rotate(use_of(session), now=later, used_since=LONG_AGO)
    assert rotated == dataclasses.replace(
        session, last_used_at=later, device="Safari", address="192.0.2.1"
    )
    assert await store.rotate(use_of(session), now=later, used_since=LONG_AGO) is None
    found = await store.find(session.session_id)
    assert found is not None
    assert (found.digest, found.previous, found.rotated_at) == (SECOND, FIRST, later)
    again = use_of(session, SECOND, successor=THIRD)
    assert await store.rotate(again, now=later, used_since=LONG_AGO) is not None


@pytest.mark.parametrize(
    ("presented", "now", "used_since"),
    [
        (OTHER, NOW, LONG_AGO),
        ("", NOW, LONG_AGO),
        (FIRST, NOW + timedelta(days=30), LONG_AGO),
        (FIRST, NOW, NOW),
    ],
    ids=["another token", "no token", "over", "idle"],
)
async def test_nothing_else_is_exchanged(
    store: SessionStore, presented: str, now: datetime, used_since: datetime
) -> None:
    """Another token, or a session that is over or idle, changes nothing."""
    session = make_session()
    await store.add(session, digest=FIRST, keep=9)
    use = use_of(session, presented)
    assert await store.rotate(use, now=now, used_since=used_since) is None
    found = await store.find(session.session_id)
    assert found is not None
    assert found.session == session


async def test_of_many_exchanges_one_wins(store: SessionStore) -> None:
    """Two hundred parallel uses of one token yield one successor."""
    session = make_session()
    await store.add(session, digest=FIRST, keep=9)
    results = await asyncio.gather(
        *(store.rotate(use_of(session), now=NOW, used_since=LONG_AGO) for _ in range(200))
    )
    assert len([each for each in results if each is not None]) == 1


async def test_a_session_ends_once(store: SessionStore) -> None:
    """Of many calls one ends it; after that nothing is exchanged."""
    session = make_session()
    await store.add(session, digest=FIRST, keep=9)
    ended = await asyncio.gather(*(store.revoke(session.session_id, now=NOW) for _ in range(20)))
    assert sum(ended) == 1
    assert not await store.revoke("nothing", now=NOW)
    assert await store.rotate(use_of(session), now=NOW, used_since=LONG_AGO) is None
    found = await store.find(session.session_id)
    assert found is not None
    assert found.session.revoked_at == NOW


async def test_a_use_is_remembered(store: SessionStore) -> None:
    """It changes nothing else."""
    session = make_session()
    await store.add(session, digest=FIRST, keep=9)
    later = NOW + timedelta(minutes=1)
    await store.touch(session.session_id, now=later)
    await store.touch("nothing", now=later)
    found = await store.find(session.session_id)
    assert found is not None
    assert found.session == dataclasses.replace(session, last_used_at=later)
    assert found.digest == FIRST


async def test_all_sessions_of_one_account_end(store: SessionStore) -> None:
    """Those of others go on, and so does the one that is named."""
    own = [make_session() for _ in range(3)]
    foreign = make_session(BEA)
    for session in (*own, foreign):
        await store.add(session, digest=FIRST, keep=9)
    assert await store.revoke_all(ANA, now=NOW, except_for=own[0].session_id) == 2
    assert await store.list_active(ANA, now=NOW) == [own[0]]
    assert await store.revoke_all(ANA, now=NOW) == 1
    assert await store.list_active(BEA, now=NOW) == [foreign]


async def test_only_living_sessions_are_listed(store: SessionStore) -> None:
    """One that is over is not, even if nobody ended it."""
    over = make_session(expires_at=NOW)
    living = make_session()
    for session in (over, living):
        await store.add(session, digest=FIRST, keep=9)
    assert await store.list_active(ANA, now=NOW) == [living]


async def test_the_oldest_give_way(store: SessionStore) -> None:
    """An account has no more sessions than it may; those of others stay."""
    foreign = make_session(BEA, created_at=NOW - timedelta(days=9))
    await store.add(foreign, digest=FIRST, keep=1)
    made = [make_session(created_at=NOW + timedelta(minutes=number)) for number in range(4)]
    for session in made:
        await store.add(session, digest=FIRST, keep=2)
    kept = {each.session_id for each in await store.list_active(ANA, now=NOW)}
    assert kept == {each.session_id for each in made[2:]}
    assert await store.find(foreign.session_id) is not None


async def test_a_database_that_can_not_answer_is_no_ended_session(tmp_path: Path) -> None:
    """Nobody is told to sign in again because of it."""
    engine = make_engine(f"sqlite:///{tmp_path}/empty.db")
    store = SQLSessionStore(engine)
    session = make_session()
    with pytest.raises(StoreError):
        await store.find(session.session_id)
    with pytest.raises(StoreError):
        await store.rotate(use_of(session), now=NOW, used_since=LONG_AGO)
    await engine.dispose()
