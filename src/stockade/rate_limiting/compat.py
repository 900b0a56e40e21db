"""Offer slowapi's ``Limiter``, which here only describes limits: the gate enforces them.

Nothing is wrapped, so the order of decorators makes no difference, endpoints may be sync or async
and need no ``request`` parameter. What can't be kept as slowapi has it is refused by name when the
module is imported, never accepted and ignored.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from stockade.core.limits import LimitRule, LimitTerms, Strategy
from stockade.core.policy import Policy, attach
from stockade.errors import ConfigurationError, RateLimitedError
from stockade.rate_limiting.dependencies import rate_limit_exceeded_handler
from stockade.rate_limiting.interfaces import ClearableStore, LimitStore
from stockade.rate_limiting.keys import takes_connection, verify_function, verify_key
from stockade.rate_limiting.models import DefaultRules
from stockade.rate_limiting.rules import Key, parse_rules
from stockade.rate_limiting.terms import strategy_of
from stockade.rate_limiting.unenforced import watch_for_applications_without_stockade

if TYPE_CHECKING:
    from starlette.responses import Response

RateLimitExceeded = RateLimitedError
"""The error of a used-up limit, under slowapi's name."""

_rate_limit_exceeded_handler = rate_limit_exceeded_handler

_LIMITERS: Final = "__stockade_limiters__"
_Function = TypeVar("_Function", bound=Callable[..., Any])
_Answer = TypeVar("_Answer", bound="Response")
_Limits = Sequence[str | Callable[..., str]]


