import pytest
from fastapi import APIRouter, Depends, FastAPI
from starlette.requests import HTTPConnection

from stockade.core import Decision, Policy, Principal, UserId
from stockade.core.dependencies import PolicyMark, current_principal
from stockade.core.exchange import SCOPE_KEY
from stockade.core.policy import is_dependency, policies_of
from stockade.errors import ConfigurationError, UnauthenticatedError
from tests.unit.core.test_exchange import make_exchange

ANA = Principal(user_id=UserId("ana"), email="ana@example.com")


def connect(principal: Principal | None, *, granted: bool = True) -> HTTPConnection:
    """Make a connection that a gate has decided on."""
    exchange = make_exchange(Decision(granted=granted, reason="x.y"))
    exchange.principal = principal
    return HTTPConnection({"type": "http", SCOPE_KEY: exchange})


async def test_the_verified_caller_is_given() -> None:
    """The dependency hands over whom the gate has verified."""
    assert await current_principal(connect(ANA)) is ANA


async def test_nobody_is_an_error() -> None:
    """A public route that asks for a caller all the same gets none."""
    with pytest.raises(UnauthenticatedError):
        await current_principal(connect(None))


async def test_a_refused_request_has_no_caller() -> None:
    """Even a verified caller is not given where the gate has refused."""
    with pytest.raises(ConfigurationError):
        await current_principal(connect(ANA, granted=False))


async def test_without_stockade_the_dependency_fails() -> None:
    """On an application without Stockade the dependency is an error, never an open door."""
    with pytest.raises(ConfigurationError):
        await current_principal(HTTPConnection({"type": "http"}))


def test_a_mark_decorates_and_is_a_dependency() -> None:
    """One mark works on an endpoint and on a router, and needs nothing at run time."""
    mark = PolicyMark(Policy(public=("probe",)))

    def endpoint() -> None:
        """Do nothing."""

    assert mark(endpoint) is endpoint
    assert policies_of(endpoint) == (mark.policy,)
    router = APIRouter(dependencies=[mark])
    assert router.dependencies[0] is mark
    assert is_dependency(mark.dependency)
    assert policies_of(mark.dependency) == (mark.policy,)


def test_the_openapi_document_offers_the_sign_in() -> None:
    """Swagger UI finds the address of the token endpoint."""
    app = FastAPI()

    @app.get("/me", dependencies=[Depends(current_principal)])
    def me() -> None:
        """Do nothing."""

    schemes = app.openapi()["components"]["securitySchemes"]
    assert schemes["OAuth2"]["flows"]["password"]["tokenUrl"] == "auth/token"
