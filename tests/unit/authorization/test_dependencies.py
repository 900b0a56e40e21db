from datetime import UTC, datetime, timedelta

import pytest
from starlette.requests import HTTPConnection

from stockade.authorization import (
    require_admin_role,
    require_fresh,
    require_permission,
    require_role,
)
from stockade.authorization.dependencies import RequiredCaller, raise_refusal
from stockade.core import Decision, Policy, Principal, TenantRole, UserId
from stockade.core.exchange import SCOPE_KEY
from stockade.core.policy import policies_of
from stockade.errors import (
    ConfigurationError,
    ForbiddenError,
    StepUpRequiredError,
    UnauthenticatedError,
)
from tests.unit.core.test_exchange import make_exchange


def connect(principal: Principal | None, enforced: Policy | None = None) -> HTTPConnection:
    """Make a request that the gate has let through under a policy."""
    exchange = make_exchange(Decision(granted=True, reason="x.y"))
    exchange.principal = principal
    exchange.policy = enforced
    return HTTPConnection({"type": "http", SCOPE_KEY: exchange})


def caller(*roles: str, permissions: frozenset[str] = frozenset(), age: int = 0) -> Principal:
    """Make a caller who signed in some seconds ago."""
    return Principal(
        user_id=UserId("ana"),
        email="ana@example.com",
        roles=frozenset(roles),
        permissions=permissions,
        authenticated_at=datetime.now(UTC) - timedelta(seconds=age),
    )


@pytest.mark.parametrize(
    ("dependency", "policy"),
    [
        (require_role("a", "b"), {"roles": (frozenset({"a", "b"}),)}),
        (require_role(TenantRole.OWNER), {"roles": (frozenset({"owner"}),)}),
        (require_admin_role, {"roles": (frozenset({"admin", "owner"}),)}),
        (require_permission("a:b:c"), {"permissions": frozenset({"a:b:c"})}),
        (require_fresh(timedelta(minutes=5)), {"step_up": timedelta(minutes=5), "factor": None}),
        (
            require_fresh(timedelta(minutes=5), factor="totp"),
            {"step_up": timedelta(minutes=5), "factor": "totp"},
        ),
    ],
    ids=["roles", "enum", "admin", "permission", "fresh", "factor"],
)
def test_a_dependency_carries_its_policy(
    dependency: RequiredCaller, policy: dict[str, object]
) -> None:
    """The gate finds at the start what the dependency asks, and where it came from."""
    (found,) = policies_of(dependency)
    assert {name: getattr(found, name) for name in policy} == policy
    assert found.needs_principal
    assert found.origins[0].startswith("require_")


@pytest.mark.parametrize(
    "make",
    [
        require_role,
        require_permission,
        lambda: require_fresh(timedelta(0)),
        lambda: require_fresh(timedelta(seconds=-1)),
        lambda: require_fresh(timedelta(minutes=5), factor="password"),
        lambda: require_fresh(timedelta(minutes=5), factor="sms"),
        lambda: require_fresh(timedelta(minutes=5), factor=""),
    ],
    ids=["no-role", "no-permission", "no-age", "negative-age", "first-factor", "sms", "no-factor"],
)
def test_a_dependency_that_asks_nothing_is_a_mistake(make: object) -> None:
    """An empty list would let everybody through or nobody; both are refused at import."""
    assert callable(make)
    with pytest.raises(ConfigurationError):
        make()


async def test_the_caller_is_given() -> None:
    """Whoever satisfies the policy is handed over."""
    owner = caller("owner")
    assert await require_admin_role(connect(owner)) is owner


async def test_a_dependency_decides_by_itself_what_the_gate_did_not() -> None:
    """A dependency that came in by an override, unseen by the gate, still refuses."""
    member = caller("member", age=100)
    for enforced in (None, Policy(authenticated=True), Policy(roles=(frozenset({"member"}),))):
        with pytest.raises(ForbiddenError):
            await require_role("admin")(connect(member, enforced))
        with pytest.raises(ForbiddenError):
            await require_permission("a:b:c")(connect(member, enforced))
        with pytest.raises(StepUpRequiredError) as caught:
            await require_fresh(timedelta(seconds=60))(connect(member, enforced))
        assert caught.value.max_age == timedelta(seconds=60)
        with pytest.raises(StepUpRequiredError) as caught:
            await require_fresh(timedelta(hours=1), factor="mfa")(connect(member, enforced))
        assert caught.value.factor == "mfa"


async def test_what_the_gate_enforced_is_not_decided_again() -> None:
    """A policy that covers the dependency's has been checked with the application's own clock."""
    stale = caller("member", age=10_000)
    enforced = Policy(step_up=timedelta(seconds=30))
    assert await require_fresh(timedelta(seconds=60))(connect(stale, enforced)) is stale


async def test_nobody_is_not_a_caller() -> None:
    """Without a verified caller there is nothing to decide."""
    with pytest.raises(UnauthenticatedError):
        await require_admin_role(connect(None))


async def test_without_stockade_a_dependency_is_an_error() -> None:
    """An application without Stockade never serves an endpoint that asks for a role."""
    with pytest.raises(ConfigurationError):
        await require_admin_role(HTTPConnection({"type": "http"}))


def test_a_granted_decision_raises_nothing() -> None:
    """Only refusals have an error."""
    raise_refusal(Decision(granted=True, reason="authorization.granted"), Policy())
