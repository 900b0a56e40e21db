import pytest
from pydantic import ValidationError

from stockade.authorization import AuthorizationSettings
from stockade.core import TenantRole


def test_the_required_roles_exist_and_have_no_permissions() -> None:
    """By default there are admin, owner and member, and a permission has to be given by name."""
    roles = AuthorizationSettings().roles
    assert roles == {str(role): frozenset() for role in TenantRole}


@pytest.mark.parametrize(
    "permission",
    ["", "a", "a:b", "a:b:c:d", "A:b:c", "a:b:c\n", " a:b:c", "a:b:", "ä:b:c", "a" * 129 + ":b:c"],
    ids=repr,
)
def test_a_permission_has_one_form(permission: str) -> None:
    """What reads otherwise would never match anything."""
    with pytest.raises(ValidationError):
        AuthorizationSettings(roles={"admin": frozenset({permission})})


def test_a_permission_reads_scope_resource_action() -> None:
    """Three words in lower case, of which the last two may be stars."""
    granted = frozenset({"notes:note:read", "notes:*:*"})
    assert AuthorizationSettings(roles={"admin": granted}).roles == {"admin": granted}


@pytest.mark.parametrize(
    "inherits",
    [{"admin": {"admin"}}, {"admin": {"onwer"}}, {"boss": {"admin"}}],
    ids=["circle", "unknown", "unknown-heir"],
)
def test_inheritance_names_roles_that_exist(inherits: dict[str, frozenset[str]]) -> None:
    """A table of roles that can't be meant is refused."""
    with pytest.raises(ValidationError):
        AuthorizationSettings(inherits=inherits)


def test_a_role_gets_the_permissions_of_those_it_inherits() -> None:
    """What a role is granted includes what it inherits, and nothing flows the other way."""
    settings = AuthorizationSettings(
        roles={"member": frozenset({"a:b:c"}), "admin": frozenset({"a:b:d"})},
        inherits={"admin": frozenset({"member"})},
    )
    assert settings.granted == {
        "member": frozenset({"a:b:c"}),
        "admin": frozenset({"a:b:c", "a:b:d"}),
    }


def test_a_demand_names_roles_that_exist() -> None:
    """A misspelt one would never be asked."""
    for roles in (["admin"], ["owner", "super_admin"], []):
        wanted = AuthorizationSettings(factor_required_for=frozenset(roles))
        assert wanted.factor_required_for == frozenset(roles)
    with pytest.raises(ValidationError):
        AuthorizationSettings(factor_required_for=frozenset({"onwer"}))
