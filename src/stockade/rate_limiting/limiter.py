"""Check the limits of a route: bound at the start, looked up in one call for each request."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache, partial
from math import ceil
from typing import Any

from stockade.core.exchange import Exchange
from stockade.core.identity import AuthenticationMethod, Principal
from stockade.core.limits import LimitRule
from stockade.core.policy import Policy
from stockade.errors import RateLimitedError
from stockade.events import EventLog
from stockade.rate_limiting.bans import Bans
from stockade.rate_limiting.compat import Limiter
from stockade.rate_limiting.dependencies import connection_of
from stockade.rate_limiting.gcra import charge_of, interval_of
from stockade.rate_limiting.headers import (
    RATE_LIMIT,
    RATE_LIMIT_POLICY,
    make_template,
    render_debts,
    render_policies,
    render_states,
)
from stockade.rate_limiting.interfaces import ImmediateStore, LimitStore
from stockade.rate_limiting.keys import address_key, custom_key, kind_of, takes_connection, user_key
from stockade.rate_limiting.models import (
    BoundLimit,
    CompiledLimits,
    KeyKind,
    LimitRequest,
    LimitState,
    ProgramLimits,
    RoutePlan,
)
from stockade.rate_limiting.rules import Key
from stockade.rate_limiting.settings import RateLimitingSettings, with_failure

Scope = MutableMapping[str, Any]


class RateLimiter:
    """Bind limits to routes and check them.

    Args:
        store: Where the buckets are kept.
        settings: Default limits; ``enabled`` unset counts as on.
        events: Where refusals are recorded, with the names of the limits that were used up.
        bans: Who is banned; without it, nobody ever is.
    """

    def __init__(
        self,
        store: LimitStore,
        *,
        settings: RateLimitingSettings,
        events: EventLog,
        bans: Bans | None = None,
    ) -> None:
        self._bans = bans
        self._store = store
        self._charge = store.charge if isinstance(store, ImmediateStore) else None
        self._events = events
        self._enabled = settings.enabled is not False
        self._prefix = settings.ipv6_prefix
        self._settings = settings
        self._defaults = settings.default_rules()
        self._adopted: list[Limiter] = []

    @property
    def store(self) -> LimitStore:
        """Where the buckets are kept."""
        return self._store

    def adopt(self, limiter: Limiter) -> None:
        """Take over the application-wide options of a slowapi-style limiter, before any `plan`.

        Raises:
            ConfigurationError: Another limiter has set other ones.
        """
        if limiter in self._adopted:
            return
        self._defaults = limiter.adjust(self._defaults, others=self._adopted)
        self._adopted.append(limiter)
        limiter.bind(self._store)

    def plan(self, policy: Policy, *, route: str, login: bool = False) -> RoutePlan:
        """Decide which limits a route has, and when each is checked.

        Args:
            policy: The joined policy of the route.
            route: Name of the route, such as ``GET /notes/{id}``; the same after a restart.
            login: Whether the route takes a password.
        """
        if not self._enabled or policy.unlimited:
            return RoutePlan()
        failure = self._settings.failure_of(login=login, needs_principal=policy.needs_principal)
        policy = replace(policy, limits=with_failure(policy.limits, failure))
        if not policy.needs_principal:
            default = self._defaults.login if login else self._defaults.public
            return RoutePlan(
                before=self.compile(self._guarded(policy.limits or default), route=route)
            )
        rules = (*(policy.limits or self._defaults.authenticated), *self._defaults.application)
        early = tuple(rule for rule in rules if kind_of(rule.key) is KeyKind.ADDRESS)
        late = tuple(rule for rule in rules if rule not in early)
        before = self.compile((*self._defaults.address, *early), route=route)
        after = self.compile(late, route=route, label="user")
        together = _join(before, after)
        if policy.limits:
            # What a route says holds for everybody.
            return RoutePlan(before=before, after=after, together=together)
        shared = [rule for rule in self._defaults.application if rule not in early]
        others = _bind_all(shared, route=route, label="user")
        first = [] if before is None else _by_address(before)
        rules = self._defaults.programs
        return RoutePlan(
            before=before,
            after=_with_programs(after, rules, route=route, others=others),
            together=_with_programs(together, rules, route=route, others=[*first, *others]),
        )

    def _guarded(self, rules: tuple[LimitRule, ...]) -> tuple[LimitRule, ...]:
        """Add the limit by address where the caller might choose all its buckets."""
        rules = (*rules, *self._defaults.application)
        if all(kind_of(rule.key) is KeyKind.CUSTOM for rule in rules):
            rules = (*self._defaults.address, *rules)
        return rules

    def compile(
        self, rules: Sequence[LimitRule], *, route: str, label: str = "address"
    ) -> CompiledLimits | None:
        """Bind rules to a route, or return None where there are none or limits are off.

        Args:
            rules: The rules; rules that are equal count once.
            route: Name of the route, for rules without a scope.
            label: Who rules without a key of their own count for, in the response headers.
        """
        if not self._enabled or not rules:
            return None
        return compile_limits(_bind_all(rules, route=route, label=label))

    async def check(self, limits: CompiledLimits, exchange: Exchange, scope: Scope) -> None:
        """Take one request from all limits, or refuse it and take from none.

        Adds the ``RateLimit`` fields to the exchange when the request passes.

        Raises:
            RateLimitedError: A limit is used up.
            UnavailableError: The store is away and its failure policy is ``closed``.
            StoreError: The store is away and has no failure policy.
        """
        if limits.programs is not None:
            limits = _limits_of(limits, limits.programs, exchange.principal)
        keys = self._keys(limits, exchange, scope)
        if self._bans is not None:
            self._bans.require_free(keys)
        if self._charge is not None:
            debts = self._charge(keys, limits.charges)
            if debts is not None:
                field = (RATE_LIMIT, render_debts(limits, debts))
                exchange.headers += (limits.policy_header, field)
                return
        bound = limits.limits
        states = await self._store.acquire(
            [LimitRequest(key, limit.rule) for key, limit in zip(keys, bound, strict=True)]
        )
        field = (RATE_LIMIT, render_states(bound, states))
        for state in states:
            if not state.allowed:
                self._record(bound, states, scope)
                if self._bans is not None:
                    self._bans.note_refusals(keys, states)
                raise _refusal(limits, states, field)
        exchange.headers += (limits.policy_header, field)

    def _record(
        self, bound: Sequence[BoundLimit], states: Sequence[LimitState], scope: Scope
    ) -> None:
        used_up = (
            limit.name for limit, state in zip(bound, states, strict=True) if not state.allowed
        )
        self._events.emit(
            "rate_limiting.refused",
            scope=scope,
            reason="rate_limiting.exceeded",
            details={"limits": ", ".join(used_up)},
        )

    async def reset(self, subject: str | None = None) -> None:
        """Forget the buckets of one caller, named as `get_rate_limit_key` names it, or all of them.

        Raises:
            StoreError: The store is away.
        """
        await self._store.reset("" if subject is None else f"{{{subject}}}")

    def _keys(self, limits: CompiledLimits, exchange: Exchange, scope: Scope) -> list[str]:
        principal = exchange.principal
        keys: list[str] = []
        for limit in limits.limits:
            if limit.key is not None:
                subject = limit.key(scope)
            elif principal is not None and limit.kind is KeyKind.CALLER:
                subject = user_key(principal.user_id)
            else:
                subject = address_key(exchange.client, self._prefix)
            keys.append(f"{{{subject}}}{limit.suffix}")
        return keys


def _refusal(
    limits: CompiledLimits, states: Sequence[LimitState], field: tuple[bytes, bytes]
) -> RateLimitedError:
    wait = max(state.retry_after for state in states)
    return RateLimitedError(
        reason="rate_limiting.exceeded",
        # Whole seconds, rounded up: a client that comes back after Retry-After must pass.
        retry_after=timedelta(seconds=max(1, ceil(wait))),
        headers={
            "RateLimit-Policy": limits.policy_header[1].decode("ascii"),
            "RateLimit": field[1].decode("ascii"),
        },
    )


def _with_programs(
    limits: CompiledLimits | None,
    rules: Sequence[LimitRule],
    *,
    route: str,
    others: Sequence[BoundLimit],
) -> CompiledLimits | None:
    """Say what holds in the place of limits for programs, in buckets of their own."""
    if limits is None:
        return None
    # A limit by address is checked before it is known whether a program calls.
    late = [rule for rule in rules if kind_of(rule.key) is not KeyKind.ADDRESS]
    usual = [
        replace(limit, suffix=f"program:{limit.suffix}")
        for limit in _bind_all(late, route=route, label="program", beside=others)
    ]
    compiled = compile_limits([*others, *usual])
    return replace(limits, programs=ProgramLimits(compiled, tuple(others)))


def _limits_of(
    limits: CompiledLimits, programs: ProgramLimits, principal: Principal | None
) -> CompiledLimits:
    """Choose the limits of a verified caller; before one is known, those of everybody hold."""
    if principal is None or principal.method is not AuthenticationMethod.API_KEY:
        return limits
    return _compile_own(programs.others, principal.limits) if principal.limits else programs.usual


@lru_cache(maxsize=4096)
def _compile_own(others: tuple[BoundLimit, ...], own: tuple[LimitRule, ...]) -> CompiledLimits:
    bound = _bind_all(own, route="program", label="program", beside=others)
    return compile_limits([*others, *bound])


def compile_limits(limits: Sequence[BoundLimit]) -> CompiledLimits:
    """Compute what is the same for each request."""
    return CompiledLimits(
        limits=tuple(limits),
        policy_header=(RATE_LIMIT_POLICY, render_policies(limits)),
        charges=tuple(charge_of(limit.rule) for limit in limits),
        template=make_template(limits),
        units=tuple((limit.rule.amount - 1, interval_of(limit.rule)) for limit in limits),
    )


def _join(before: CompiledLimits | None, after: CompiledLimits | None) -> CompiledLimits | None:
    """Join what is checked before and after authentication, for one trip to the store."""
    if before is None or after is None:
        return after if before is None else compile_limits(_by_address(before))
    return compile_limits((*_by_address(before), *after.limits))


def _by_address(before: CompiledLimits) -> list[BoundLimit]:
    # Nobody is known yet where these are checked alone, so a limit by caller counts the address; it
    # must go on doing so where the caller is known.
    return [
        replace(limit, kind=KeyKind.ADDRESS) if limit.kind is KeyKind.CALLER else limit
        for limit in before.limits
    ]


def _bind_all(
    rules: Sequence[LimitRule], *, route: str, label: str, beside: Sequence[BoundLimit] = ()
) -> list[BoundLimit]:
    """Bind rules to a route; rules that are equal count once, and no name is given twice."""
    limits: list[BoundLimit] = []
    for rule in dict.fromkeys(rules):
        taken = {item.name for item in (*beside, *limits)}
        limits.append(_bind(rule, route=route, label=label, taken=taken))
    return limits


def _bind(rule: LimitRule, *, route: str, label: str, taken: set[str]) -> BoundLimit:
    kind = kind_of(rule.key)
    who = {KeyKind.ADDRESS: "address", KeyKind.CALLER: label, KeyKind.CUSTOM: "key"}[kind]
    name = plain = f"{who}:{rule.amount}/{rule.window}s"
    while name in taken:
        name = f"{plain}:{len(taken)}"
    place = f"route:{route}" if rule.scope is None else f"scope:{rule.scope}"
    return BoundLimit(
        rule=replace(rule, key=None) if kind is not KeyKind.CUSTOM else rule,
        kind=kind,
        # The numbers are part of the name: a changed limit starts with fresh buckets.
        suffix=f"{place}:{rule.amount}/{rule.window}",
        name=name,
        key=None if kind is not KeyKind.CUSTOM or rule.key is None else _reader(rule.key),
    )


def _reader(key: Key) -> partial[str]:
    return partial(_read, key, with_connection=takes_connection(key))


def _read(key: Key, scope: Scope, *, with_connection: bool) -> str:
    return custom_key(key(connection_of(scope)) if with_connection else key())
