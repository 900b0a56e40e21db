"""Bind rules to a route, and choose anew for each request where a rule asks for that.

Every text is parsed at the start. What differs from one request to the next (tier, cost, method) is
a short tuple, and the limits that belong to it are made once and kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import lru_cache, partial
from hashlib import blake2b
from typing import Any, Final

from stockade.core.limits import Exemption, LimitRule, Strategy, Unit
from stockade.errors import ConfigurationError, UnavailableError
from stockade.rate_limiting.dependencies import connection_of
from stockade.rate_limiting.gcra import charge_of, interval_of
from stockade.rate_limiting.headers import RATE_LIMIT_POLICY, make_template, render_policies
from stockade.rate_limiting.keys import kind_of
from stockade.rate_limiting.models import BoundLimit, CompiledLimits, KeyKind
from stockade.rate_limiting.questions import Questions
from stockade.rate_limiting.rules import parse_rules
from stockade.rate_limiting.terms import FAILURES, tightness

Scope = MutableMapping[str, Any]

_METHODS: Final = frozenset(
    {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "WEBSOCKET"}
)
_MOST_KEPT: Final = 1024
_WHOLE: Final = -1
# More than any limit has, of those that can be written.
_MOST_UNITS: Final = 2**53
_RETRY: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Pick:
    """What one request is to one rule.

    Args:
        tier: Name of its tier, or the text of its limits.
        cost: What it takes; None where that is fixed, -1 for all there is.
        method: The method that counts for itself, if any.
    """

    tier: str | None
    cost: int | None
    method: str | None


class LimitPart:
    """One rule of a route.

    Args:
        rule: The rule.
        route: Name of the route, for rules without a scope.
        label: Who rules without a key of their own count for, in the response headers.
        questions: Asks the functions of the application.
        by_address: Whether a rule without a key counts the address also where the caller is known.
        for_programs: Whether it counts programs apart from people.
    """

    def __init__(
        self,
        rule: LimitRule,
        *,
        route: str,
        label: str,
        questions: Questions,
        by_address: bool = False,
        for_programs: bool = False,
    ) -> None:
        self.rule = rule
        self._route = route
        self._label = label
        self._questions = questions
        self._by_address = by_address
        self._before_place = "program:" if for_programs else ""
        terms = rule.terms
        self._tiers = {} if terms is None else dict(terms.tiers)
        self.is_fixed = terms is None or not (
            terms.cost
            or terms.choose
            or terms.exempt_when
            or terms.methods is not None
            or terms.per_method
        )

    def by_address(self) -> LimitPart:
        """Return the same, counting addresses also where the caller is known.

        Nobody is known yet where it is checked alone, so that it counts the address there; it must
        go on doing so where the caller is known.
        """
        return LimitPart(
            self.rule,
            route=self._route,
            label=self._label,
            questions=self._questions,
            by_address=True,
        )

    def pick(self, connection: object, scope: Scope) -> Pick | None:
        """Say what a request is to this rule; None where it does not count.

        Raises:
            UnavailableError: Nothing says what its limits are.
        """
        terms = self.rule.terms
        if terms is None:
            return _PLAIN
        method = scope.get("method", "WEBSOCKET")
        if terms.methods is not None and method not in terms.methods:
            return None
        ask = self._questions.ask
        free = terms.exempt_when
        # A truth of another kind, such as a coroutine that nobody waits for, frees nobody.
        if free is not None and ask("exempt_when", free, connection, scope) is True:
            return None
        tier = None if terms.choose is None else self._pick_tier(connection, scope)
        cost = None if terms.cost is None else self._pick_cost(connection, scope)
        if not terms.per_method:
            return Pick(tier, cost, None)
        # A client may invent methods, and each would be a fresh bucket.
        return Pick(tier, cost, method if method in _METHODS else "OTHER")

    def bind(self, pick: Pick | None) -> list[BoundLimit]:
        """Return the limits that hold for a request."""
        if pick is None:
            return []
        rule = self.rule
        rules: tuple[LimitRule, ...] = (rule,)
        if pick.tier is not None:
            rules = self._tiers.get(pick.tier) or self._parse(pick.tier)
        bound = []
        for each in rules:
            if pick.cost is not None:
                # One more than there ever is says that it is too dear, however much it is.
                cost = each.amount if pick.cost == _WHOLE else min(pick.cost, each.amount + 1)
                each = replace(each, cost=cost)  # noqa: PLW2901 - the rule as it is for this request
            bound.append(self._bind(each, pick.method))
        return bound

    def _pick_tier(self, connection: object, scope: Scope) -> str:
        terms = self.rule.terms
        if terms is None or terms.choose is None:
            return ""
        answer = self._questions.ask("tier", terms.choose, connection, scope)
        if self._tiers:
            if isinstance(answer, str) and answer in self._tiers:
                return answer
            self._questions.note("tier", terms.choose, None, scope)
            return min(self._tiers, key=lambda name: tightness(self._tiers[name]))
        try:
            if isinstance(answer, str):
                self._parse(answer)
                return answer
        except ConfigurationError as error:
            self._questions.note("limit", terms.choose, error, scope)
        else:
            self._questions.note("limit", terms.choose, None, scope)
        raise UnavailableError(reason="rate_limiting.no_rule", retry_after=_RETRY)

    def _pick_cost(self, connection: object, scope: Scope) -> int:
        terms = self.rule.terms
        if terms is None or terms.cost is None:
            return 1
        answer = self._questions.ask("cost", terms.cost, connection, scope)
        if isinstance(answer, int) and not isinstance(answer, bool) and answer >= 0:
            most = max((each.amount for each in self._all_rules()), default=_MOST_UNITS)
            return min(answer, most + 1)
        self._questions.note("cost", terms.cost, None, scope)
        return _WHOLE

    def _all_rules(self) -> Iterable[LimitRule]:
        terms = self.rule.terms
        if terms is not None and terms.choose is not None:
            return [rule for rules in self._tiers.values() for rule in rules]
        return [self.rule]

    def _parse(self, text: str) -> tuple[LimitRule, ...]:
        rule = self.rule
        parsed = _parse_once(text, rule.scope, rule.key, rule.strategy)
        if rule.cost == 1:
            return parsed
        return tuple(replace(each, cost=min(rule.cost, each.amount + 1)) for each in parsed)

    def _bind(self, rule: LimitRule, method: str | None) -> BoundLimit:
        kind = kind_of(rule.key)
        who = {KeyKind.ADDRESS: "address", KeyKind.CALLER: self._label, KeyKind.CUSTOM: "key"}[kind]
        place = f"route:{self._route}" if rule.scope is None else f"scope:{rule.scope}"
        terms = self.rule.terms
        # Both stand in front, where no scope can be written like them.
        if terms is not None and terms.statuses is not None:
            # Beside a limit of the same numbers that counts all answers, which would take twice.
            place = f"{_name_statuses(terms.statuses)}:{place}"
        if method is not None:
            place = f"{method}:{place}"
        numbers = f"{rule.amount}/{rule.window}"
        # Until a function has said which limits hold, nobody knows.
        shown = "chosen" if rule.terms is not None and rule.terms.choose else f"{numbers}s"
        if rule.unit is Unit.IN_FLIGHT:
            shown = str(rule.amount)
        strategy = "" if rule.strategy is Strategy.GCRA else f":{rule.strategy}"
        unit = "" if rule.unit is Unit.REQUESTS else f":{rule.unit}"
        own = rule.key if kind is KeyKind.CUSTOM else None
        if self._by_address and kind is KeyKind.CALLER:
            kind = KeyKind.ADDRESS
        return BoundLimit(
            rule=replace(rule, key=own, terms=None),
            kind=kind,
            # The numbers are part of the name: a changed limit starts with fresh buckets. So is the
            # strategy, since each keeps something else.
            suffix=f"{self._before_place}{place}:{numbers}{strategy}{unit}",
            name=f"{who}:{shown}{unit}",
            key=None if own is None else partial(self._questions.read_key, own),
            statuses=None if terms is None else terms.statuses,
            message=None if terms is None else terms.message,
        )


@lru_cache(maxsize=_MOST_KEPT)
def _name_statuses(statuses: frozenset[int]) -> str:
    """Name the answers that a limit counts; a short text for each set of them."""
    if statuses == FAILURES:
        return "failures"
    text = ",".join(map(str, sorted(statuses)))
    return f"answers-{blake2b(text.encode(), digest_size=8).hexdigest()}"


class Variants:
    """Chooses the limits of each request of a route.

    Args:
        parts: The rules of the route.
        exemptions: Which requests are free of all of them.
        questions: Asks the functions of the application.
    """

    def __init__(
        self, parts: Sequence[LimitPart], exemptions: Sequence[Exemption], questions: Questions
    ) -> None:
        self._parts = tuple(parts)
        self._exemptions = tuple(exemptions)
        self._questions = questions
        self._known: dict[tuple[Pick | None, ...], CompiledLimits | None] = {}

    def choose(self, scope: Scope) -> CompiledLimits | None:
        """Return the limits of a request; None where it is free.

        Raises:
            UnavailableError: Nothing says what its limits are.
        """
        connection = connection_of(scope)
        for exemption in self._exemptions:
            if self._questions.ask("exempt_when", exemption.when, connection, scope) is True:
                return None
        picks = tuple([part.pick(connection, scope) for part in self._parts])
        try:
            return self._known[picks]
        except KeyError:
            pass
        if len(self._known) >= _MOST_KEPT:
            self._known.clear()
        bound = [
            limit
            for part, pick in zip(self._parts, picks, strict=True)
            for limit in part.bind(pick)
        ]
        self._known[picks] = found = compile_limits(bound) if bound else None
        return found


def compile_parts(
    parts: Sequence[LimitPart], exemptions: Sequence[Exemption], questions: Questions
) -> CompiledLimits | None:
    """Compute what is the same for each request; None where there is no rule."""
    if not parts:
        return None
    fixed = compile_limits([limit for part in parts for limit in part.bind(_PLAIN)])
    if not exemptions and all(part.is_fixed for part in parts):
        return fixed
    return replace(fixed, variants=Variants(parts, exemptions, questions))


def compile_limits(limits: Sequence[BoundLimit]) -> CompiledLimits:
    """Compute what is the same for each request that has these limits."""
    limits = _with_names(limits)
    # A request that takes nothing would have no debt to write the header from.
    plain = all(limit.rule.strategy is Strategy.GCRA and limit.rule.cost for limit in limits)
    return CompiledLimits(
        limits=tuple(limits),
        policy_header=(RATE_LIMIT_POLICY, render_policies(limits)),
        charges=tuple(charge_of(limit.rule) for limit in limits) if plain else (),
        template=make_template(limits),
        units=tuple((limit.rule.amount - 1, interval_of(limit.rule)) for limit in limits),
        conditional=any(limit.statuses is not None for limit in limits),
    )


def _with_names(limits: Sequence[BoundLimit]) -> list[BoundLimit]:
    """Give each limit a name of its own, for names tie the two response headers."""
    named: list[BoundLimit] = []
    taken: set[str] = set()
    for limit in limits:
        name = limit.name
        while name in taken:
            name = f"{limit.name}:{len(taken)}"
        taken.add(name)
        named.append(limit if name == limit.name else replace(limit, name=name))
    return named


@lru_cache(maxsize=_MOST_KEPT)
def _parse_once(
    text: str, scope: str | None, key: Callable[..., object] | None, strategy: Strategy
) -> tuple[LimitRule, ...]:
    return parse_rules(text, scope=scope, key=key, strategy=strategy)


_PLAIN: Final = Pick(None, None, None)
