"""Expect slowapi's surface, with every option honoured or refused by name."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import slowapi
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from slowapi.util import get_remote_address as foreign_address

from stockade.core.policy import combine, policies_of
from stockade.errors import ConfigurationError, RateLimitedError
from stockade.rate_limiting import (
    Limiter,
    LimitRequest,
    RateLimitExceeded,
    RateLimitingSettings,
    get_rate_limit_key,
    get_remote_address,
    parse_rules,
)
from stockade.rate_limiting.compat import limiters_of
from stockade.rate_limiting.interfaces import LimitStore
from stockade.storage import limit_store
from stockade.storage.memory import MemoryLimitStore
from tests.unit.rate_limiting.helpers import make_exchange

DEFAULTS = RateLimitingSettings().default_rules()


@pytest.fixture
def limiter() -> Limiter:
    """A limiter as most applications build it."""
    return Limiter(key_func=get_rate_limit_key)


@pytest.mark.parametrize("method", ["__init__", "limit", "shared_limit"])
def test_signatures(method: str) -> None:
    """Each method takes slowapi's parameters, in slowapi's order."""
    ours = list(inspect.signature(getattr(Limiter, method)).parameters)
    assert ours == list(inspect.signature(getattr(slowapi.Limiter, method)).parameters)


def test_limit_marks_the_function_itself(limiter: Limiter) -> None:
    """Endpoints stay what they are: sync or async, with no request parameter, in any order."""

    async def endpoint() -> None: ...

    assert limiter.limit("5/minute")(endpoint) is endpoint
    assert limiters_of(endpoint) == (limiter,)
    (rule,) = policies_of(endpoint)[0].limits
    assert (rule.amount, rule.window) == (5, 60)


def test_stacked_limits(limiter: Limiter) -> None:
    """Several decorators add up."""

    @limiter.limit("5/minute")
    @limiter.limit("50/hour", key_func=get_remote_address, cost=2)
    def endpoint() -> None: ...

    rules = combine(policies_of(endpoint)).limits
    assert [(rule.amount, rule.cost, rule.key) for rule in rules] == [
        (50, 2, get_remote_address),
        (5, 1, get_rate_limit_key),
    ]


def test_shared_limit(limiter: Limiter) -> None:
    """A shared limit carries its scope."""

    @limiter.shared_limit("5/minute", scope="search")
    def endpoint() -> None: ...

    assert policies_of(endpoint)[0].limits[0].scope == "search"


def test_exempt(limiter: Limiter) -> None:
    """An exempt endpoint has a reason that the audit can show."""

    @limiter.exempt
    def endpoint() -> None: ...

    assert policies_of(endpoint)[0].unlimited


def test_disabled_is_an_exemption_in_the_open() -> None:
    """A limiter that is switched off leaves a trace on each endpoint."""

    @Limiter(get_rate_limit_key, enabled=False).limit("5/minute")
    def endpoint() -> None: ...

    (policy,) = policies_of(endpoint)
    assert policy.limits == ()
    assert policy.unlimited == ("Limiter(enabled=False)",)


def test_disabled_still_checks_its_limits() -> None:
    """A wrong limit is an error also where limits are off."""
    with pytest.raises(ConfigurationError):
        Limiter(get_rate_limit_key, enabled=False).limit("nonsense")


def test_switching_off_later_is_an_error(limiter: Limiter) -> None:
    """Limits are bound at the start, so setting a flag later must not look as if it worked."""
    with pytest.raises(AttributeError):
        limiter.enabled = False  # type: ignore[misc] # that is the mistake


@pytest.mark.parametrize("text", ["", "nonsense", "0/minute", "5/minute; nonsense"])
def test_a_wrong_limit_fails_at_import(limiter: Limiter, text: str) -> None:
    """A limit that slowapi would log and then not apply stops the import."""
    with pytest.raises(ConfigurationError):
        limiter.limit(text)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("storage_options", {"socket_timeout": 1}),
        ("auto_check", False),
        ("in_memory_fallback", ["5/minute"]),
        ("retry_after", "http-date"),
        ("key_prefix", "x"),
        ("config_filename", ".env"),
        ("key_style", "url"),
    ],
)
def test_options_that_are_not_honoured_are_refused(option: str, value: object) -> None:
    """What can't be kept is refused, and the message names the option."""
    given: dict[str, Any] = {option: value}
    with pytest.raises(ConfigurationError, match=option):
        Limiter(get_rate_limit_key, **given)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("strategy", "fixed-window"),
        ("strategy", "moving-window"),
        ("strategy", "sliding-window-counter"),
        ("storage_uri", "memory://"),
        ("headers_enabled", True),
        ("retry_after", "delta-seconds"),
        ("key_style", "endpoint"),
        ("default_limits", "5/minute"),
    ],
)
def test_options_that_say_what_is_so_anyway(option: str, value: object) -> None:
    """An option that asks for no more than what holds is taken."""
    given: dict[str, Any] = {option: value}
    Limiter(get_rate_limit_key, **given)


async def _later() -> bool:
    return True


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("limit_value", _later),
        ("cost", _later),
        ("cost", 0),
        ("exempt_when", _later),
        ("exempt_when", "always"),
        ("error_message", _later),
        ("key_func", _later),
    ],
)
def test_functions_that_can_not_be_asked_are_refused(
    limiter: Limiter, option: str, value: object
) -> None:
    """A function that has to be waited for, or is none, stops the import."""
    given: dict[str, Any] = {"limit_value": "5/minute", option: value}
    with pytest.raises(ConfigurationError):
        limiter.limit(**given)


