"""Expect the same of every store of second factors."""

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stockade.authentication.factors import make_sealer
from stockade.authentication.interfaces import FactorStore
from stockade.authentication.totp import TOTPFactor, owner_of
from stockade.core import UserId
from stockade.crypto import KeyRing
from stockade.errors import StoreError
from stockade.storage.memory.factors import MemoryFactorStore
from stockade.storage.sql import NewAccount, create_account, make_engine, upgrade_schema
from stockade.storage.sql.factors import SQLFactorStore, reseal_totp
from tests.unit.authentication.helpers import NEW, OLD

NOW = datetime(2026, 1, 1, 12, 0, 0, 123_456, tzinfo=UTC)
ANA, BEA = UserId("ana"), UserId("bea")
CODES = [letter * 64 for letter in "abc"]


def make_factor(user_id: UserId = ANA, sealed: str = "first") -> TOTPFactor:
    """Make an app that is not confirmed yet."""
    return TOTPFactor(
        factor_id=str(uuid.uuid4()), user_id=user_id, sealed=sealed, created_at=NOW, last_step=-1
    )


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[FactorStore]:
    """One store of each kind, with two accounts."""
    if request.param == "memory":
        yield MemoryFactorStore()
        return
    url = f"sqlite:///{tmp_path}/factors.db"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
    engine = make_engine(url)
    await upgrade_schema(engine)
    async with engine.begin() as connection:
        for user_id in (ANA, BEA):
            account = NewAccount(email=f"{user_id}@example.com", password_hash="", user_id=user_id)
            await create_account(connection, account)
    yield SQLFactorStore(engine)
    await engine.dispose()


async def confirmed(store: FactorStore, user_id: UserId = ANA, *, step: int = 10) -> TOTPFactor:
    """Enrol an app and confirm it."""
    factor = make_factor(user_id)
    assert await store.enrol_totp(factor)
    assert await store.confirm_totp(factor.factor_id, step=step, now=NOW, codes=CODES)
    return factor


async def test_an_app_comes_back_as_it_was(store: FactorStore) -> None:
    """Every moment keeps its time zone and its microseconds; others have none."""
    factor = make_factor()
    assert await store.enrol_totp(factor)
    assert await store.find_totp(ANA) == factor
    assert await store.find_totp(BEA) is None


async def test_a_later_enrolment_takes_the_place_of_one_that_nobody_confirmed(
    store: FactorStore,
) -> None:
    """The first one can't be confirmed any more: its secret was shown to somebody else."""
    first, second = make_factor(), make_factor(sealed="second")
    assert await store.enrol_totp(first)
    assert await store.enrol_totp(second)
    assert await store.find_totp(ANA) == second
    assert not await store.confirm_totp(first.factor_id, step=1, now=NOW, codes=CODES)
    assert await store.count_codes(ANA) == 0
    assert await store.confirm_totp(second.factor_id, step=1, now=NOW, codes=CODES)


async def test_a_confirmed_app_stays(store: FactorStore) -> None:
    """No enrolment takes its place, and it is confirmed once."""
    factor = await confirmed(store)
    assert not await store.enrol_totp(make_factor(sealed="second"))
    assert not await store.confirm_totp(factor.factor_id, step=99, now=NOW, codes=["d" * 64])
    found = await store.find_totp(ANA)
    assert found is not None
    assert (found.factor_id, found.sealed) == (factor.factor_id, "first")
    assert (found.confirmed_at, found.last_step) == (NOW, 10)
    assert await store.count_codes(ANA) == 3


async def test_of_many_enrolments_one_is_confirmed(store: FactorStore) -> None:
    """Whoever is shown a secret, and whoever confirms it at the same time: one app is on."""
    factors = [make_factor(sealed=str(number)) for number in range(20)]

    async def enrol_and_confirm(factor: TOTPFactor) -> bool:
        await store.enrol_totp(factor)
        return await store.confirm_totp(factor.factor_id, step=1, now=NOW, codes=CODES)

    results = await asyncio.gather(*(enrol_and_confirm(factor) for factor in factors))
    assert sum(results) == 1
    found = await store.find_totp(ANA)
    assert found is not None
    assert found.factor_id == factors[results.index(True)].factor_id
    assert await store.count_codes(ANA) == 3


async def test_a_step_is_taken_once(store: FactorStore) -> None:
    """Nor is one before it, and that of the confirmation counts as taken."""
    factor = await confirmed(store, step=10)
    for step, taken in [(10, False), (9, False), (11, True), (11, False), (10, False), (13, True)]:
        assert await store.use_totp(factor.factor_id, step=step, sealed=f"at {step}") is taken
    found = await store.find_totp(ANA)
    assert found is not None
    assert (found.last_step, found.sealed) == (13, "at 13")


