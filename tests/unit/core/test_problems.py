import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade import errors
from stockade.authentication import InvalidCredentialsError, InvalidTokenError
from stockade.core.problems import NOT_FOUND, Problem, problem_for, problem_for_status

WAIT = timedelta(seconds=1.2)
SECRET_REASON = "authentication.the_exact_reason"
DENIALS = [
    (errors.UnauthenticatedError(reason=SECRET_REASON), 401, "unauthenticated"),
    (InvalidTokenError(reason=SECRET_REASON), 401, "invalid_token"),
    (InvalidCredentialsError(reason=SECRET_REASON), 401, "invalid_credentials"),
    (errors.StepUpRequiredError(reason=SECRET_REASON, max_age=WAIT), 401, "step_up_required"),
    (errors.ForbiddenError(reason=SECRET_REASON), 403, "forbidden"),
    (errors.NotFoundError(reason=SECRET_REASON), 404, "not_found"),
    (errors.InvalidInputError(reason=SECRET_REASON), 422, "invalid_input"),
    (errors.BodyTooLargeError(reason=SECRET_REASON, limit=9), 413, "body_too_large"),
    (errors.RateLimitedError(reason=SECRET_REASON, retry_after=WAIT), 429, "rate_limited"),
    (errors.UnavailableError(reason=SECRET_REASON, retry_after=WAIT), 503, "unavailable"),
    (errors.DeniedError(reason=SECRET_REASON), 403, "denied"),
]


@pytest.mark.parametrize(
    ("error", "status", "code"), DENIALS, ids=[type(row[0]).__name__ for row in DENIALS]
)
def test_each_refusal_has_one_answer(error: errors.DeniedError, status: int, code: str) -> None:
    """Status and code follow from the kind; the exact reason never leaves the server."""
    problem = problem_for(error)
    body = problem.encode(request_id="r-1")
    assert (problem.status, problem.code) == (status, code)
    assert SECRET_REASON.encode() not in body
    assert SECRET_REASON not in str(problem.headers)
    members = json.loads(body)
    assert members["status"] == status
    assert members["code"] == code
    assert members["request_id"] == "r-1"
    assert members["title"]


def test_an_unauthenticated_answer_carries_the_challenge() -> None:
    """A 401 says how to sign in (RFC 9110, section 15.5.2)."""
    token = problem_for(InvalidTokenError(reason="x"))
    plain = problem_for(errors.UnauthenticatedError(reason="x", challenge='Basic realm="docs"'))
    assert token.headers == {"WWW-Authenticate": 'Bearer error="invalid_token"'}
    assert plain.headers == {"WWW-Authenticate": 'Basic realm="docs"'}


def test_a_step_up_answer_says_how_fresh_the_sign_in_must_be() -> None:
    """The challenge has the form of RFC 9470, section 3."""
    problem = problem_for(
        errors.StepUpRequiredError(reason="x", max_age=timedelta(minutes=5, milliseconds=400))
    )
    assert problem.headers == {
        "WWW-Authenticate": 'Bearer error="insufficient_user_authentication", max_age="300"'
    }


@pytest.mark.parametrize(
    ("max_age", "tail"),
    [(None, ""), (timedelta(minutes=5), ', max_age="300"')],
    ids=["any age", "age"],
)
def test_a_step_up_answer_names_the_factor(max_age: timedelta | None, tail: str) -> None:
    """As a context class, which is what RFC 9470 has for it, and as a member for programs."""
    problem = problem_for(errors.StepUpRequiredError(reason="x", max_age=max_age, factor="totp"))
    challenge = 'Bearer error="insufficient_user_authentication", acr_values="totp"'
    assert problem.headers == {"WWW-Authenticate": challenge + tail}
    assert problem.extensions == {"factor": "totp"}


