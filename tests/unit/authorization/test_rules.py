import dataclasses
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.authorization import decide, permissions_of
from stockade.authorization.rules import (
    covers,
    decide_demand,
    named_permissions,
    unknown_roles,
)
from stockade.core import AuthenticationMethod, Policy, Principal, UserId, UserType
from stockade.core.identity import SECOND_FACTORS, Factor
from stockade.core.policy import PolicyConflictError, combine, either
from tests.clock import FrozenClock

NOW = FrozenClock().now()
ROLES = st.sampled_from(["admin", "owner", "member"])
PERMISSIONS = st.sampled_from(["a:b:c", "a:b:d", "a:b:e"])
AGES = st.none() | st.integers(0, 100).map(lambda seconds: timedelta(seconds=seconds))


def make_principal(
    roles: frozenset[str] = frozenset(),
    permissions: frozenset[str] = frozenset(),
    *,
    age: int = 0,
    super_admin: bool = False,
    factors: frozenset[str] = frozenset(),
) -> Principal:
    """Make a caller who signed in some seconds ago."""
    return Principal(
        user_id=UserId("ana"),
        email="ana@example.com",
        user_type=UserType.SUPER_ADMIN if super_admin else UserType.USER,
        roles=roles,
        permissions=permissions,
        authenticated_at=NOW - timedelta(seconds=age),
        factors=factors,
    )


SIMPLE = st.builds(
    Policy,
    authenticated=st.just(True),
    roles=st.lists(st.frozensets(ROLES, max_size=3), max_size=2).map(tuple),
    permissions=st.frozensets(PERMISSIONS),
)
CHOICES = st.lists(SIMPLE, min_size=1, max_size=3).map(either)
NESTED = st.lists(SIMPLE | CHOICES, min_size=1, max_size=3).map(either)
POLICIES = st.builds(
    Policy,
    roles=st.lists(st.frozensets(ROLES, max_size=3), max_size=2).map(tuple),
    permissions=st.frozensets(PERMISSIONS),
    alternatives=st.just(()) | NESTED.map(lambda policy: policy.alternatives),
    step_up=AGES,
    factor=st.none() | st.sampled_from(sorted(SECOND_FACTORS)),
)
PRINCIPALS = st.builds(
    make_principal,
    st.frozensets(ROLES),
    st.frozensets(PERMISSIONS),
    age=st.integers(0, 100),
    super_admin=st.booleans(),
    factors=st.frozensets(st.sampled_from(list(Factor))),
)


def is_entitled(policy: Policy, principal: Principal) -> bool:
    """Read roles, permissions and choices of a policy literally."""
    return (
        all(wanted & principal.roles for wanted in policy.roles)
        and policy.permissions <= principal.permissions
        and all(
            any(is_entitled(each, principal) for each in group) for group in policy.alternatives
        )
    )


@given(POLICIES, PRINCIPALS)
def test_a_decision_is_the_policy_read_literally(policy: Policy, principal: Principal) -> None:
    """One role of each set, every permission, one of each choice, and a young sign-in."""
    entitled = principal.is_super_admin or is_entitled(policy, principal)
    fresh = policy.step_up is None or principal.authenticated_at + policy.step_up >= NOW
    wanted = SECOND_FACTORS if policy.factor == Factor.MFA else {policy.factor}
    proved = policy.factor is None or bool(wanted & principal.factors)
    decision = decide(policy, principal, now=NOW)
    assert decision.granted is (entitled and fresh and proved)
    assert (decision.reason == "authorization.granted") is decision.granted


@given(st.lists(POLICIES, min_size=1, max_size=3), PRINCIPALS)
def test_a_combined_policy_lets_through_whom_each_part_does(
    parts: list[Policy], principal: Principal
) -> None:
    """Combining policies neither opens nor closes anything."""
    try:
        whole = combine(parts)
    except PolicyConflictError:
        return
    each = [decide(part, principal, now=NOW).granted for part in parts]
    assert decide(whole, principal, now=NOW).granted is all(each)
    assert all(covers(whole, part) for part in parts)


@given(POLICIES, POLICIES, PRINCIPALS)
def test_a_policy_that_covers_another_is_at_least_as_strict(
    enforced: Policy, asked: Policy, principal: Principal
) -> None:
    """Where the gate's policy covers a dependency's, nobody passes whom the dependency refuses."""
    if covers(enforced, asked) and decide(enforced, principal, now=NOW).granted:
        assert decide(asked, principal, now=NOW).granted


@pytest.mark.parametrize(
    ("policy", "reason", "evidence"),
    [
        (
            Policy(roles=(frozenset({"admin", "owner"}),)),
            "authorization.role_missing",
            {"needs": "admin,owner", "has": "member"},
        ),
        (
            Policy(roles=(frozenset(),)),
            "authorization.role_missing",
            {"needs": "none", "has": "member"},
        ),
        (
            Policy(permissions=frozenset({"a:b:c"})),
            "authorization.permission_missing",
            {"needs": "a:b:c"},
        ),
        (
            either(
                [Policy(roles=(frozenset({"owner"}),)), Policy(permissions=frozenset({"a:b:c"}))]
            ),
            "authorization.no_alternative",
            {"needs": "owner | a:b:c"},
        ),
        (
            Policy(step_up=timedelta(seconds=59)),
            "authorization.sign_in_too_old",
            {"max_age": "59"},
        ),
        (Policy(factor=Factor.TOTP), "authorization.factor_missing", {"needs": "totp"}),
    ],
    ids=["role", "no-role-would-do", "permission", "choice", "age", "factor"],
)
def test_a_refusal_says_why(policy: Policy, reason: str, evidence: dict[str, str]) -> None:
    """The event log learns what was missing."""
    member = make_principal(frozenset({"member"}), age=60)
    decision = decide(policy, member, now=NOW)
    assert (decision.granted, decision.reason, decision.evidence) == (False, reason, evidence)


