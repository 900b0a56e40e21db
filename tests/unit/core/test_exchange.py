import pytest

from stockade.core import Decision, Exchange
from stockade.core.exchange import SCOPE_KEY, find_exchange, require_exchange
from stockade.errors import ConfigurationError


def make_exchange(decision: Decision | None = None) -> Exchange:
    """Make an exchange as the wall does."""
    exchange = Exchange(guard=None, request_id="r", client="c", scheme="http", body_limit=1)
    exchange.decision = decision
    return exchange


def test_a_request_starts_undecided() -> None:
    """Nobody has called and nothing is decided until a gate says so."""
    exchange = make_exchange()
    assert exchange.decision is None
    assert exchange.principal is None
    assert exchange.policy is None


@pytest.mark.parametrize("scope", [{}, {SCOPE_KEY: None}, {SCOPE_KEY: {"decision": True}}], ids=str)
def test_something_else_in_the_scope_is_no_exchange(scope: dict[str, object]) -> None:
    """Only an exchange of ours counts; whatever else stands there is ignored."""
    assert find_exchange(scope) is None
    with pytest.raises(ConfigurationError):
        require_exchange(scope)


@pytest.mark.parametrize(
    "decision", [None, Decision(granted=False, reason="x.y")], ids=["undecided", "refused"]
)
def test_an_endpoint_gets_no_exchange_that_was_not_let_through(decision: Decision | None) -> None:
    """A dependency never works for a request that no gate has let through."""
    scope = {SCOPE_KEY: make_exchange(decision)}
    assert find_exchange(scope) is not None
    with pytest.raises(ConfigurationError) as caught:
        require_exchange(scope)
    assert caught.value.code == "configuration"


def test_an_exchange_that_was_let_through_is_given() -> None:
    """With a granted decision the exchange is there."""
    exchange = make_exchange(Decision(granted=True, reason="x.y"))
    assert require_exchange({SCOPE_KEY: exchange}) is exchange
