"""Describe what a route asks of its caller, as plain data that every layer can contribute to.

Decorators and dependencies attach a `Policy` to a function; the gate gathers all policies of a
route at start-up, combines them with `combine` and enforces the result. Nothing here decides
anything.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from stockade.core.identity import Factor
from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import timedelta

    from stockade.core.decision import Decision
    from stockade.core.identity import Principal
    from stockade.core.limits import Exemption, LimitRule

_POLICIES = "__stockade_policies__"
_DEPENDENCY = "__stockade_dependency__"
_Function = TypeVar("_Function", bound="Callable[..., Any]")


class Question(Protocol):
    """Something that a policy engine is asked about a caller."""

    @property
    def asked(self) -> str:
        """What is asked, in words."""

    def decide(self, principal: Principal) -> Decision:
        """Ask it."""


class PolicyConflictError(ConfigurationError):
    """Two policies of one route contradict each other."""

    code = "policy_conflict"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a route asks. An empty policy opens nothing.

    Args:
        public: Reasons for which the route is open to anybody.
        authenticated: Whether somebody must be signed in.
        optional: Whether credentials that come to an open route are verified. It opens nothing.
        roles: Sets of tenant roles; the caller needs one of each set.
        permissions: Permissions the caller needs, all of them.
        alternatives: Groups of policies; of each group the caller satisfies one.
        questions: What is asked of policy engines; each has to say yes.
        unchecked: Reasons for which the endpoint may touch guarded objects without a check.
        limits: Rate limits on top of, or in place of, the default ones.
        unlimited: Reasons for which the default limits do not apply.
        exemptions: Reasons for which some requests are free of limits.
        body_limit: Most bytes of a request body.
        content: How much a request body may hold, by name, where the application's own limits do
            not fit.
        step_up: How old the sign-in may be at most.
        factor: A second factor that the caller has to have given, as `Factor` names it.
        factorless: Reasons for which the route also serves callers who have not given the second
            factor that their role needs, such as to enrol one. They loosen nothing else.
        docs: Whether the route is API documentation, behind HTTP Basic.
        basic_key: Whether a program may bring its identifier and key by HTTP Basic, as clients of
            OAuth do. It opens nothing.
        origins: Where the parts came from, for messages and the audit.
    """

    public: tuple[str, ...] = ()
    authenticated: bool = False
    optional: bool = False
    roles: tuple[frozenset[str], ...] = ()
    permissions: frozenset[str] = frozenset()
    alternatives: tuple[tuple[Policy, ...], ...] = ()
    questions: tuple[Question, ...] = ()
    unchecked: tuple[str, ...] = ()
    limits: tuple[LimitRule, ...] = ()
    unlimited: tuple[str, ...] = ()
    exemptions: tuple[Exemption, ...] = ()
    body_limit: int | None = None
    content: tuple[tuple[str, int], ...] = ()
    step_up: timedelta | None = None
    factor: str | None = None
    factorless: tuple[str, ...] = ()
    docs: bool = False
    basic_key: bool = False
    origins: tuple[str, ...] = ()

    @property
    def needs_principal(self) -> bool:
        """Whether a caller has to be signed in for this policy to hold."""
        return (
            self.authenticated
            or bool(self.roles)
            or bool(self.permissions)
            or bool(self.alternatives)
            or bool(self.questions)
            or self.step_up is not None
            or self.factor is not None
        )

    @property
    def opens(self) -> bool:
        """Whether the policy opens the route to anybody at all; without one, a route is closed."""
        return bool(self.public or self.docs or self.needs_principal)


def combine(policies: Iterable[Policy]) -> Policy:
    """Join all policies of one route into one that is at least as strict as each.

    Raises:
        PolicyConflictError: A route is public and asks for a caller, two body limits or second
            factors differ, or no role could satisfy all role requirements.
    """
    joined = Policy()
    for policy in policies:
        joined = _join(joined, policy)
    _check(joined)
    return joined


def either(policies: Iterable[Policy]) -> Policy:
    """Make a policy that is satisfied by whoever satisfies one of several.

    Raises:
        PolicyConflictError: There is none, or one asks for more than roles and permissions.
    """
    group = tuple(policies)
    for policy in group:
        rest = replace(
            policy,
            authenticated=False,
            roles=(),
            permissions=frozenset(),
            alternatives=(),
            origins=(),
        )
        if rest != Policy() or not policy.needs_principal:
            # A sign-in that is fresh in one alternative alone would be asked of whoever fails the
            # other: nobody could say which of the two a caller should mend.
            message = (
                "only roles and permissions can be alternatives: add everything else to the whole,"
                " such as (a | b) & require_fresh(...)"
            )
            raise PolicyConflictError(message)
    if not group:
        message = "a choice between no policies lets nobody through: name at least one"
        raise PolicyConflictError(message)
    origins = _unique(tuple(" and ".join(policy.origins) for policy in group))
    return Policy(alternatives=(group,), origins=(f"any of ({' | '.join(origins)})",))


