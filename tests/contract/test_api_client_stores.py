"""Expect the same of every store of programs."""

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stockade.authentication.interfaces import APIClientStore, LeakedKeyStore
from stockade.authentication.models import APIClient, APISecret
from stockade.core import TenantId, UserId
from stockade.errors import StoreError
from stockade.storage.memory.api_clients import MemoryAPIClientStore
from stockade.storage.sql import (
    NewAccount,
    create_account,
    create_tenant,
    make_engine,
    upgrade_schema,
)
from stockade.storage.sql.api_clients import SQLAPIClientStore

NOW = datetime(2026, 1, 1, 12, 0, 0, 123_456, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
ACME, ZETA = TenantId("acme"), TenantId("zeta")
ANA = UserId("ana")


def make_client(**changes: object) -> APIClient:
    """Make a program of an account."""
    client = APIClient(
        client_id=f"stkc_{uuid.uuid4().hex[:24]}",
        name="Nightly é",
        tenant_id=ACME,
        user_id=ANA,
        roles=frozenset({"member", "admin"}),
        scopes=frozenset({"notes:note:read", "notes:note:write"}),
        created_at=NOW,
        created_by=ANA,
        expires_at=LATER,
        requests_per_minute=1000,
    )
    return dataclasses.replace(client, **changes)  # type: ignore[arg-type]  # Any field.


def make_secret(letter: str, minutes: int = 0, **changes: object) -> APISecret:
    """Make a key that was made some minutes later."""
    secret = APISecret(
        secret_id=str(uuid.uuid4()),
        digest=letter * 64,
        created_at=NOW + timedelta(minutes=minutes),
    )
    return dataclasses.replace(secret, **changes)  # type: ignore[arg-type]  # Any field.


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[APIClientStore]:
    """One store of each kind, with an account and two tenants."""
    if request.param == "memory":
        yield MemoryAPIClientStore()
        return
    url = f"sqlite:///{tmp_path}/clients.db"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
    engine = make_engine(url)
    await upgrade_schema(engine)
    async with engine.begin() as connection:
        account = NewAccount(email="ana@example.com", password_hash="", user_id=ANA)
        await create_account(connection, account)
        for tenant in (ACME, ZETA):
            await create_tenant(connection, tenant, tenant_id=tenant)
    yield SQLAPIClientStore(engine)
    await engine.dispose()


async def test_a_client_comes_back_as_it_was(store: APIClientStore) -> None:
    """With every moment and every name."""
    plain = make_client(roles=frozenset(), scopes=frozenset(), tenant_id=None, expires_at=None)
    for client in (make_client(), plain):
        secret = make_secret("a")
        await store.add(client, secret)
        found = await store.find(client.client_id)
        assert found is not None
        assert found.client == client
        assert found.secrets == (secret,)
    assert await store.find("nothing") is None


async def test_clients_are_listed_by_owner(store: APIClientStore) -> None:
    """Those of an account, of a tenant, and of another tenant do not mix."""
    own, of_tenant = make_client(), make_client(user_id=None)
    elsewhere, outside = make_client(tenant_id=ZETA), make_client(tenant_id=None)
    for client in (own, of_tenant, elsewhere, outside):
        await store.add(client, make_secret("a"))
    assert await store.list_of(tenant_id=ACME, user_id=ANA) == [own]
    assert await store.list_of(tenant_id=ACME, user_id=None) == [of_tenant]
    assert await store.list_of(tenant_id=ZETA, user_id=ANA) == [elsewhere]
    assert await store.list_of(tenant_id=None, user_id=ANA) == [outside]
    assert await store.list_of(tenant_id=None, user_id=None) == []


async def test_two_keys_overlap(store: APIClientStore) -> None:
    """The newest one of before ends at a moment, and any older one is gone."""
    client = make_client()
    first, second, third = (make_secret(letter, at) for at, letter in enumerate("abc"))
    await store.add(client, first)
    assert await store.rotate(client.client_id, second, old_until=LATER)
    found = await store.find(client.client_id)
    assert found is not None
    assert found.secrets == (second, dataclasses.replace(first, expires_at=LATER))
    assert await store.rotate(client.client_id, third, old_until=LATER)
    found = await store.find(client.client_id)
    assert found is not None
    assert found.secrets == (third, dataclasses.replace(second, expires_at=LATER))
    assert not await store.rotate("nothing", third, old_until=LATER)


async def test_a_key_that_ends_sooner_still_does(store: APIClientStore) -> None:
    """An overlap lengthens nothing."""
    client, soon = make_client(), NOW + timedelta(minutes=1)
    await store.add(client, make_secret("a", expires_at=soon))
    await store.rotate(client.client_id, make_secret("b", 1), old_until=LATER)
    found = await store.find(client.client_id)
    assert found is not None
    assert found.secrets[1].expires_at == soon


async def test_parallel_rotations_leave_two_keys(store: APIClientStore) -> None:
    """However many there are."""
    client = make_client()
    await store.add(client, make_secret("a"))
    secrets = [make_secret("bcdef"[at], at + 1) for at in range(5)]
    await asyncio.gather(
        *(store.rotate(client.client_id, each, old_until=LATER) for each in secrets)
    )
    found = await store.find(client.client_id)
    assert found is not None
    assert len(found.secrets) == 2


async def test_a_digest_is_renewed(store: APIClientStore) -> None:
    """That of one key, and nothing else of it."""
    client, secret = make_client(), make_secret("a")
    await store.add(client, secret)
    await store.renew(client.client_id, secret.secret_id, digest="b" * 64)
    await store.renew("nothing", secret.secret_id, digest="c" * 64)
    await store.renew(client.client_id, "nothing", digest="c" * 64)
    found = await store.find(client.client_id)
    assert found is not None
    assert found.secrets == (dataclasses.replace(secret, digest="b" * 64),)


async def test_a_client_ends_once(store: APIClientStore) -> None:
    """A second time changes nothing."""
    client = make_client()
    await store.add(client, make_secret("a"))
    assert await store.revoke(client.client_id, now=NOW)
    assert not await store.revoke(client.client_id, now=LATER)
    assert not await store.revoke("nothing", now=NOW)
    found = await store.find(client.client_id)
    assert found is not None
    assert found.client.revoked_at == NOW


async def test_a_use_is_remembered(store: APIClientStore) -> None:
    """It changes nothing else."""
    client = make_client()
    await store.add(client, make_secret("a"))
    await store.touch(client.client_id, now=LATER)
    await store.touch("nothing", now=LATER)
    found = await store.find(client.client_id)
    assert found is not None
    assert found.client == dataclasses.replace(client, last_used_at=LATER)


async def test_a_database_that_can_not_answer_is_no_wrong_key(tmp_path: Path) -> None:
    """The caller is told to try again."""
    engine = make_engine(f"sqlite:///{tmp_path}/empty.db")
    with pytest.raises(StoreError):
        await SQLAPIClientStore(engine).find("stkc_")
    await engine.dispose()


async def test_a_key_is_found_by_its_digest(store: APIClientStore) -> None:
    """Each with its program, whichever of its keys it is; what nobody has is not there."""
    assert isinstance(store, LeakedKeyStore)
    one, two = make_client(), make_client(user_id=None)
    first, second, other = make_secret("a"), make_secret("b", 1), make_secret("c")
    await store.add(one, first)
    await store.rotate(one.client_id, second, old_until=LATER)
    await store.add(two, other)
    found = await store.find_by_digests(["a" * 64, "c" * 64, "d" * 64])
    assert found.keys() == {"a" * 64, "c" * 64}
    assert found["a" * 64] == (one, dataclasses.replace(first, expires_at=LATER))
    assert found["c" * 64] == (two, other)
    assert await store.find_by_digests([]) == {}


async def test_many_digests_are_looked_for_at_once(store: APIClientStore) -> None:
    """More than a database takes in one statement."""
    assert isinstance(store, LeakedKeyStore)
    client = make_client()
    await store.add(client, make_secret("a"))
    wanted = [f"{number:064}" for number in range(40_000)] + ["a" * 64]
    assert list(await store.find_by_digests(wanted)) == ["a" * 64]


async def test_one_key_ends_alone_and_once(store: APIClientStore) -> None:
    """The other key of the program goes on, and of calls at once one gets the news."""
    assert isinstance(store, LeakedKeyStore)
    client, first, second = make_client(), make_secret("a"), make_secret("b", 1)
    await store.add(client, first)
    await store.rotate(client.client_id, second, old_until=LATER)
    ends = [store.end_secret(client.client_id, first.secret_id, now=NOW) for _ in range(5)]
    assert sorted(await asyncio.gather(*ends)) == [False] * 4 + [True]
    stored = await store.find(client.client_id)
    assert stored is not None
    assert {each.digest[0]: each.expires_at for each in stored.secrets} == {"a": NOW, "b": None}


async def test_a_key_of_nobody_does_not_end(store: APIClientStore) -> None:
    """Neither an unknown one nor another program's."""
    assert isinstance(store, LeakedKeyStore)
    one, two, secret = make_client(), make_client(), make_secret("a")
    await store.add(one, secret)
    await store.add(two, make_secret("b"))
    assert not await store.end_secret(one.client_id, "unknown", now=NOW)
    assert not await store.end_secret(two.client_id, secret.secret_id, now=NOW)
    assert not await store.end_secret("stkc_unknown", secret.secret_id, now=NOW)


async def test_a_key_that_was_ended_can_be_rotated(store: APIClientStore) -> None:
    """It stays ended, and the new one holds."""
    assert isinstance(store, LeakedKeyStore)
    client, first, second = make_client(), make_secret("a"), make_secret("b", 1)
    await store.add(client, first)
    await store.end_secret(client.client_id, first.secret_id, now=NOW)
    assert await store.rotate(client.client_id, second, old_until=LATER)
    stored = await store.find(client.client_id)
    assert stored is not None
    assert [(each.digest[0], each.expires_at) for each in stored.secrets] == [
        ("b", None),
        ("a", NOW),
    ]
