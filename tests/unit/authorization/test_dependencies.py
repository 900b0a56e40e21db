from datetime import UTC, datetime, timedelta
from enum import Enum

import pytest
from starlette.requests import HTTPConnection

from stockade.authorization import (
    Permission,
    require_admin_role,
    require_all,
    require_any,
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


class Notes(Permission):
    READ = "a:b:c"


class Other(str, Enum):  # noqa: UP042 - str() of such a member is not its value
    READ = "a:b:d"


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
        (
            require_permission(Notes.READ, Other.READ),
            {"permissions": frozenset({"a:b:c", "a:b:d"})},
        ),
        (require_fresh(timedelta(minutes=5)), {"step_up": timedelta(minutes=5), "factor": None}),
        (
            require_fresh(timedelta(minutes=5), factor="totp"),
            {"step_up": timedelta(minutes=5), "factor": "totp"},
        ),
        (
            require_all("a:b:c", require_role("a") & require_fresh(timedelta(minutes=5))),
            {
                "roles": (frozenset({"a"}),),
                "permissions": frozenset({"a:b:c"}),
                "step_up": timedelta(minutes=5),
            },
        ),
        (
            require_role("a") | require_permission("a:b:c"),
            {"alternatives": ((require_role("a").policy, require_permission("a:b:c").policy),)},
        ),
        (
            require_any(require_role("a"), "a:b:c"),
            {"alternatives": ((require_role("a").policy, require_permission("a:b:c").policy),)},
        ),
    ],
    ids=[
        "roles",
        "enum",
        "admin",
        "permission",
        "enums",
        "fresh",
        "factor",
        "all",
        "or",
        "any",
    ],
)
def test_a_dependency_carries_its_policy(
    dependency: RequiredCaller, policy: dict[str, object]
) -> None:
    """The gate finds at the start what the dependency asks, and where it came from."""
    (found,) = policies_of(dependency)
    assert {name: getattr(found, name) for name in policy} == policy
    assert found.needs_principal
    assert found.origins[0].startswith(("require_", "any of (require_"))


@pytest.mark.parametrize(
    "make",
    [
        require_role,
        require_permission,
        require_any,
        require_all,
        lambda: require_permission("Notes:note:read"),
        lambda: require_permission("notes:read"),
        lambda: require_any("notes:read"),
        lambda: require_role(3),  # type: ignore[arg-type]
        lambda: require_role("a") & require_role("b"),
        lambda: require_role("a") | require_fresh(timedelta(seconds=1)),
        lambda: require_fresh(timedelta(0)),
        lambda: require_fresh(timedelta(seconds=-1)),
        lambda: require_fresh(timedelta(minutes=5), factor="password"),
        lambda: require_fresh(timedelta(minutes=5), factor="sms"),
        lambda: require_fresh(timedelta(minutes=5), factor=""),
    ],
    ids=[
        "no-role",
        "no-permission",
        "no-choice",
        "nothing-of-all",
        "case",
        "two-parts",
        "misspelt-choice",
        "number",
        "nobody-has-both",
        "fresh-choice",
        "no-age",
        "negative-age",
        "first-factor",
        "sms",
        "no-factor",
    ],
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


async def test_a_choice_is_decided_as_a_whole() -> None:
    """One of the alternatives is enough, and none of them is not."""
    choice = require_permission("a:b:c") | require_role("owner")
    for entitled in (caller("owner"), caller("x", permissions=frozenset({"a:b:c"}))):
        assert await choice(connect(entitled)) is entitled
    with pytest.raises(ForbiddenError) as caught:
        await choice(connect(caller("member", permissions=frozenset({"a:b:d"}))))
    assert caught.value.reason == "authorization.no_alternative"


def test_requirements_join_with_their_kind_alone() -> None:
    """A requirement joined with something else is a mistake, not a requirement."""
    for other in ("a:b:c", True, None, require_role):
        with pytest.raises(TypeError):
            require_role("a") & other  # type: ignore[operator]
        with pytest.raises(TypeError):
            require_role("a") | other  # type: ignore[operator]


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
