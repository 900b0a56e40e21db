"""Serve the public keys of this application's tokens, so that other services can verify them."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, Request, Response

from stockade.errors import NotFoundError

if TYPE_CHECKING:
    from stockade.authentication.signing_keys import SigningKeys
    from stockade.core.dependencies import PolicyMark

PATH: Final = "/.well-known/jwks.json"
_MEDIA_TYPE: Final = "application/jwk-set+json"
# Whoever verifies asks again this often at least, and so learns of a key before it signs.
MAXIMUM_AGE: Final = 300


def make_keys_router(keys: SigningKeys, *, open_policy: PolicyMark) -> APIRouter:
    """Build the router of the public keys (RFC 7517, section 5).

    Where the keys are shared secrets there is nothing to show, and the answer is 404.

    Args:
        keys: The keys of the application's tokens.
        open_policy: Opens the endpoint: public keys are for everybody.
    """
    router = APIRouter(tags=["authentication"])
    described = keys.describe()
    body = json.dumps(described, separators=(",", ":")).encode("ascii")
    tag = f'"{sha256(body).hexdigest()[:32]}"'
    headers = {"cache-control": f"public, max-age={MAXIMUM_AGE}", "etag": tag}

    @router.get(PATH, name="stockade:jwks", dependencies=[open_policy])
    async def show_keys(request: Request) -> Response:
        """Show the public keys that verify access tokens."""
        if not described["keys"]:
            raise NotFoundError(reason="authentication.keys_are_secret")
        if is_known(request.headers.get("if-none-match"), tag):
            return Response(status_code=304, headers=headers)
        return Response(body, media_type=_MEDIA_TYPE, headers=headers)

    return router


def is_known(header: str | None, tag: str) -> bool:
    """Tell whether ``If-None-Match`` names an entity tag (RFC 9110, section 13.1.2).

    Args:
        header: Value of the header, if it was sent; untrusted.
        tag: The tag, with its quotes.
    """
    if header is None:
        return False
    given = (each.strip().removeprefix("W/") for each in header.split(","))
    return header.strip() == "*" or tag in given
