"""The tenant of a principal becomes the value of a column exactly, or not at all."""

# SQLAlchemy's listeners and types have no common type.
# ruff: noqa: ANN401
from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import BigInteger, Column, Integer, String, Text, Uuid

from stockade.core import TenantId
from stockade.tenancy import TenantRequiredError
from stockade.tenancy.identifiers import TenantKind

KINDS = {
    "text": String(36),
    "integer": Integer(),
    "uuid": Uuid(),
    "uuid_text": Uuid(as_uuid=False),
}


def convert(kind: Any, tenant: str) -> object:
    """Convert a tenant for a column of a type."""
    return TenantKind(Column("tenant_id", kind)).convert(TenantId(tenant))


@pytest.mark.parametrize(
    ("kind", "tenant", "value"),
    [
        (String(36), "acme", "acme"),
        (Text(), "a" * 255, "a" * 255),
        (Integer(), "7", 7),
        (BigInteger(), "-7", -7),
        (Uuid(), str(UUID(int=7)), UUID(int=7)),
        (Uuid(as_uuid=False), str(UUID(int=7)), str(UUID(int=7))),
    ],
)
def test_fitting_tenant(kind: Any, tenant: str, value: object) -> None:
    """A tenant that is the column's own text is taken."""
    assert convert(kind, tenant) == value


@pytest.mark.parametrize(
    ("kind", "tenant"),
    [
        (String(3), "acme"),
        (Text(), "a" * 256),
        (String(36), "a\x00"),
        (String(36), "a\n"),
        (Integer(), "07"),
        (Integer(), " 7"),
        (Integer(), "+7"),
        (Integer(), "1_0"),
        (Integer(), "7.0"),
        (Integer(), "\u0667"),
        (Integer(), str(2**63)),
        (Integer(), "acme"),
        (Uuid(), UUID(int=7).hex),
        (Uuid(), "{" + str(UUID(int=7)) + "}"),
        (Uuid(), str(UUID(int=171)).upper()),
        (Uuid(as_uuid=False), "acme"),
    ],
)
def test_tenant_that_does_not_fit(kind: Any, tenant: str) -> None:
    """A tenant that would have to be made to fit is refused."""
    with pytest.raises(TenantRequiredError) as caught:
        convert(kind, tenant)
    assert caught.value.reason == "tenancy.invalid_tenant"


@given(kind=st.sampled_from(sorted(KINDS)), one=st.text(min_size=1), two=st.text(min_size=1))
def test_two_tenants_stay_two(kind: str, one: str, two: str) -> None:
    """Different tenants never become the same value, and only the declared error is raised."""
    values = []
    for tenant in (one, two):
        try:
            values.append(convert(KINDS[kind], tenant))
        except TenantRequiredError:
            return
    assert (values[0] == values[1]) == (one == two)
