from datetime import UTC, datetime

import pytest

from stockade.core import Principal, TenantId, TenantRole, UserId, UserType

ANA = Principal(user_id=UserId("ana"), email="ana@example.com", tenant_id=TenantId("acme"))


def test_a_principal_reads_as_the_claims_that_teams_use() -> None:
    """Code written for a dictionary of claims keeps working."""
    assert dict(ANA) == {
        "user_id": "ana",
        "email": "ana@example.com",
        "user_type": "user",
        "active_tenant_id": "acme",
    }
    assert len(ANA) == 4
    assert list(ANA) == list(ANA.keys())


@pytest.mark.parametrize("claim", ["roles", "tenant_id", "__class__", "is_super_admin", ""])
def test_nothing_else_is_read_by_key(claim: str) -> None:
    """An attribute is no claim: a key that comes from a request can't reach for one."""
    with pytest.raises(KeyError):
        ANA[claim]
    assert ANA.get(claim, "default") == "default"


def test_get_gives_the_default_for_a_claim_that_is_not_set() -> None:
    """A caller without a tenant has the default in place of it."""
    nobody = Principal(user_id=UserId("x"), email="x@example.com")
    assert nobody["active_tenant_id"] is None
    assert nobody.get("active_tenant_id", "none") == "none"
    assert nobody.get("active_tenant_id") is None


def test_a_principal_starts_with_nothing() -> None:
    """Roles, permissions and a fresh sign-in have to be given; none comes by default."""
    plain = Principal(user_id=UserId("x"), email="x@example.com")
    assert (plain.roles, plain.permissions) == (frozenset(), frozenset())
    assert not plain.is_super_admin
    assert plain.authenticated_at == datetime(1970, 1, 1, tzinfo=UTC)


def test_only_the_kind_of_account_makes_a_super_admin() -> None:
    """A tenant role of that name means nothing."""
    pretender = Principal(
        user_id=UserId("x"), email="x@example.com", roles=frozenset({"super_admin"})
    )
    real = Principal(user_id=UserId("x"), email="x@example.com", user_type=UserType.SUPER_ADMIN)
    assert not pretender.is_super_admin
    assert real.is_super_admin


def test_a_principal_can_not_be_changed() -> None:
    """What the gate verified stays as it was."""
    with pytest.raises(AttributeError):
        ANA.tenant_id = TenantId("other")  # type: ignore[misc]  # The attack.


def test_the_required_names_exist() -> None:
    """User types and tenant roles carry the names of requirement R8."""
    assert {str(kind) for kind in UserType} == {"super_admin", "user"}
    assert {str(role) for role in TenantRole} == {"admin", "owner", "member"}
