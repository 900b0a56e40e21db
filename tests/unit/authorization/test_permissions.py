import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.authorization import Permission
from stockade.authorization.permissions import is_permission, resolve_roles
from stockade.errors import ConfigurationError

NAMES = st.sampled_from(["a", "b", "c", "d", "e"])


def grants(*roles: str) -> dict[str, frozenset[str]]:
    """Give each role one permission of its own."""
    return {role: frozenset({f"x:y:{role}"}) for role in roles}


@given(st.dictionaries(NAMES, st.frozensets(NAMES)))
def test_a_role_has_the_permissions_of_all_it_reaches(inherits: dict[str, frozenset[str]]) -> None:
    """Permissions follow inheritance at any distance; a circle is an error and never a loop."""
    roles = grants("a", "b", "c", "d", "e")
    reached = {role: {role} for role in roles}
    for _ in roles:
        for role, found in reached.items():
            found |= {below for each in tuple(found) for below in inherits.get(each, ())}
            reached[role] = found
    circular = any(
        role in reached[above] for role in roles for above in inherits.get(role, frozenset())
    )
    if circular:
        with pytest.raises(ConfigurationError):
            resolve_roles(roles, inherits)
        return
    assert resolve_roles(roles, inherits) == {
        role: {f"x:y:{each}" for each in found} for role, found in reached.items()
    }


@pytest.mark.parametrize(
    ("roles", "inherits"),
    [
        (["a"], {"a": {"a"}}),
        (["a", "b"], {"a": {"b"}, "b": {"a"}}),
        (["a"], {"a": {"b"}}),
        (["a"], {"b": {"a"}}),
        (["admin", "Admin"], {}),
        (["admin", "admin "], {}),
        (["super_admin"], {}),
        (["Super_Admin"], {}),
    ],
    ids=["itself", "circle", "unknown", "unknown-heir", "case", "space", "kind", "kind-case"],
)
def test_a_table_that_cannot_be_meant_is_refused(
    roles: list[str], inherits: dict[str, set[str]]
) -> None:
    """Circles, unknown names and names that look alike are mistakes."""
    with pytest.raises(ConfigurationError):
        resolve_roles(grants(*roles), {key: frozenset(value) for key, value in inherits.items()})


def test_a_member_is_its_text() -> None:
    """A permission is a string that reads as the policy compares it."""

    class Notes(Permission):
        READ = "notes:note:read"

    assert str(Notes.READ) == f"{Notes.READ}" == "notes:note:read"
    assert Notes("notes:note:read") is Notes.READ


@pytest.mark.parametrize(
    "value",
    ["", "notes", "notes:note", "Notes:note:read", "notes:note:read ", "a:b:c\n", "\uff41:b:c"],
)
def test_a_member_that_could_never_match_stops_the_import(value: str) -> None:
    """A misspelt permission is found where it is written."""
    assert not is_permission(value)
    with pytest.raises(ConfigurationError):

        class Notes(Permission):
            READ = value