class Limiter:
    """Describe limits the way slowapi does.

    Args:
        key_func: Names the bucket of a request; `get_rate_limit_key` for the verified caller, else
            the address.
        default_limits: Limits of routes without limits of their own, in place of the ``public`` and
            ``authenticated`` ones.
        application_limits: Limits of all routes together.
        headers_enabled: Accepted; the standard ``RateLimit`` fields are always sent.
        strategy: ``fixed-window``, ``sliding-window-counter`` or ``moving-window``; GCRA without
            one, which holds what a fixed window promises.
        storage_uri: The store, which has to be the one of the settings.
        storage_options: None may be given.
        auto_check: Must stay on.
        swallow_errors: Taken if the setting ``failure`` is ``open``, which is what does it.
        in_memory_fallback: Must stay empty: while the store is away, the same limits hold.
        in_memory_fallback_enabled: Taken if the setting ``failure`` is ``local``, which is what
            does it.
        retry_after: ``delta-seconds``, the form in which ``Retry-After`` is sent.
        key_prefix: Must stay empty.
        enabled: Off, each limit becomes an exemption that the audit shows.
        config_filename: Must stay unset.
        key_style: ``endpoint``: a bucket for each URL is a fresh one for each id in a path.

    Raises:
        ConfigurationError: An option is given that is not honoured, or a limit is wrong.
    """

    def __init__(  # noqa: PLR0917 - slowapi's signature
        self,
        key_func: Key,
        default_limits: _Limits = (),
        application_limits: _Limits = (),
        headers_enabled: bool = False,  # noqa: ARG002, FBT001, FBT002 - slowapi's signature
        strategy: str | None = None,
        storage_uri: str | None = None,
        storage_options: Mapping[str, object] | None = None,
        auto_check: bool = True,  # noqa: FBT001, FBT002 - slowapi's signature
        swallow_errors: bool = False,  # noqa: FBT001, FBT002 - slowapi's signature
        in_memory_fallback: _Limits = (),
        in_memory_fallback_enabled: bool = False,  # noqa: FBT001, FBT002 - slowapi's signature
        retry_after: str | None = None,
        key_prefix: str = "",
        enabled: bool = True,  # noqa: FBT001, FBT002 - slowapi's signature
        config_filename: str | None = None,
        key_style: Literal["endpoint", "url"] = "endpoint",
    ) -> None:
        _refuse(
            {
                "storage_options": bool(storage_options),
                "auto_check": not auto_check,
                "in_memory_fallback": bool(in_memory_fallback),
                "retry_after": retry_after not in {None, "delta-seconds"},
                "key_prefix": bool(key_prefix),
                "config_filename": config_filename is not None,
                "key_style": key_style != "endpoint",
            }
        )
        verify_key(key_func)
        self._key = key_func
        self._strategy = Strategy.GCRA if strategy is None else strategy_of(strategy)
        self._storage = storage_uri
        # What the setting `failure` has to be for these options to be true.
        self._needs = [
            (option, failure)
            for option, failure, is_on in (
                ("swallow_errors", "open", swallow_errors),
                ("in_memory_fallback_enabled", "local", in_memory_fallback_enabled),
            )
            if is_on
        ]
        self._enabled = bool(enabled)
        self._defaults = self._parse_all(default_limits)
        self._application = self._parse_all(application_limits, "global")
        self._store: LimitStore | None = None

    @property
    def enabled(self) -> bool:
        """Whether the limits apply; it can't be switched later, once they are attached."""
        return self._enabled

    def limit(  # noqa: PLR0917 - slowapi's signature
        self,
        limit_value: str | Callable[..., str],
        key_func: Key | None = None,
        per_method: bool = False,  # noqa: FBT001, FBT002 - slowapi's signature
        methods: Sequence[str] | None = None,
        error_message: str | Callable[..., str] | None = None,
        exempt_when: Callable[..., bool] | None = None,
        cost: int | Callable[..., int] = 1,
        override_defaults: bool = True,  # noqa: FBT001, FBT002 - slowapi's signature
    ) -> Callable[[_Function], _Function]:
        """Limit one endpoint.

        Raises:
            ConfigurationError: The limit is wrong, or an option is given that is not honoured.
        """
        terms = _terms(
            cost=cost,
            exempt_when=exempt_when,
            message=error_message,
            with_defaults=not override_defaults,
        )
        if methods is not None:
            terms = replace(terms, methods=frozenset(method.upper() for method in methods))
        terms = replace(terms, per_method=bool(per_method))
        return self._mark(limit_value, key_func, scope=None, cost=cost, terms=terms)

    def shared_limit(  # noqa: PLR0917 - slowapi's signature
        self,
        limit_value: str | Callable[..., str],
        scope: str | Callable[..., str],
        key_func: Key | None = None,
        error_message: str | Callable[..., str] | None = None,
        exempt_when: Callable[..., bool] | None = None,
        cost: int | Callable[..., int] = 1,
        override_defaults: bool = True,  # noqa: FBT001, FBT002 - slowapi's signature
    ) -> Callable[[_Function], _Function]:
        """Limit several endpoints together.

        Raises:
            ConfigurationError: The limit is wrong, or an option is given that is not honoured.
        """
        if not isinstance(scope, str):
            raise _refusal("scope")
        terms = _terms(
            cost=cost,
            exempt_when=exempt_when,
            message=error_message,
            with_defaults=not override_defaults,
        )
        return self._mark(limit_value, key_func, scope=scope, cost=cost, terms=terms)

    def exempt(self, obj: _Function) -> _Function:
        """Free an endpoint from the default limits."""
        return self._attach(obj, Policy(unlimited=("exempted by Limiter.exempt",)))

    def reset(self) -> None:
        """Forget all buckets.

        Raises:
            ConfigurationError: The store has to be waited for: use ``await RateLimiter.reset()``.
        """
        if self._store is None:
            return  # No request has been counted yet.
        if not isinstance(self._store, ClearableStore):
            raise ConfigurationError(
                "this store answers over the network: call `await RateLimiter.reset()` instead"
            )
        self._store.clear()

    def _inject_headers(
        self, response: _Answer, current_limit: Mapping[str, str] | None
    ) -> _Answer:
        """Add the fields of a used-up limit, where handlers that were written for slowapi ask."""
        for name, value in (current_limit or {}).items():
            response.headers.setdefault(name, value)
        return response

    def bind(self, store: LimitStore) -> None:
        """Learn which store counts, for `reset`."""
        self._store = store

    def require(self, *, url: str, failure: str) -> None:
        """Check that the settings do what options of this limiter say.

        Args:
            url: Address of the store in use.
            failure: The failure policy in use.

        Raises:
            ConfigurationError: They don't.
        """
        if self._storage not in {None, "memory://", url}:
            raise _refusal("storage_uri")
        for option, needed in self._needs:
            if failure != needed:
                raise _refusal(option)

    def adjust(self, rules: DefaultRules, *, others: Sequence[Limiter] = ()) -> DefaultRules:
        """Put this limiter's application-wide limits in place of the settings' ones.

        Args:
            rules: The rules up to now.
            others: Limiters whose limits are in them already.

        Raises:
            ConfigurationError: Another limiter has other application-wide limits.
        """
        if not self._enabled or not (self._defaults or self._application):
            return rules
        for other in others:
            if (other._defaults, other._application) not in {  # noqa: SLF001 - its own class
                ((), ()),
                (self._defaults, self._application),
            }:
                raise ConfigurationError(
                    "two limiters have different default_limits or application_limits: keep one"
                )
        return replace(
            rules,
            public=self._defaults or rules.public,
            authenticated=self._defaults or rules.authenticated,
            programs=self._defaults or rules.programs,
            application=self._application,
        )

    def _mark(
        self,
        limit: str | Callable[..., str],
        key: Key | None,
        *,
        scope: str | None,
        cost: int | Callable[..., int],
        terms: LimitTerms,
    ) -> Callable[[_Function], _Function]:
        fixed = cost if isinstance(cost, int) else 1
        rules = self._parse(limit, key or self._key, scope=scope, cost=fixed, terms=terms)
        named = limit if isinstance(limit, str) else getattr(limit, "__qualname__", "a function")
        policy = Policy(limits=rules, origins=(f"Limiter.limit({named!r})",))
        if not self._enabled:
            policy = Policy(unlimited=("Limiter(enabled=False)",))

        def mark(function: _Function) -> _Function:
            return self._attach(function, policy)

        return mark

    def _parse(
        self,
        limit: str | Callable[..., str],
        key: Key,
        *,
        scope: str | None = None,
        cost: int = 1,
        terms: LimitTerms | None = None,
    ) -> tuple[LimitRule, ...]:
        """Read limits; those of a function are read when it is asked, and each text once."""
        if isinstance(limit, str):
            plain = None if terms == LimitTerms() else terms
            return parse_rules(
                limit, scope=scope, key=key, cost=cost, strategy=self._strategy, terms=plain
            )
        verify_key(key)
        if cost < 1:
            raise ConfigurationError("the cost of a request is a whole number above zero")
        choose = _asked_for_its_limit(limit, key)
        return (
            LimitRule(
                # What it is for one request is known when the function has said so.
                amount=cost,
                window=1,
                scope=scope,
                key=key,
                cost=cost,
                strategy=self._strategy,
                terms=replace(terms or LimitTerms(), choose=choose),
            ),
        )

    def _attach(self, function: _Function, policy: Policy) -> _Function:
        # The gate finds the limiter by the endpoints it has marked, so its application-wide options
        # can't be lost.
        watch_for_applications_without_stockade()
        vars(function)[_LIMITERS] = (*limiters_of(function), self)
        return attach(function, policy)

    def _parse_all(self, texts: _Limits, scope: str | None = None) -> tuple[LimitRule, ...]:
        rules: list[LimitRule] = []
        for text in (texts,) if isinstance(texts, str) else texts:
            rules += self._parse(text, self._key, scope=scope)
        return tuple(dict.fromkeys(rules))


