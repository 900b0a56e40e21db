"""Turn leaves and settings into plans."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from stockade.authorization.masking import masks_in
from stockade.authorization.rules import named_permissions, unknown_roles
from stockade.core.decision import Decision
from stockade.core.limits import Unit
from stockade.core.policy import Policy, combine
from stockade.errors import ConfigurationError
from stockade.gate.collect import collect, collect_from_settings
from stockade.gate.content import media_types_of
from stockade.gate.parameters import single_parameters_of
from stockade.gate.plans import Access, Plan, access_of, grant_for
from stockade.rate_limiting.rules import in_flight_rule, parse_rules
from stockade.validation.content import ContentRules
from stockade.validation.parameters import SingleParameters

if TYPE_CHECKING:
    from stockade.authorization.settings import AuthorizationSettings
    from stockade.gate.settings import GateSettings, RoutePolicy
    from stockade.gate.tree import Leaf
    from stockade.rate_limiting.limiter import RateLimiter
    from stockade.validation.settings import ValidationSettings

_NO_ROUTE = Decision(granted=False, reason="gate.no_route")
_NOT_FOUND = Policy(public=("no route has this path",), origins=("router",))
# All documentation routes count together, so that several of them give no more tries at the
# password.
_DOCS_LIMITS = parse_rules("120/minute", scope="stockade:docs")
_WITHOUT_BODY: Final = frozenset({"default", "websocket"})
_LOGIN_ROUTES = frozenset(
    {
        "stockade:dashboard-code",
        "stockade:dashboard-sign-in",
        "stockade:factor-verify",
        "stockade:login",
        "stockade:passkey-sign-in",
        "stockade:passkey-verify",
        "stockade:token",
    }
)


class PlanCompiler:
    """Compile leaves into plans.

    Args:
        gate: Default and policies by route.
        authorization: Roles that exist.
        limiter: Binds limits to routes.
        validation: What bodies may hold.
    """

    def __init__(
        self,
        gate: GateSettings,
        *,
        authorization: AuthorizationSettings,
        limiter: RateLimiter,
        validation: ValidationSettings,
    ) -> None:
        self._default = gate.default
        self._table = {entry: _to_policy(entry, given) for entry, given in gate.policies.items()}
        self._authorization = authorization
        self._granted_anywhere = frozenset().union(*authorization.granted.values())
        self._limiter = limiter
        self._limits = validation.content_limits()
        self._codings = frozenset(each.encode("ascii") for each in validation.content_codings)
        self.used: set[str] = set()

    def compile(self, leaf: Leaf, *, docs: bool = False) -> Plan:
        """Make the plan of a leaf.

        Args:
            leaf: What is served.
            docs: Whether it is API documentation.

        Raises:
            ConfigurationError: Policies contradict each other, are hidden, or can never be
                satisfied.
        """
        try:
            policy = self._policy_of(leaf, docs=docs)
        except ConfigurationError as error:
            message = f"{leaf.label}: {error}"
            raise ConfigurationError(message) from error
        access = access_of(policy, default=self._default)
        needs = (
            Policy(authenticated=True) if access in (Access.PRINCIPAL, Access.CLOSED) else Policy()
        )
        limits = self._limiter.plan(
            combine([policy, needs]),
            route=f"{','.join(sorted(leaf.methods))} {leaf.template}",
            login=leaf.name in _LOGIN_ROUTES,
            websocket=leaf.kind == "websocket",
        )
        single = (
            SingleParameters() if leaf.dependant is None else single_parameters_of(leaf.dependant)
        )
        optional = policy.optional and access is Access.PUBLIC
        return Plan(
            route=leaf.template,
            label=leaf.label,
            access=access,
            policy=policy,
            optional=optional,
            rules=bool(
                policy.roles
                or policy.permissions
                or policy.alternatives
                or policy.questions
                or policy.step_up
                or policy.factor
            ),
            before=limits.before,
            after=limits.after,
            # An open route has one limit, for a caller who is known from the start as well.
            together=limits.before if optional else limits.together,
            messages=limits.messages,
            in_flight=limits.in_flight,
            settles=limits.settles,
            body_limit=policy.body_limit,
            content=self._content_of(leaf, policy, single),
            single=single or None,
            # A 404 is no permission: middleware that puts another answer in its place is refused.
            granted=_NO_ROUTE if leaf.kind == "default" else grant_for(access),
            pinned=(leaf.key, leaf.holder),
        )

    def _content_of(
        self, leaf: Leaf, policy: Policy, single: SingleParameters
    ) -> ContentRules | None:
        if policy.docs or leaf.kind in _WITHOUT_BODY:
            return None
        return ContentRules(
            () if leaf.dependant is None else media_types_of(leaf.dependant),
            replace(self._limits, **dict(policy.content)),
            self._codings,
            single.form,
        )

    def _policy_of(self, leaf: Leaf, *, docs: bool) -> Policy:
        if leaf.kind == "default":
            return _NOT_FOUND
        if docs:
            return Policy(docs=True, limits=_DOCS_LIMITS, origins=("api_docs",))
        named = collect_from_settings(leaf, self._table)
        self.used.update(named)
        policy = combine([*collect(leaf), *named.values()])
        self._check_names(policy)
        return policy

    def check_masks(self, leaf: Leaf) -> list[str]:
        """Return what is wrong with the masked fields of a leaf's answer, a line for each."""
        adapter = getattr(getattr(leaf.holder, "response_field", None), "_type_adapter", None)
        try:
            for policy in masks_in(getattr(adapter, "core_schema", None)):
                self._check_names(policy)
        except ConfigurationError as error:
            return [f"{leaf.label}: {error}"]
        return []

    def _check_names(self, policy: Policy) -> None:
        unknown = unknown_roles(policy, self._authorization.roles)
        if unknown:
            known = ", ".join(sorted(self._authorization.roles))
            message = (
                f"no role is called {', '.join(sorted(unknown))}; roles are {known}"
                " (more: STOCKADE_AUTHORIZATION__ROLES)"
            )
            raise ConfigurationError(message)
        orphans = named_permissions(policy) - self._granted_anywhere
        if orphans:
            message = (
                f"no role grants {', '.join(sorted(orphans))}, so nobody could ever call it:"
                " give it to a role in STOCKADE_AUTHORIZATION__ROLES"
            )
            raise ConfigurationError(message)

    def unused(self) -> list[str]:
        """Name the entries of the settings' table that no leaf has used."""
        return sorted(set(self._table) - self.used)


def _to_policy(entry: str, given: RoutePolicy) -> Policy:
    limits = parse_rules(given.limits) if given.limits else ()
    if given.messages:
        limits += parse_rules(given.messages, unit=Unit.MESSAGES)
    if given.in_flight is not None:
        limits += (in_flight_rule(given.in_flight),)
    return Policy(
        public=(given.public,) if given.public else (),
        authenticated=given.authenticated,
        roles=(given.roles,) if given.roles else (),
        permissions=given.permissions,
        limits=limits,
        unlimited=(given.unlimited,) if given.unlimited else (),
        body_limit=given.body_limit,
        content=tuple(sorted(given.content.items())),
        step_up=given.step_up,
        factor=given.factor,
        origins=(f"settings {entry}",),
    )
