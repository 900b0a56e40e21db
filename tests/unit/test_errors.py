import inspect
from datetime import timedelta

import pytest

from stockade import errors
from stockade.authentication import errors as authentication_errors
from stockade.core import mail, policy
from stockade.rate_limiting import unenforced
from stockade.tenancy import errors as tenancy_errors
from stockade.testing import errors as testing_errors
from stockade.validation import errors as validation_errors


def all_errors() -> list[type[errors.StockadeError]]:
    """Return every error class of the package's error modules."""
    modules = (
        errors,
        authentication_errors,
        mail,
        policy,
        tenancy_errors,
        testing_errors,
        unenforced,
        validation_errors,
    )
    found = {
        kind
        for module in modules
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, errors.StockadeError)
    }
    return sorted(found, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", all_errors(), ids=lambda kind: kind.__name__)
def test_every_error_has_a_code_and_a_sentence(kind: type[errors.StockadeError]) -> None:
    """An error's class carries a stable code in lower case and says what it means."""
    assert kind.code
    assert kind.code == kind.code.lower()
    assert kind.__doc__


def test_codes_are_not_shared() -> None:
    """A program that knows the code knows the kind."""
    codes = [kind.code for kind in all_errors()]
    assert sorted(set(codes)) == sorted(codes)


def test_the_three_kinds_are_apart() -> None:
    """A mistake in the configuration, a store that is away and a refusal are never mixed up."""
    kinds = (errors.ConfigurationError, errors.StoreError, errors.DeniedError)
    for kind in all_errors():
        assert sum(issubclass(kind, one) for one in kinds) <= 1


def test_typed_attributes_carry_what_a_caller_needs() -> None:
    """What a caller may want to act on is an attribute and not part of a text."""
    limited = errors.RateLimitedError(reason="a.b", retry_after=timedelta(seconds=3))
    assert (limited.reason, limited.retry_after, limited.headers) == (
        "a.b",
        timedelta(seconds=3),
        {},
    )
    assert errors.BodyTooLargeError(reason="a.b", limit=7).limit == 7
    assert errors.StepUpRequiredError(reason="a.b", max_age=timedelta(1)).max_age == timedelta(1)
    assert errors.UnauthenticatedError(reason="a.b").challenge == "Bearer"
    assert str(errors.ForbiddenError(reason="a.b")) == "a.b"


def test_headers_of_a_refusal_are_its_own() -> None:
    """Changing the mapping that was given changes no error that was raised."""
    given = {"RateLimit": "x"}
    error = errors.RateLimitedError(reason="a.b", retry_after=timedelta(0), headers=given)
    given.clear()
    assert error.headers == {"RateLimit": "x"}