def test_a_super_admin_needs_a_fresh_sign_in_like_anybody() -> None:
    """Standing above tenants does not make an old session young."""
    root = make_principal(age=61, super_admin=True)
    assert decide(Policy(roles=(frozenset({"admin"}),)), root, now=NOW).granted
    assert not decide(Policy(step_up=timedelta(seconds=60)), root, now=NOW).granted


@pytest.mark.parametrize("near", ["Admin", "admin ", "ADMIN", "admin\0", "\u0430dmin"], ids=ascii)
def test_roles_are_compared_exactly(near: str) -> None:
    """A role that looks alike is another role."""
    policy = Policy(roles=(frozenset({"admin"}),))
    assert not decide(policy, make_principal(frozenset({near})), now=NOW).granted


@given(st.frozensets(ROLES | st.just("unheard-of")), st.frozensets(ROLES))
def test_permissions_follow_from_roles_alone(roles: frozenset[str], known: frozenset[str]) -> None:
    """Each role adds its own; one that is not in the table adds nothing."""
    table = {role: frozenset({f"{role}:a:b"}) for role in known}
    assert permissions_of(roles, table) == {f"{role}:a:b" for role in roles & known}


def test_roles_that_do_not_exist_are_found() -> None:
    """A misspelt role would lock everybody out; it is named at the start."""
    policy = Policy(roles=(frozenset({"admin", "onwer"}), frozenset({"super_admin"})))
    assert unknown_roles(policy, ["admin", "owner"]) == {"onwer"}
    assert unknown_roles(Policy(), []) == frozenset()
    choice = either([policy, either([Policy(roles=(frozenset({"membr"}),))])])
    assert unknown_roles(choice, ["admin", "owner"]) == {"onwer", "membr"}


def test_permissions_are_found_in_choices() -> None:
    """A permission that nobody has is found wherever in a policy it stands."""
    inner = either([Policy(permissions=frozenset({"a:b:c"})), Policy(authenticated=True)])
    assert named_permissions(combine([inner, Policy(permissions=frozenset({"a:b:d"}))])) == {
        "a:b:c",
        "a:b:d",
    }


def test_without_a_time_no_sign_in_is_fresh() -> None:
    """A caller of `decide` that forgets the time gets a refusal where freshness is asked."""
    asked = Policy(step_up=timedelta(seconds=60))
    assert not decide(asked, make_principal(), now=None).granted
    assert decide(Policy(), make_principal(), now=None).granted


def test_a_role_of_that_name_is_no_super_admin() -> None:
    """What stands above tenants is the kind of the account, whatever a store calls its roles."""
    policy = Policy(roles=(frozenset({"super_admin"}),))
    assert not decide(policy, make_principal(frozenset({"super_admin"})), now=NOW).granted
    assert decide(policy, make_principal(super_admin=True), now=NOW).granted


@pytest.mark.parametrize("factor", sorted(SECOND_FACTORS))
def test_any_second_factor_meets_a_demand(factor: str) -> None:
    """The password does not; a role that is not named demands nothing."""
    demanded = frozenset({"admin"})
    bare = make_principal(frozenset({"admin", "member"}), factors=frozenset({Factor.PASSWORD}))
    refused = decide_demand(demanded, bare)
    assert (refused.granted, refused.reason) == (False, "authorization.factor_demanded")
    assert refused.evidence == {"roles": "admin"}
    proved = dataclasses.replace(bare, factors=frozenset({Factor.PASSWORD, factor}))
    assert decide_demand(demanded, proved).granted
    assert decide_demand(demanded, make_principal(frozenset({"member"}))).granted


def test_a_demand_can_be_made_of_super_admins() -> None:
    """They hold every role, but are asked only where they are named themselves."""
    root = make_principal(super_admin=True)
    assert decide_demand(frozenset({"admin"}), root).granted
    assert not decide_demand(frozenset({"super_admin"}), root).granted


def test_a_role_of_that_name_is_no_super_admin_without_a_factor() -> None:
    """Whoever has a role that is called so is asked as well."""
    assert not decide_demand(
        frozenset({"super_admin"}), make_principal(frozenset({"super_admin"}))
    ).granted


def test_a_program_is_not_asked() -> None:
    """It could not answer; its key was made in a session that had the factor."""
    program = dataclasses.replace(
        make_principal(frozenset({"admin"})), method=AuthenticationMethod.API_KEY
    )
    assert decide_demand(frozenset({"admin"}), program).granted
    assert not decide(Policy(factor=Factor.MFA), program, now=NOW).granted


@pytest.mark.parametrize(("ahead", "fresh"), [(0, True), (120, True), (121, False), (9e6, False)])
def test_a_sign_in_of_the_future_is_not_fresh(ahead: float, fresh: bool) -> None:
    """A clock that was put back lengthens nothing, but for what clocks may differ."""
    principal = make_principal(age=int(-ahead))
    assert decide(Policy(step_up=timedelta(minutes=5)), principal, now=NOW).granted is fresh