@pytest.mark.parametrize(
    ("options", "url", "failure", "holds"),
    [
        ({"storage_uri": "redis://h:1/0"}, "redis://h:1/0", "closed", True),
        ({"storage_uri": "redis://h:1/0"}, "redis://h:1/1", "closed", False),
        ({"storage_uri": "redis://h:1/0"}, "memory://", "closed", False),
        ({"storage_uri": "memory://"}, "redis://h:1/0", "closed", True),
        ({"swallow_errors": True}, "memory://", "open", True),
        ({"swallow_errors": True}, "memory://", "closed", False),
        ({"in_memory_fallback_enabled": True}, "memory://", "local", True),
        ({"in_memory_fallback_enabled": True}, "memory://", "closed", False),
        ({"in_memory_fallback_enabled": True, "swallow_errors": True}, "memory://", "open", False),
    ],
)
def test_options_that_the_settings_have_to_agree_with(
    options: dict[str, Any], url: str, failure: str, holds: bool
) -> None:
    """What a setting decides is taken if the setting says the same, else it stops the start."""
    own = Limiter(get_rate_limit_key, **options)
    if holds:
        own.require(url=url, failure=failure)
        return
    with pytest.raises(ConfigurationError) as caught:
        own.require(url=url, failure=failure)
    assert "h:1" not in str(caught.value)


def test_shared_limit_with_a_computed_scope(limiter: Limiter) -> None:
    """A scope that is a function is refused."""
    with pytest.raises(ConfigurationError, match="scope"):
        limiter.shared_limit("5/minute", scope=lambda _: "x")


def test_a_key_function_that_believes_headers() -> None:
    """A key by which a client chooses its own bucket is refused."""
    with pytest.raises(ConfigurationError):
        Limiter(key_func=slowapi.util.get_ipaddr)


def test_defaults_replace_the_settings(limiter: Limiter) -> None:
    """Application-wide limits stand in place of those of the settings; login keeps its own."""
    own = Limiter(get_remote_address, default_limits=["9/minute"], application_limits=["99/hour"])
    rules = own.adjust(DEFAULTS, others=[limiter])
    assert [rule.amount for rule in rules.public] == [9]
    assert [rule.amount for rule in rules.authenticated] == [9]
    assert [(rule.amount, rule.scope) for rule in rules.application] == [(99, "global")]
    assert rules.login == DEFAULTS.login


@pytest.mark.parametrize("enabled", [True, False])
def test_without_defaults_the_settings_stay(enabled: bool) -> None:
    """A limiter without application-wide limits, or one that is off, changes nothing."""
    limits = [] if enabled else ["9/minute"]
    own = Limiter(get_rate_limit_key, default_limits=limits, enabled=enabled)
    assert own.adjust(DEFAULTS) == DEFAULTS


def test_two_limiters_that_differ() -> None:
    """Two limiters with different application-wide limits can't both hold."""
    first = Limiter(get_rate_limit_key, default_limits=["9/minute"])
    second = Limiter(get_rate_limit_key, default_limits=["8/minute"])
    with pytest.raises(ConfigurationError):
        second.adjust(DEFAULTS, others=[first])
    assert first.adjust(DEFAULTS, others=[first]).public == parse_rules(
        "9/minute", key=get_rate_limit_key
    )


async def test_reset(limiter: Limiter) -> None:
    """A reset forgets what has been counted; before the start there is nothing to forget."""
    limiter.reset()
    store = MemoryLimitStore()
    limiter.bind(store)
    await store.acquire([LimitRequest("{a}x", parse_rules("1/minute")[0])])
    limiter.reset()
    assert len(store) == 0


def test_reset_over_the_network(limiter: Limiter) -> None:
    """A store that has to be waited for can't be reset by a plain call, and it says so."""
    store: LimitStore = limit_store("redis://127.0.0.1:1")
    limiter.bind(store)
    with pytest.raises(ConfigurationError):
        limiter.reset()


def test_the_error_under_slowapis_name() -> None:
    """Handlers that are registered for slowapi's error are registered for ours."""
    assert RateLimitExceeded is RateLimitedError


def _count(key: Callable[..., str], exchange_user: str | None) -> list[int]:
    """Run slowapi's own limiter with a key of ours, behind a wall if there is a user."""
    foreign = slowapi.Limiter(key_func=key)
    app = FastAPI()
    app.state.limiter = foreign
    handler: Any = slowapi._rate_limit_exceeded_handler
    app.add_exception_handler(slowapi.errors.RateLimitExceeded, handler)

    @app.get("/x")
    @foreign.limit("2/minute")
    def endpoint(request: Request) -> str:
        return str(request.url.path)

    async def wall(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - plain ASGI
        if exchange_user is not None:
            scope["stockade"] = make_exchange(user=exchange_user)
        await app(scope, receive, send)

    with TestClient(wall) as client:
        return [
            client.get("/x", headers={"x-forwarded-for": f"192.0.2.{n}"}).status_code
            for n in range(4)
        ]


@pytest.mark.parametrize("user", [None, "42"])
def test_our_key_in_slowapis_own_limiter(user: str | None) -> None:
    """Our key works as key_func of slowapi, with and without Stockade in front."""
    assert _count(get_rate_limit_key, user) == [200, 200, 429, 429]


def test_slowapis_address_function_is_the_address() -> None:
    """An import of slowapi's get_remote_address that was left over counts by trusted address."""
    own = Limiter(key_func=foreign_address, default_limits=["5/minute"])
    assert own.adjust(DEFAULTS).public[0].key is foreign_address
