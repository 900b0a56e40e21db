import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.authorization.tenants import may_grant, require_person
from stockade.core import Principal, UserId
from stockade.core.identity import AuthenticationMethod
from stockade.errors import ForbiddenError

GRANTED = {
    "owner": frozenset({"a:b:c"}),
    "admin": frozenset({"a:b:d"}),
    "member": frozenset[str](),
    "helper": frozenset({"a:b:d"}),
    "auditor": frozenset({"a:b:e"}),
}


@pytest.mark.parametrize(
    ("giver", "gives"),
    [
        ("owner", {"owner", "admin", "member", "helper", "auditor"}),
        ("admin", {"admin", "member", "helper"}),
        ("member", set()),
        ("helper", set()),
        ("auditor", set()),
        ("Owner", set()),
        ("owner ", set()),
        ("super_admin", set()),
        (None, set()),
    ],
    ids=str,
)
def test_who_gives_which_role(giver: str | None, gives: set[str]) -> None:
    """An owner gives every role, an admin none above the own one, and nobody else any."""
    names = [*GRANTED, "Admin", "super_admin", "", "unknown"]
    assert {role for role in names if may_grant(giver, role, GRANTED)} == gives


@given(
    st.dictionaries(
        st.sampled_from(["owner", "admin", "member", "x", "y"]),
        st.frozensets(st.sampled_from(["a:b:c", "a:b:d", "a:b:e"])),
    ),
    st.sampled_from(["owner", "admin", "member", "x", "y"]),
    st.sampled_from(["owner", "admin", "member", "x", "y"]),
)
def test_nobody_gives_what_they_lack(
    granted: dict[str, frozenset[str]], giver: str, role: str
) -> None:
    """Whatever the table says, no admin hands out a permission that admins do not have."""
    if giver != "owner" and may_grant(giver, role, granted):
        assert giver == "admin"
        assert role != "owner"
        assert granted[role] <= granted.get(giver, frozenset())


def test_a_program_is_no_person() -> None:
    """A key can't bring in whoever holds it."""
    program = Principal(user_id=UserId("ana"), email="", method=AuthenticationMethod.API_KEY)
    with pytest.raises(ForbiddenError):
        require_person(program)