def test_a_sign_in_that_waits_is_told_what_for() -> None:
    """The token is in the body, which nobody may keep."""
    error = errors.FactorRequiredError(
        reason="x",
        pending_token="stkm_secret",
        expires_in=timedelta(minutes=5),
        factors=("totp", "passkey"),
    )
    problem = problem_for(error)
    assert (problem.status, problem.code) == (403, "mfa_required")
    assert problem.headers == {"Cache-Control": "no-store"}
    assert problem.extensions == {
        "mfa_token": "stkm_secret",
        "expires_in": 300,
        "factors": ["totp", "passkey"],
    }
    assert "stkm_secret" not in f"{error} {error!r}"


@pytest.mark.parametrize(
    ("wait", "header"),
    [(timedelta(0), "1"), (timedelta(milliseconds=1), "1"), (timedelta(seconds=1.2), "2")],
    ids=["none", "short", "rounded-up"],
)
def test_retry_after_is_never_too_early(wait: timedelta, header: str) -> None:
    """A client that waits as long as it is told gets through: the time is rounded up."""
    limited = problem_for(
        errors.RateLimitedError(reason="x", retry_after=wait, headers={"RateLimit": "x"})
    )
    away = problem_for(errors.UnavailableError(reason="x", retry_after=wait))
    assert limited.headers == {"Retry-After": header, "RateLimit": "x"}
    assert away.headers == {"Retry-After": header}


def test_a_missing_and_a_hidden_object_read_the_same() -> None:
    """What belongs to somebody else is answered like what does not exist."""
    hidden = problem_for(errors.NotFoundError(reason="tenancy.foreign"))
    missing = problem_for(errors.NotFoundError(reason="storage.missing"))
    assert hidden.encode(request_id="r") == missing.encode(request_id="r")


def test_a_derived_refusal_keeps_the_answer_of_its_kind() -> None:
    """An application's own error is answered by what it derives from."""

    class OwnError(errors.NotFoundError):
        code = "own"

    assert problem_for(OwnError(reason="billing.missing")).status == 404


@pytest.mark.parametrize(
    ("status", "detail", "expected"),
    [
        (418, "Short and stout.", {"status": 418, "detail": "Short and stout."}),
        (404, "Not Found", json.loads(NOT_FOUND.encode())),
        (409, {"field": "name"}, {"status": 409, "context": {"field": "name"}}),
        (409, ["a", "b"], {"status": 409, "context": ["a", "b"]}),
        (409, None, {"status": 409}),
        (799, "Own words.", {"status": 500, "code": "internal_error"}),
        (-1, "Own words.", {"status": 500, "code": "internal_error"}),
    ],
    ids=["sentence", "default-phrase", "dict", "list", "none", "unregistered", "negative"],
)
def test_a_status_that_a_handler_chose(
    status: int, detail: object, expected: dict[str, object]
) -> None:
    """A handler's own words stay; the standard phrase is not repeated."""
    members = json.loads(problem_for_status(status, detail=detail).encode())
    assert expected.items() <= members.items()
    assert ("detail" in members) == ("detail" in expected or status in (799, -1))


def test_a_detail_can_not_replace_the_members_of_the_answer() -> None:
    """A dictionary goes below a member of its own, where it overrides nothing."""
    members = json.loads(problem_for_status(403, detail={"status": 200, "code": "ok"}).encode())
    assert (members["status"], members["code"]) == (403, "forbidden")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(status=st.integers(100, 599), detail=JSON)
def test_any_detail_can_be_encoded(status: int, detail: object) -> None:
    """The answer to an error never becomes an error itself."""
    body = problem_for_status(status, detail=detail).encode()
    assert body.isascii()
    assert json.loads(body)["status"] in (status, 500)


def test_parts_that_are_not_there_are_left_out() -> None:
    """An answer without a sentence and a request id has no members for them."""
    assert json.loads(Problem(status=403, code="x").encode()) == {
        "type": "about:blank",
        "title": "Forbidden",
        "status": 403,
        "code": "x",
    }
