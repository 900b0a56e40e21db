from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.core import LimitRule, Policy
from stockade.core.identity import SECOND_FACTORS
from stockade.core.policy import (
    PolicyConflictError,
    attach,
    attach_to_dependency,
    combine,
    is_dependency,
    policies_of,
    revision,
)
from stockade.errors import ConfigurationError

NAMES = st.sampled_from(["admin", "owner", "member", "auditor"])
AGES = st.none() | st.integers(0, 3600).map(lambda seconds: timedelta(seconds=seconds))
LIMITS = st.builds(LimitRule, amount=st.integers(1, 3), window=st.just(60))


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Draw a policy of any parts, also of parts that contradict each other."""
    return Policy(
        public=tuple(draw(st.lists(st.sampled_from(["probe", "docs"]), max_size=1))),
        authenticated=draw(st.booleans()),
        roles=tuple(draw(st.lists(st.frozensets(NAMES, min_size=1), max_size=2))),
        permissions=draw(st.frozensets(st.sampled_from(["a:b:c", "a:b:d"]))),
        limits=tuple(draw(st.lists(LIMITS, max_size=1))),
        unlimited=tuple(draw(st.lists(st.just("internal"), max_size=1))),
        body_limit=draw(st.none() | st.sampled_from([0, 10, 20])),
        step_up=draw(AGES),
        factor=draw(st.none() | st.sampled_from(sorted(SECOND_FACTORS))),
        factorless=tuple(draw(st.lists(st.just("enrolment"), max_size=1))),
        docs=draw(st.booleans()),
    )


def joined(*parts: Policy) -> Policy | None:
    """Combine policies; None where they contradict each other."""
    try:
        return combine(parts)
    except PolicyConflictError:
        return None


def meaning(policy: Policy | None) -> object:
    """Return what a policy asks, without the order in which its parts came."""
    if policy is None:
        return None
    return (
        frozenset(policy.public),
        policy.authenticated,
        frozenset(policy.roles),
        policy.permissions,
        frozenset(policy.limits),
        frozenset(policy.unlimited),
        policy.body_limit,
        policy.step_up,
        policy.factor,
        frozenset(policy.factorless),
        policy.docs,
    )


@given(policies(), policies(), policies())
def test_the_order_of_policies_makes_no_difference(a: Policy, b: Policy, c: Policy) -> None:
    """Decorators and dependencies may stand in any order."""
    assert meaning(joined(a, b, c)) == meaning(joined(c, a, b)) == meaning(joined(b, c, a))


@given(policies())
def test_a_policy_given_twice_is_the_same(policy: Policy) -> None:
    """Repeating a policy changes nothing."""
    assert meaning(joined(policy, policy)) == meaning(joined(policy))


@given(policies(), policies())
def test_the_result_is_as_strict_as_each_part(left: Policy, right: Policy) -> None:
    """No policy takes away what another one asks."""
    both = joined(left, right)
    if both is None:
        return
    for part in (left, right):
        assert set(part.roles) <= set(both.roles)
        assert part.permissions <= both.permissions
        assert set(part.limits) <= set(both.limits)
        assert both.needs_principal or not part.needs_principal
        assert not (part.needs_principal and (both.public or both.docs))
        if part.step_up is not None:
            assert both.step_up is not None
            assert both.step_up <= part.step_up
        if part.factor is not None:
            assert part.factor in (both.factor, "mfa")
            assert both.factor is not None
        if part.body_limit is not None:
            assert both.body_limit == part.body_limit


@given(policies(), policies())
def test_a_conflict_never_opens_a_route(left: Policy, right: Policy) -> None:
    """Public together with anything that needs a caller stops the start, whichever came first."""
    if (left.public or left.docs) and right.needs_principal:
        assert joined(left, right) is None
        assert joined(right, left) is None


def test_no_policy_opens_nothing() -> None:
    """A route about which nothing is said is closed."""
    assert not combine([]).opens
    assert not Policy(limits=(LimitRule(amount=1, window=1),), body_limit=5).opens
    assert not Policy(factorless=("enrolment",)).opens


@pytest.mark.parametrize(
    "policy",
    [
        Policy(authenticated=True),
        Policy(roles=(frozenset({"admin"}),)),
        Policy(permissions=frozenset({"a:b:c"})),
        Policy(step_up=timedelta(minutes=5)),
        Policy(step_up=timedelta(0)),
        Policy(factor="totp"),
    ],
    ids=["authenticated", "roles", "permissions", "step-up", "step-up-of-zero", "factor"],
)
def test_whatever_asks_of_a_caller_needs_one(policy: Policy) -> None:
    """Each part that can only hold for somebody needs somebody."""
    assert policy.needs_principal
    assert policy.opens


@pytest.mark.parametrize(
    "parts",
    [
        (Policy(public=("probe",)), Policy(authenticated=True)),
        (Policy(docs=True), Policy(roles=(frozenset({"admin"}),))),
        (Policy(body_limit=1), Policy(body_limit=2)),
        (Policy(body_limit=0), Policy(body_limit=2)),
        (Policy(unlimited=("why",)), Policy(limits=(LimitRule(amount=1, window=1),))),
        (Policy(roles=(frozenset({"admin"}),)), Policy(roles=(frozenset({"member"}),))),
        (Policy(factor="totp"), Policy(factor="recovery_code")),
        (Policy(public=("probe",)), Policy(factor="mfa")),
    ],
    ids=[
        "public+caller",
        "docs+role",
        "body-limits",
        "body-limit-0",
        "unlimited",
        "roles",
        "factors",
        "public+factor",
    ],
)
def test_contradictions_stop_the_start(parts: tuple[Policy, ...]) -> None:
    """Two policies that can't both hold are a mistake in the configuration."""
    with pytest.raises(PolicyConflictError) as caught:
        combine(parts)
    assert caught.value.code == "policy_conflict"
    assert isinstance(caught.value, ConfigurationError)


def test_attaching_returns_the_same_function() -> None:
    """A decorated endpoint is not wrapped, so the order of decorators makes no difference."""

    def endpoint() -> None:
        """Do nothing."""

    before = revision()
    assert attach(endpoint, Policy(authenticated=True)) is endpoint
    assert attach(endpoint, Policy(body_limit=1)) is endpoint
    assert policies_of(endpoint) == (Policy(authenticated=True), Policy(body_limit=1))
    assert not is_dependency(endpoint)
    assert revision() == before + 2


def test_a_policy_on_a_dependency_is_marked_as_such() -> None:
    """It is told apart from a policy on an endpoint."""

    def dependency() -> None:
        """Do nothing."""

    attach_to_dependency(dependency, Policy(authenticated=True))
    assert is_dependency(dependency)


@pytest.mark.parametrize("value", [None, 5, "text", object(), print, Policy()], ids=repr)
def test_anything_without_a_policy_has_none(value: object) -> None:
    """Asking for the policies of whatever FastAPI holds never fails."""
    assert policies_of(value) == ()
    assert not is_dependency(value)


def test_something_else_under_the_name_is_no_policy() -> None:
    """An attribute that is not a tuple of ours opens nothing."""

    def endpoint() -> None:
        """Do nothing."""

    endpoint.__dict__["__stockade_policies__"] = "public"
    assert policies_of(endpoint) == ()