def limiters_of(function: object) -> tuple[Limiter, ...]:
    """Return the limiters that have marked an endpoint."""
    found = getattr(function, "__dict__", {}).get(_LIMITERS, ())
    return found if isinstance(found, tuple) else ()


def _terms(
    *,
    cost: int | Callable[..., int],
    exempt_when: Callable[..., bool] | None,
    message: str | Callable[..., str] | None,
    with_defaults: bool,
) -> LimitTerms:
    if exempt_when is not None:
        verify_function("exempt_when", exempt_when)
    if callable(cost):
        verify_function("cost", cost)
    if callable(message):
        verify_function("error_message", message)
    return LimitTerms(
        cost=cost if callable(cost) else None,
        exempt_when=exempt_when,
        message=message,
        with_defaults=with_defaults,
    )


def _asked_for_its_limit(limit: Callable[..., str], key: Key) -> Callable[..., str]:
    """Give a function what slowapi gives it: the key of the request if it has a ``key``."""
    verify_function("a limit", limit)
    if "key" not in inspect.signature(limit).parameters:
        return limit
    with_connection = takes_connection(key)

    @wraps(limit)
    def choose(request: object) -> str:
        return limit(key(request) if with_connection else key())

    # Its signature is another one than that of the function it stands for.
    del choose.__wrapped__
    return choose


_INSTEAD: Final = {
    "storage_uri": "it is not the store of the settings: set STOCKADE_REDIS_URL and leave it out",
    "storage_options": "put them into STOCKADE_REDIS_URL",
    "auto_check": "use @unlimited on the routes that are exempt",
    "swallow_errors": "set STOCKADE_RATE_LIMITING__FAILURE=open",
    "in_memory_fallback": "while the store is away the same limits hold: leave it out and set"
    " STOCKADE_RATE_LIMITING__FAILURE=local",
    "in_memory_fallback_enabled": "set STOCKADE_RATE_LIMITING__FAILURE=local",
    "retry_after": "Retry-After is sent in seconds: leave it out",
    "key_prefix": "give each application a Redis database of its own",
    "config_filename": "use STOCKADE_RATE_LIMITING__* variables",
    "key_style": "a bucket for each URL is a fresh one for each id in a path: leave it out",
    "scope": "it must be a text, not a function",
}


def _refuse(given: Mapping[str, bool]) -> None:
    for option, unusable in given.items():
        if unusable:
            raise _refusal(option)


def _refusal(option: str) -> ConfigurationError:
    return ConfigurationError(f"Limiter can't honour {option}: {_INSTEAD[option]}")
