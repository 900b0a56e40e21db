"""Turn a policy into something that works as a decorator and as a FastAPI dependency."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from fastapi.params import Depends

from stockade.core.policy import Policy, attach

if TYPE_CHECKING:
    from collections.abc import Callable

_Function = TypeVar("_Function", bound="Callable[..., Any]")


class PolicyMark(Depends):
    """A policy to put on an endpoint (``@mark``) or on a router (``APIRouter(dependencies=[mark])``).

    As a decorator it returns the very function it was given, so it may stand above or below the route decorator. As a
    dependency it does nothing at run time: the gate reads its policy at start-up and enforces it before the body is read.
    """

    def __init__(self, policy: Policy) -> None:
        async def carry_policy() -> None:
            """Do nothing: the gate has enforced the policy by the time this runs."""

        super().__init__(dependency=attach(carry_policy, policy))
        object.__setattr__(self, "policy", policy)

    def __call__(self, endpoint: _Function) -> _Function:
        """Attach the policy to an endpoint and return the same function."""
        return attach(endpoint, self.policy)

    policy: Policy
