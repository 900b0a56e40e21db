"""Decide which limits a route has, and when each is checked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Final

from stockade.core.limits import Exemption, LimitRule, Unit
from stockade.core.policy import Policy
from stockade.rate_limiting.binding import LimitPart, compile_parts
from stockade.rate_limiting.keys import kind_of
from stockade.rate_limiting.models import (
    CompiledLimits,
    DefaultRules,
    KeyKind,
    ProgramLimits,
    RoutePlan,
)
from stockade.rate_limiting.questions import Questions
from stockade.rate_limiting.support import require_support

# Programs with limits of their own whose limits are kept ready, for each route.
_MOST_OWN: Final = 256


class RouteBinder:
    """Binds the rules of one route.

    Args:
        questions: Asks the functions of the application.
        exemptions: Which requests are free of all rules.
        route: Name of the route, for rules without a scope.
    """

    def __init__(self, questions: Questions, exemptions: Sequence[Exemption], route: str) -> None:
        self._questions = questions
        self.exemptions = exemptions
        self._route = route

    def parts(
        self, rules: Sequence[LimitRule], *, label: str, for_programs: bool = False
    ) -> list[LimitPart]:
        """Bind rules; those that are equal count once."""
        return [
            LimitPart(
                rule,
                route=self._route,
                label=label,
                questions=self._questions,
                for_programs=for_programs,
            )
            for rule in dict.fromkeys(rules)
        ]

    def compile(self, parts: Sequence[LimitPart]) -> CompiledLimits | None:
        """Compute what is the same for each request; None where there is no rule."""
        return compile_parts(parts, self.exemptions, self._questions)


class Planner:
    """Makes the plans of routes.

    Args:
        store: Where the buckets are kept.
        defaults: The rules of routes that name none.
        questions: Asks the functions of the application.
    """

    def __init__(self, store: object, defaults: DefaultRules, questions: Questions) -> None:
        self._store = store
        self._defaults = defaults
        self._questions = questions

    def plan(self, policy: Policy, *, route: str, login: bool, websocket: bool) -> RoutePlan:
        """Make the plan of a route that is not free of limits.

        Raises:
            ConfigurationError: The store can't count in the way that a limit asks for.
        """
        defaults = self._defaults
        own = _by_unit(policy.limits)
        asks = policy.needs_principal
        binder = RouteBinder(self._questions, policy.exemptions, route)
        first, second = self._split(own[Unit.REQUESTS], asks=asks, login=login)
        early = binder.parts(first, label="address")
        late = binder.parts(second, label="user")
        messages = (own[Unit.MESSAGES] or defaults.messages) if websocket else ()
        in_flight = own[Unit.IN_FLIGHT] or (defaults.connections if websocket else ())
        # A default asks for no more than there is: places are then those of each process.
        require_support(self._store, (*first, *second, *own[Unit.IN_FLIGHT]), route)
        label = "user" if asks else "address"
        before, after, together = binder.compile(early), binder.compile(late), None
        if asks:
            # For one trip to the store.
            first_of_both = [part.by_address() for part in early]
            together = binder.compile([*first_of_both, *late])
            if not own[Unit.REQUESTS]:
                # What a route says holds for everybody; in the place of the default is this.
                shared = binder.parts(
                    [rule for rule in defaults.application if rule not in first], label="user"
                )
                after = self._with_programs(after, binder, shared)
                together = self._with_programs(together, binder, [*first_of_both, *shared])
        flying = binder.compile(binder.parts(in_flight, label=label))
        return RoutePlan(
            before=before,
            after=after,
            together=together,
            messages=binder.compile(binder.parts(messages, label=label)),
            in_flight=flying,
            settles=flying is not None or any(map(_waits_for_the_answer, (*first, *second))),
        )

    def _with_programs(
        self, limits: CompiledLimits | None, binder: RouteBinder, others: Sequence[LimitPart]
    ) -> CompiledLimits | None:
        """Say what holds in the place of limits for programs, in buckets of their own."""
        # A limit by address is checked before it is known whether a program calls.
        late = [r for r in self._defaults.programs if kind_of(r.key) is not KeyKind.ADDRESS]
        usual = binder.compile([*others, *binder.parts(late, label="program", for_programs=True)])
        if limits is None or usual is None:
            return limits
        apart = RouteBinder(self._questions, binder.exemptions, "program")

        @lru_cache(maxsize=_MOST_OWN)
        def compile_own(own: tuple[LimitRule, ...]) -> CompiledLimits:
            return apart.compile([*others, *apart.parts(own, label="program")]) or usual

        alone = binder.compile(others)
        shown = () if alone is None else alone.limits
        return replace(limits, programs=ProgramLimits(usual, shown, compile_own))

    def _split(
        self, own: tuple[LimitRule, ...], *, asks: bool, login: bool
    ) -> tuple[tuple[LimitRule, ...], tuple[LimitRule, ...]]:
        """Say what is checked before and after authentication."""
        defaults = self._defaults
        if not asks:
            default = defaults.login if login else defaults.public
            rules = (*_with_defaults(own, default), *defaults.application)
            # The caller might choose all its buckets, or be one that none of them counts.
            if all(kind_of(rule.key) is KeyKind.CUSTOM or _may_not_count(rule) for rule in rules):
                rules = (*defaults.address, *rules)
            return rules, ()
        rules = (*_with_defaults(own, defaults.authenticated), *defaults.application)
        early = tuple(rule for rule in rules if kind_of(rule.key) is KeyKind.ADDRESS)
        late = tuple(rule for rule in rules if rule not in early)
        return (*defaults.address, *early), late


def _by_unit(rules: Iterable[LimitRule]) -> dict[Unit, tuple[LimitRule, ...]]:
    rules = tuple(rules)
    return {unit: tuple(rule for rule in rules if rule.unit is unit) for unit in Unit}


def _with_defaults(
    rules: tuple[LimitRule, ...], default: tuple[LimitRule, ...]
) -> tuple[LimitRule, ...]:
    """Put the default limits where there are none, or beside those that ask for it."""
    if all(rule.terms is not None and rule.terms.with_defaults for rule in rules):
        return (*rules, *default)
    return rules


def _may_not_count(rule: LimitRule) -> bool:
    terms = rule.terms
    return terms is not None and (terms.exempt_when is not None or terms.methods is not None)


def _waits_for_the_answer(rule: LimitRule) -> bool:
    return rule.terms is not None and rule.terms.statuses is not None
