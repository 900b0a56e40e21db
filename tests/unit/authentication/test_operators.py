import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from stockade.authentication.api_clients import NewClient
from stockade.authentication.api_keys import APIKeys
from stockade.authentication.operators import OPERATOR, Operator
from stockade.core import TenantId
from stockade.crypto import KeyRing
from stockade.errors import ConfigurationError
from stockade.storage.memory.accounts import MemoryAccountStore
from stockade.storage.memory.api_clients import MemoryAPIClientStore
from tests.clock import FrozenClock
from tests.unit.authentication.helpers import ANA, NEW

ACME = TenantId("acme")
ROLES = {"admin": frozenset({"notes:note:write"}), "member": frozenset[str]()}
WANTED = NewClient(
    name="Nightly",
    scopes=frozenset({"notes:note:write"}),
    roles=frozenset({"admin"}),
    lifetime=timedelta(days=1),
)


class Bench:
    """An operator with stores in memory."""

    def __init__(self) -> None:
        self.clock = FrozenClock()
        self.store = MemoryAPIClientStore()
        self.keys = APIKeys(KeyRing((NEW,)))
        self.operator = Operator(
            self.store,
            MemoryAccountStore([ANA]),
            keys=self.keys,
            clock=self.clock,
            roles=ROLES,
        )


@pytest.fixture
def bench() -> Bench:
    """One operator."""
    return Bench()


async def test_a_program_is_kept_as_it_was_wanted(bench: Bench) -> None:
    """The operator stands in the place of its maker, and the store has a digest alone."""
    issued = await bench.operator.create(WANTED, tenant_id=ACME, owner=None)
    stored = await bench.store.find(issued.client.client_id)
    assert stored is not None
    assert stored.client == issued.client
    assert (issued.client.created_by, issued.client.user_id) == (OPERATOR, None)
    assert issued.client.expires_at == bench.clock.now() + timedelta(days=1)
    assert bench.keys.is_key_of(issued.key.encode(), stored.secrets[0].digest)
    assert issued.key not in repr(stored) + repr(issued)


@pytest.mark.parametrize(
    ("changes", "tenant", "owner"),
    [
        ({"roles": frozenset({"root"})}, ACME, None),
        ({"scopes": frozenset({"a:b:c"})}, ACME, None),
        ({}, None, None),
        ({}, None, "ana@example.com"),
        ({}, ACME, "bea@example.com"),
        ({}, TenantId("zeta"), "ana@example.com"),
    ],
    ids=["role", "scope", "nobody", "role without tenant", "no account", "no member"],
)
async def test_a_mistake_makes_nothing(
    bench: Bench, changes: dict[str, Any], tenant: TenantId | None, owner: str | None
) -> None:
    """It is told, and no key is made that would never open anything."""
    wanted = dataclasses.replace(WANTED, **changes)
    with pytest.raises(ConfigurationError):
        await bench.operator.create(wanted, tenant_id=tenant, owner=owner)
    assert bench.store._clients == {}


async def test_a_program_that_has_ended_is_not_rotated(bench: Bench) -> None:
    """Neither one that was ended nor one whose time is over."""
    issued = await bench.operator.create(WANTED, tenant_id=ACME, owner=None)
    name = issued.client.client_id
    assert (await bench.operator.rotate(name, overlap=timedelta(0))).key != issued.key
    bench.clock.advance(24 * 3600)
    with pytest.raises(ConfigurationError):
        await bench.operator.rotate(name, overlap=timedelta(0))
    assert await bench.operator.revoke(name)
    assert not await bench.operator.revoke(name)


async def test_a_program_that_never_was(bench: Bench) -> None:
    """A mistake in a name is told."""
    with pytest.raises(ConfigurationError):
        await bench.operator.rotate("stkc_0", overlap=timedelta(0))
    with pytest.raises(ConfigurationError):
        await bench.operator.revoke("stkc_0")