def _join(left: Policy, right: Policy) -> Policy:
    if (
        left.body_limit is not None
        and right.body_limit is not None
        and left.body_limit != right.body_limit
    ):
        message = (
            f"two body limits on one route ({left.body_limit} and {right.body_limit} bytes): keep "
            "one"
        )
        raise PolicyConflictError(message)
    return replace(
        left,
        public=_unique(left.public + right.public),
        authenticated=left.authenticated or right.authenticated,
        optional=left.optional or right.optional,
        roles=_unique(left.roles + right.roles),
        permissions=left.permissions | right.permissions,
        alternatives=_unique(left.alternatives + right.alternatives),
        questions=_unique(left.questions + right.questions),
        unchecked=_unique(left.unchecked + right.unchecked),
        limits=_unique(left.limits + right.limits),
        unlimited=_unique(left.unlimited + right.unlimited),
        exemptions=_unique(left.exemptions + right.exemptions),
        body_limit=left.body_limit if right.body_limit is None else right.body_limit,
        content=_join_content(left.content, right.content),
        step_up=min(
            (age for age in (left.step_up, right.step_up) if age is not None), default=None
        ),
        factor=_join_factor(left.factor, right.factor),
        factorless=_unique(left.factorless + right.factorless),
        docs=left.docs or right.docs,
        basic_key=left.basic_key or right.basic_key,
        origins=_unique(left.origins + right.origins),
    )


def _join_factor(left: str | None, right: str | None) -> str | None:
    # Every second factor is one that "any of them" asks for.
    named = {each for each in (left, right) if each is not None and each != Factor.MFA}
    if len(named) > 1:
        message = (
            f"the route asks for two second factors ({' and '.join(sorted(named))}), and a session"
            " has one: keep one"
        )
        raise PolicyConflictError(message)
    return named.pop() if named else left or right


def _join_content(
    left: tuple[tuple[str, int], ...], right: tuple[tuple[str, int], ...]
) -> tuple[tuple[str, int], ...]:
    joined = dict(left)
    for name, limit in right:
        if joined.setdefault(name, limit) != limit:
            message = f"two limits on {name} of the body of one route: keep one"
            raise PolicyConflictError(message)
    return tuple(joined.items())


def _check(policy: Policy) -> None:
    if (policy.public or policy.docs) and policy.needs_principal:
        asked = ", ".join(policy.origins) or "another policy"
        message = (
            f"the route is public but something on it asks for a signed-in caller ({asked}): "
            "remove one of the two"
        )
        raise PolicyConflictError(message)
    if policy.unlimited and policy.limits:
        message = "the route has a rate limit and is exempt from limits: remove one of the two"
        raise PolicyConflictError(message)
    if len(policy.roles) > 1 and not frozenset.intersection(*policy.roles):
        wanted = " and ".join("|".join(sorted(roles)) for roles in policy.roles)
        message = (
            f"no role satisfies all role requirements of the route ({wanted}): nobody could ever "
            "call it"
        )
        raise PolicyConflictError(message)


_Item = TypeVar("_Item")


def _unique(items: tuple[_Item, ...]) -> tuple[_Item, ...]:
    return tuple(dict.fromkeys(items))


def attach(function: _Function, policy: Policy) -> _Function:
    """Write a policy onto an endpoint, beside those it already has, and return the same function.

    The function is not wrapped, so the order of this and other decorators makes no difference.
    """
    holder: Any = function
    if isinstance(holder, staticmethod | classmethod):
        # Whoever asks the class for it gets the function inside, not this wrapper.
        holder = holder.__func__
    try:
        setattr(holder, _POLICIES, (*policies_of(holder), policy))
    except AttributeError:
        name = getattr(holder, "__qualname__", type(holder).__name__)
        raise ConfigurationError(
            f"nothing can be written onto {name}: decorate the method in its class, or a function"
        ) from None
    _revision[0] += 1
    return function


def attach_to_dependency(function: _Function, policy: Policy) -> _Function:
    """Write a policy onto a dependency.

    It applies to the routes that depend on it, not to a route that calls it.
    """
    setattr(function, _DEPENDENCY, True)
    return attach(function, policy)


def is_dependency(function: object) -> bool:
    """Tell whether a policy was written onto a callable as onto a dependency."""
    return getattr(function, _DEPENDENCY, False) is True


def revision() -> int:
    """Return a number that grows with each attached policy, so that a late one is noticed."""
    return _revision[0]


_revision = [0]


def policies_of(function: object) -> tuple[Policy, ...]:
    """Read the policies attached to a callable, without looking through wrappers."""
    found = getattr(function, "__dict__", {}).get(_POLICIES, ())
    return found if isinstance(found, tuple) else ()
