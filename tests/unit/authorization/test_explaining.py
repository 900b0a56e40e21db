from datetime import timedelta

import pytest
from hypothesis import given

from stockade.authorization import (
    AuthorizationSettings,
    require_any,
    require_permission,
    require_role,
)
from stockade.authorization.explaining import explain
from stockade.core import Policy, Principal
from tests.unit.authorization.test_rules import NOW, POLICIES, PRINCIPALS, make_principal

SETTINGS = AuthorizationSettings(
    roles={
        "member": frozenset({"a:b:c"}),
        "admin": frozenset({"a:b:d"}),
        "owner": frozenset[str](),
    },
    inherits={"owner": frozenset({"admin"}), "admin": frozenset({"member"})},
)


@given(POLICIES, PRINCIPALS)
def test_an_explanation_agrees_with_the_decision(policy: Policy, principal: Principal) -> None:
    """A caller passes exactly where every step holds."""
    found = explain(policy, principal, settings=SETTINGS, now=NOW)
    assert found.decision.granted is all(step.held for step in found.steps)
    assert all(step.asked and step.because for step in found.steps)


@pytest.mark.parametrize(
    ("policy", "principal", "held", "because"),
    [
        (
            require_permission("a:b:c").policy,
            make_principal(frozenset({"owner"}), frozenset({"a:b:c", "a:b:d"})),
            True,
            "role owner, which inherits admin, which inherits member",
        ),
        (
            require_permission("a:b:d").policy,
            make_principal(frozenset({"member"}), frozenset({"a:b:c"})),
            False,
            "roles that give it: admin, owner",
        ),
        (
            require_permission("a:b:d").policy,
            make_principal(frozenset(), frozenset({"a:b:d"})),
            True,
            "the credentials carry it",
        ),
        (
            require_permission("a:b:d").policy,
            make_principal(super_admin=True),
            True,
            "a super administrator holds every permission",
        ),
        (
            require_role("admin", "owner").policy,
            make_principal(frozenset({"owner"})),
            True,
            "holds owner",
        ),
        (
            require_role("admin").policy,
            make_principal(frozenset({"member"})),
            False,
            "holds member",
        ),
        (
            require_any("a:b:d", require_role("member")).policy,
            make_principal(frozenset({"member"})),
            True,
            "member",
        ),
        (
            Policy(step_up=timedelta(seconds=30)),
            make_principal(age=31),
            False,
            "it is 0:00:31 old",
        ),
    ],
    ids=["inherited", "missing", "carried", "super-admin", "role", "other-role", "choice", "age"],
)
def test_a_step_says_what_it_rests_on(
    policy: Policy, principal: Principal, held: bool, because: str
) -> None:
    """An auditor learns which role gives a permission, and over which others."""
    (step,) = explain(policy, principal, settings=SETTINGS, now=NOW).steps
    assert (step.held, step.because) == (held, because)
