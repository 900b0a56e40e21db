"""Give endpoints their verified caller, and make decorators that are dependencies as well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from fastapi.openapi.models import OAuth2 as OAuth2Model
from fastapi.openapi.models import OAuthFlowPassword, OAuthFlows
from fastapi.params import Depends
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection

from stockade.core.exchange import require_exchange
from stockade.core.identity import Principal
from stockade.core.policy import Policy, attach, attach_to_dependency
from stockade.errors import UnauthenticatedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stockade.core.exchange import Exchange

_Function = TypeVar("_Function", bound="Callable[..., Any]")


class PolicyMark(Depends):
    """A policy to put on an endpoint (``@mark``) or a router (``APIRouter(dependencies=[mark])``).

    As a decorator it returns the very function it was given, so it may stand above or below the
    route decorator. As a dependency it does nothing at run time: the gate reads its policy at
    start-up and enforces it before the body is read.
    """

    def __init__(self, policy: Policy) -> None:
        async def carry_policy() -> None:
            """Do nothing: the gate has enforced the policy by the time this runs."""

        super().__init__(dependency=attach_to_dependency(carry_policy, policy))
        object.__setattr__(self, "policy", policy)

    def __call__(self, endpoint: _Function) -> _Function:
        """Attach the policy to an endpoint and return the same function."""
        return attach(endpoint, self.policy)

    policy: Policy


class CurrentPrincipal(SecurityBase):
    """Dependency that gives the verified caller and asks for one.

    The gate has authenticated the request before the body was read; this hands over the result and
    adds the OAuth2 password flow to the OpenAPI document, so that Swagger UI can sign in.

    Args:
        policy: What the caller must satisfy.
        token_url: Where tokens come from, relative to the application.
    """

    def __init__(self, policy: Policy, *, token_url: str = "auth/token") -> None:  # noqa: S107 - an address, not a secret
        self.scheme_name = "OAuth2"
        flow = OAuthFlowPassword(tokenUrl=token_url, scopes={})
        self.model = OAuth2Model(flows=OAuthFlows(password=flow))
        self.policy = policy
        attach_to_dependency(self, policy)

    async def __call__(self, connection: HTTPConnection) -> Principal:
        """Return the caller.

        Raises:
            UnauthenticatedError: Nobody is signed in; the gate refuses such a request before this.
            ConfigurationError: Stockade is not installed on the application.
        """
        return caller_of(require_exchange(connection.scope))


class OptionalPrincipal:
    """Dependency that gives the verified caller of an open route, or None.

    Credentials that come are verified before the body is read: those that do not hold are 401, so
    that nobody is taken for a stranger because a token has just expired. It opens nothing: the
    route needs `public` as well.
    """

    def __init__(self) -> None:
        policy = Policy(optional=True, origins=("optional_principal",))
        attach_to_dependency(self, policy)

    async def __call__(self, connection: HTTPConnection) -> Principal | None:
        """Return the caller, or None where no credentials came.

        Raises:
            ConfigurationError: Stockade is not installed on the application.
        """
        return require_exchange(connection.scope).principal


def caller_of(exchange: Exchange) -> Principal:
    """Return the caller of a request that the gate has let through.

    Raises:
        UnauthenticatedError: Nobody is signed in.
    """
    principal = exchange.principal
    if principal is None:
        raise UnauthenticatedError(reason="authentication.no_credentials")
    return principal


optional_principal = OptionalPrincipal()
current_principal = CurrentPrincipal(Policy(authenticated=True, origins=("current_principal",)))
