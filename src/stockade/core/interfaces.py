"""Protocols that two layers share, so that none has to import the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from stockade.core.exchange import Exchange
    from stockade.core.identity import Principal


class Authenticator(Protocol):
    """Whatever turns credentials into a principal."""

    def peek(self, exchange: Exchange) -> Principal | None:
        """Return the caller if these very credentials were verified lately and still hold.

        It waits for nothing and verifies nothing: None says only that `authenticate` has to decide.

        Args:
            exchange: The request; its credentials are untrusted.
        """

    async def authenticate(self, exchange: Exchange) -> Principal:
        """Return the caller of a request.

        Args:
            exchange: The request; its credentials are untrusted.

        Raises:
            UnauthenticatedError: There are no credentials, or they do not hold.
            StoreError: The accounts are away.
        """
