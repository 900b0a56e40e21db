"""Expect marks that carry limits, on endpoints and routers."""

from datetime import timedelta

import pytest
from starlette.requests import Request

from stockade.core.policy import policies_of
from stockade.errors import ConfigurationError, RateLimitedError
from stockade.rate_limiting import _rate_limit_exceeded_handler, rate_limit, unlimited
from tests.unit.rate_limiting.helpers import make_scope


def test_rate_limit_marks_the_function_itself() -> None:
    """The decorated function is the same object, so the order of decorators makes no difference."""

    def endpoint() -> None: ...

    assert rate_limit("5/minute", scope="s", cost=2)(endpoint) is endpoint
    (policy,) = policies_of(endpoint)
    (rule,) = policy.limits
    assert (rule.amount, rule.window, rule.scope, rule.cost) == (5, 60, "s", 2)


def test_unlimited_carries_its_reason() -> None:
    """The reason is part of the policy."""

    def endpoint() -> None: ...

    unlimited("load balancer probe")(endpoint)
    assert policies_of(endpoint)[0].unlimited == ("load balancer probe",)


@pytest.mark.parametrize("text", ["", "often", "0/minute"])
def test_a_wrong_limit_fails_at_import(text: str) -> None:
    """A limit that is wrong stops the import."""
    with pytest.raises(ConfigurationError):
        rate_limit(text)


@pytest.mark.parametrize("reason", ["", "  ", test_unlimited_carries_its_reason], ids=str)
def test_unlimited_needs_a_reason(reason: str) -> None:
    """An exemption without a reason, or a bare decorator, is refused."""
    with pytest.raises(ConfigurationError):
        unlimited(reason)


def test_handler_under_slowapis_name() -> None:
    """The handler that slowapi users register answers 429 with Retry-After."""
    error = RateLimitedError(
        reason="rate_limiting.exceeded",
        retry_after=timedelta(seconds=30),
        headers={"RateLimit": '"x";r=0;t=30'},
    )
    response = _rate_limit_exceeded_handler(Request(make_scope()), error)
    assert response.status_code == 429
    assert response.headers["retry-after"] == "30"
    assert response.headers["ratelimit"] == '"x";r=0;t=30'


def test_handler_of_another_error() -> None:
    """Registered for the wrong exception, the handler says so instead of answering 429."""
    with pytest.raises(ConfigurationError):
        _rate_limit_exceeded_handler(Request(make_scope()), ValueError("x"))
