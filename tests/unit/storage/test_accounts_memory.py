import dataclasses

from stockade.core import TenantId
from stockade.storage.memory.accounts import MemoryAccountStore
from tests.unit.authentication.helpers import ANA

OTHER = dataclasses.replace(ANA, tenant_id=TenantId("other"), roles=frozenset({"owner"}))


async def test_a_replaced_account_keeps_its_place() -> None:
    """Deactivating the account in its default tenant does not make another tenant the default."""
    store = MemoryAccountStore([ANA, OTHER])
    off = dataclasses.replace(ANA, active=False)
    store.put(off)
    assert await store.find_by_email(ANA.email) == off


async def test_a_new_account_is_added() -> None:
    """An account in a further tenant stands behind those that are there."""
    store = MemoryAccountStore()
    store.put(ANA)
    store.put(OTHER)
    assert await store.find_by_email(ANA.email) == ANA
    assert await store.find_by_id(ANA.user_id, TenantId("other")) == OTHER
