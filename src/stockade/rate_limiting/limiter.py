"""Check the limits of a route: bound at the start, looked up in one call for each request."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping, Sequence
from dataclasses import replace
from datetime import timedelta
from math import ceil
from typing import Any, Final

from stockade.core.clock import Clock, SystemClock
from stockade.core.exchange import Exchange
from stockade.core.limits import LimitRule
from stockade.core.policy import Policy
from stockade.errors import ConfigurationError, RateLimitedError, StoreError, UnavailableError
from stockade.events import EventLog
from stockade.rate_limiting.bans import Bans
from stockade.rate_limiting.compat import Limiter
from stockade.rate_limiting.dependencies import connection_of
from stockade.rate_limiting.headers import (
    RATE_LIMIT,
    render_debts,
    render_legacy,
    render_states,
)
from stockade.rate_limiting.interfaces import ImmediateStore, LimitStore, RefundStore
from stockade.rate_limiting.keys import address_key, user_key
from stockade.rate_limiting.leases import Leases, Place
from stockade.rate_limiting.models import (
    BoundLimit,
    CompiledLimits,
    KeyKind,
    LimitRequest,
    LimitState,
    RoutePlan,
)
from stockade.rate_limiting.planning import Planner, RouteBinder
from stockade.rate_limiting.questions import Questions
from stockade.rate_limiting.refunds import refunds_of, reserve_debts, reserve_states
from stockade.rate_limiting.refusals import Outcome, Refusals
from stockade.rate_limiting.rules import describe_rule
from stockade.rate_limiting.settings import RateLimitingSettings, with_failure

Scope = MutableMapping[str, Any]
# When a place becomes free is not known; a second is the least that Retry-After can say.
_SOON: Final = timedelta(seconds=1)


class RateLimiter:
    """Bind limits to routes and check them.

    Args:
        store: Where the buckets are kept.
        settings: Default limits; ``enabled`` unset counts as on.
        events: Where refusals are recorded, with the names of the limits that were used up.
        clock: Source of time, the store's.
        url: Address of the store, for what a slowapi-style limiter says of it.
        bans: Who is banned; without it, nobody ever is.
        refusals: Where it is noted who is refused; without it, nowhere.
        unread: Variables of the environment that slowapi would read and nobody reads here.
    """

    def __init__(
        self,
        store: LimitStore,
        *,
        settings: RateLimitingSettings,
        events: EventLog,
        clock: Clock | None = None,
        url: str = "memory://",
        bans: Bans | None = None,
        refusals: Refusals | None = None,
        unread: Sequence[str] = (),
    ) -> None:
        self._unread = tuple(unread)
        self._bans = bans
        self._refusals = refusals
        self._store = store
        self._clock = clock or SystemClock()
        self._legacy = settings.legacy_headers
        # What stands in the older headers is known to the slower way alone.
        plain = isinstance(store, ImmediateStore) and not self._legacy
        self._charge = store.charge if plain and isinstance(store, ImmediateStore) else None
        # To ask a store what it can do takes longer than most of what it does.
        self._refunds = store if isinstance(store, RefundStore) else None
        self._events = events
        self._questions = Questions(events, self._clock)
        self._leases = Leases(store)
        self._enabled = settings.enabled is not False
        self._dry_run = settings.dry_run
        self._prefix = settings.ipv6_prefix
        self._defaults = settings.default_rules()
        self._settings = settings
        self._url = url
        self._adopted: list[Limiter] = []
        self.redirects = self.compile(self._defaults.redirects, route="redirects")

    @property
    def store(self) -> LimitStore:
        """Where the buckets are kept."""
        return self._store

    def adopt(self, limiter: Limiter) -> None:
        """Take over the application-wide options of a slowapi-style limiter, before any `plan`.

        Raises:
            ConfigurationError: Another limiter has set other ones, or the settings say otherwise.
        """
        if limiter in self._adopted:
            return
        if self._unread:
            raise ConfigurationError(
                f"slowapi reads {', '.join(self._unread)}, and Stockade does not: give it to"
                " Limiter(...) or to STOCKADE_RATE_LIMITING__*, and take it out of the environment"
            )
        settings = self._settings
        # Of each class of routes that the limiter's limits can be on.
        for own in (settings.failure_public, settings.failure_authenticated):
            limiter.require(url=self._url, failure=own or settings.failure)
        self._defaults = limiter.adjust(self._defaults, others=self._adopted)
        self._adopted.append(limiter)
        limiter.bind(self._store)

    def plan(
        self, policy: Policy, *, route: str, login: bool = False, websocket: bool = False
    ) -> RoutePlan:
        """Decide which limits a route has, and when each is checked.

        Args:
            policy: The joined policy of the route.
            route: Name of the route, such as ``GET /notes/{id}``; the same after a restart.
            login: Whether the route takes a password.
            websocket: Whether the route is a websocket.

        Raises:
            ConfigurationError: The store can't count in the way that a limit asks for.
        """
        if not self._enabled or policy.unlimited:
            return RoutePlan()
        failure = self._settings.failure_of(login=login, needs_principal=policy.needs_principal)
        policy = replace(policy, limits=with_failure(policy.limits, failure))
        planner = Planner(self._store, self._defaults, self._questions)
        return planner.plan(policy, route=route, login=login, websocket=websocket)

    def compile(
        self, rules: Sequence[LimitRule], *, route: str, label: str = "address"
    ) -> CompiledLimits | None:
        """Bind rules to a route, or return None where there are none or limits are off.

        Args:
            rules: The rules; rules that are equal count once.
            route: Name of the route, for rules without a scope.
            label: Who rules without a key of their own count for, in the response headers.
        """
        if not self._enabled:
            return None
        binder = RouteBinder(self._questions, (), route)
        return binder.compile(binder.parts(rules, label=label))

    async def check(self, limits: CompiledLimits, exchange: Exchange, scope: Scope) -> None:
        """Take one request from all limits, or refuse it and take from none.

        Adds the ``RateLimit`` fields to the exchange when the request passes.

        Raises:
            RateLimitedError: A limit is used up.
            UnavailableError: The store is away and its failure policy is ``closed``, or nothing
                says what the limits are.
            StoreError: The store is away and has no failure policy.
        """
        if limits.programs is not None:
            limits = limits.programs.choose(limits, exchange.principal)
        if limits.variants is not None:
            chosen = limits.variants.choose(scope)
            if chosen is None:
                return
            limits = chosen
        keys = self._keys(limits, exchange, scope)
        since = self._clock.monotonic() if limits.conditional else 0.0
        if self._charge is not None and limits.charges:
            debts = self._charge(keys, limits.charges)
            if debts is not None:
                field = (RATE_LIMIT, render_debts(limits, debts))
                exchange.headers += (limits.policy_header, field)
                if limits.conditional:
                    exchange.reservations += reserve_debts(limits, keys, debts, since)
                return
        states = await self._acquire(limits, keys)
        if not all(state.allowed for state in states):
            self._refuse(limits, keys, states, exchange, scope)
        elif limits.conditional:
            exchange.reservations += reserve_states(limits, keys, states, since)
        field = (RATE_LIMIT, render_states(limits.limits, states))
        exchange.headers += (limits.policy_header, field)
        if self._legacy:
            exchange.headers += render_legacy(limits.limits, states, self._clock.now())

    async def count_message(self, limits: CompiledLimits, exchange: Exchange, scope: Scope) -> None:
        """Take one message that came in on an open websocket from its limits.

        Raises:
            RateLimitedError: A limit is used up.
            UnavailableError: As `check`.
            StoreError: As `check`.
        """
        if limits.variants is not None:
            chosen = limits.variants.choose(scope)
            if chosen is None:
                return
            limits = chosen
        keys = self._keys(limits, exchange, scope)
        if (
            self._charge is not None
            and limits.charges
            and self._charge(keys, limits.charges) is not None
        ):
            return
        states = await self._acquire(limits, keys)
        if not all(state.allowed for state in states):
            self._refuse(limits, keys, states, exchange, scope)

    async def enter(self, limits: CompiledLimits, exchange: Exchange, scope: Scope) -> list[Place]:
        """Hold a place for what is in flight; `leave` has to give it back.

        Raises:
            RateLimitedError: All places are held.
            UnavailableError: As `check`.
            StoreError: As `check`.
        """
        if limits.variants is not None:
            chosen = limits.variants.choose(scope)
            if chosen is None:
                return []
            limits = chosen
        places: list[Place] = []
        try:
            for key, limit in zip(self._keys(limits, exchange, scope), limits.limits, strict=True):
                place = await self._leases.hold(key, limit.rule)
                if place is not None:
                    places.append(place)
                else:
                    self._refuse_place(limit, key, exchange, scope)
        except BaseException:
            await self.leave(places)
            raise
        return places

    async def leave(self, places: Iterable[Place]) -> None:
        """Give places back; where the store is away, they are free once their time is over."""
        for place in places:
            await self._leases.release(place)

    async def settle(self, exchange: Exchange, status: int) -> None:
        """Give back what a request has taken whose answer does not count.

        Where the store is away, time alone gives it back.
        """
        reservations, exchange.reservations = exchange.reservations, ()
        refunds = refunds_of(reservations, status, self._clock.monotonic())
        if refunds and self._refunds is not None:
            try:
                await self._refunds.give_back(refunds)
            except (StoreError, UnavailableError):
                return

    async def reset(self, subject: str | None = None) -> None:
        """Forget the buckets of one caller, named as `get_rate_limit_key` names it, or all of them.

        Raises:
            StoreError: The store is away.
        """
        await self._store.reset("" if subject is None else f"{{{subject}}}")

    async def close(self) -> None:
        """Give back connections and places, and write what is noted."""
        self._leases.close()
        if self._refusals is not None:
            await self._refusals.close()
        await self._store.close()

    async def _acquire(self, limits: CompiledLimits, keys: Sequence[str]) -> Sequence[LimitState]:
        states = await self._store.acquire(
            [LimitRequest(key, limit.rule) for key, limit in zip(keys, limits.limits, strict=True)]
        )
        if self._bans is not None:
            self._bans.note_refusals(keys, states)
        return states

    def _refuse(  # noqa: PLR0917 - what one refused request is
        self,
        limits: CompiledLimits,
        keys: Sequence[str],
        states: Sequence[LimitState],
        exchange: Exchange,
        scope: Scope,
    ) -> None:
        used_up = [
            limit for limit, state in zip(limits.limits, states, strict=True) if not state.allowed
        ]
        names = [limit.name for limit in used_up]
        self._note_refusal(names, exchange, scope, "rate_limiting.exceeded")
        self._note_keys(
            [key for key, state in zip(keys, states, strict=True) if not state.allowed], exchange
        )
        if self._is_dry(exchange):
            return
        wait = max(state.retry_after for state in states)
        headers = {
            "RateLimit-Policy": limits.policy_header[1].decode("ascii"),
            "RateLimit": render_states(limits.limits, states).decode("ascii"),
        }
        if self._legacy:
            older = render_legacy(limits.limits, states, self._clock.now())
            headers |= {name.decode("ascii"): value.decode("ascii") for name, value in older}
        raise RateLimitedError(
            reason="rate_limiting.exceeded",
            # Whole seconds, rounded up: a client that comes back after Retry-After must pass.
            retry_after=timedelta(seconds=max(1, ceil(wait))),
            headers=headers,
            message=self._message(used_up, scope),
            limit=describe_rule(used_up[0].rule),
        )

    def _refuse_place(self, limit: BoundLimit, key: str, exchange: Exchange, scope: Scope) -> None:
        self._note_refusal([limit.name], exchange, scope, "rate_limiting.too_many_at_once")
        self._note_keys([key], exchange)
        if not self._is_dry(exchange):
            raise RateLimitedError(
                reason="rate_limiting.too_many_at_once",
                retry_after=_SOON,
                message=self._message([limit], scope),
                limit=describe_rule(limit.rule),
            )

    def _is_dry(self, exchange: Exchange) -> bool:
        # What the start-up check makes up has to be refused, or it would prove nothing.
        return self._dry_run and not exchange.planted

    def _note_refusal(
        self, names: Sequence[str], exchange: Exchange, scope: Scope, reason: str
    ) -> None:
        name = "rate_limiting.would_refuse" if self._is_dry(exchange) else "rate_limiting.refused"
        self._events.emit(name, scope=scope, reason=reason, details={"limits": ", ".join(names)})

    def _note_keys(self, keys: Sequence[str], exchange: Exchange) -> None:
        if self._refusals is not None and not exchange.planted:
            dry = self._is_dry(exchange)
            self._refusals.note(keys, Outcome.WOULD_REFUSE if dry else Outcome.REFUSED)

    def _message(self, used_up: Sequence[BoundLimit], scope: Scope) -> str | None:
        for limit in used_up:
            message: object = limit.message
            if callable(message):
                message = self._questions.ask("message", message, connection_of(scope), scope)
            if isinstance(message, str):
                return message
        return None

    def _keys(self, limits: CompiledLimits, exchange: Exchange, scope: Scope) -> list[str]:
        principal = exchange.principal
        keys: list[str] = []
        for limit in limits.limits:
            subject = None
            if limit.key is not None:
                # A key function that fails frees nobody: the caller counts, else the address.
                subject = limit.key(scope)
            if subject is not None:
                pass
            elif principal is not None and limit.kind is not KeyKind.ADDRESS:
                subject = user_key(principal.user_id)
            else:
                subject = address_key(exchange.client, self._prefix)
            keys.append(f"{{{subject}}}{limit.suffix}")
        if self._bans is not None and (ban := self._bans.find(keys)) is not None:
            key, seconds = ban
            self._note_keys([key], exchange)
            raise RateLimitedError(
                reason="rate_limiting.banned", retry_after=timedelta(seconds=ceil(seconds))
            )
        return keys