async def test_of_many_uses_of_a_step_one_wins(store: FactorStore) -> None:
    """Two hundred parallel uses of one code sign in once."""
    factor = await confirmed(store)
    results = await asyncio.gather(
        *(store.use_totp(factor.factor_id, step=11, sealed="s") for _ in range(200))
    )
    assert sum(results) == 1


async def test_an_app_that_is_not_confirmed_takes_nothing(store: FactorStore) -> None:
    """Nor does one that is not there, or that was removed."""
    factor = make_factor()
    await store.enrol_totp(factor)
    assert not await store.use_totp(factor.factor_id, step=1, sealed="s")
    assert not await store.use_totp("nothing", step=1, sealed="s")
    await store.confirm_totp(factor.factor_id, step=1, now=NOW, codes=CODES)
    await store.remove_totp(factor.factor_id)
    assert not await store.use_totp(factor.factor_id, step=2, sealed="s")


async def test_a_removed_app_leaves_nothing(store: FactorStore) -> None:
    """Another one can be enrolled; recovery codes stay, for a factor that is left."""
    factor = await confirmed(store)
    await confirmed(store, BEA)
    assert await store.remove_totp(factor.factor_id)
    assert not await store.remove_totp(factor.factor_id)
    assert await store.find_totp(ANA) is None
    assert await store.find_totp(BEA) is not None
    assert (await store.count_codes(ANA), await store.count_codes(BEA)) == (3, 3)
    await store.replace_codes(ANA, ())
    assert (await store.count_codes(ANA), await store.count_codes(BEA)) == (0, 3)
    assert not await store.use_code(ANA, CODES)
    assert await store.enrol_totp(make_factor())


async def test_a_recovery_code_works_once(store: FactorStore) -> None:
    """Of two hundred parallel uses one wins; another account's code is none of this one."""
    await confirmed(store)
    assert not await store.use_code(BEA, CODES[:1])
    results = await asyncio.gather(*(store.use_code(ANA, ["z" * 64, CODES[0]]) for _ in range(200)))
    assert sum(results) == 1
    assert await store.count_codes(ANA) == 2
    assert not await store.use_code(ANA, [])


async def test_new_codes_take_the_place_of_the_old_ones(store: FactorStore) -> None:
    """None of those before them works."""
    await confirmed(store)
    await store.replace_codes(ANA, ["d" * 64, "e" * 64])
    assert not await store.use_code(ANA, CODES[:1])
    assert await store.use_code(ANA, ["d" * 64])
    assert await store.count_codes(ANA) == 1


async def test_a_database_that_can_not_answer_is_no_missing_factor(tmp_path: Path) -> None:
    """Nobody signs in without a second factor because of it."""
    engine = make_engine(f"sqlite:///{tmp_path}/empty.db")
    store = SQLFactorStore(engine)
    with pytest.raises(StoreError):
        await store.find_totp(ANA)
    with pytest.raises(StoreError):
        await store.use_code(ANA, CODES)
    await engine.dispose()


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def test_secrets_are_sealed_with_the_newest_key(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Those of an older one, and no others; what can't be opened is counted."""
    url = f"sqlite:///{tmp_path}/sealed.db"
    if kind == "postgres":
        url = request.getfixturevalue("postgres_url")
    engine = make_engine(url)
    await upgrade_schema(engine)
    store = SQLFactorStore(engine)
    rings = {"old": [OLD], "new": [NEW], "gone": ["Zk9" + NEW[3:]]}
    for name, ring in rings.items():
        async with engine.begin() as connection:
            account = NewAccount(email=name, password_hash="", user_id=UserId(name))
            await create_account(connection, account)
        factor = make_factor(UserId(name))
        sealed = make_sealer(KeyRing(ring)).seal(
            b"s", owner=owner_of(factor.factor_id, UserId(name))
        )
        await store.enrol_totp(dataclasses.replace(factor, sealed=sealed))
    assert await reseal_totp(engine, make_sealer(KeyRing([OLD, NEW]))) == (1, 1)
    assert await reseal_totp(engine, make_sealer(KeyRing([NEW]))) == (0, 1)
    found = await store.find_totp(UserId("old"))
    assert found is not None
    owner = owner_of(found.factor_id, found.user_id)
    assert make_sealer(KeyRing([NEW])).open(found.sealed, owner=owner) == b"s"
    await engine.dispose()
