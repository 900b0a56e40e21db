"""Say in one sentence why a Redis did not serve us; no address and no password is repeated."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from stockade.errors import ConfigurationError, StoreError

try:
    from redis.exceptions import (
        AuthenticationError,
        NoPermissionError,
        RedisClusterException,
        RedisError,
    )
except ImportError as error:
    raise ConfigurationError(
        "the Redis driver is not installed: pip install 'stockade[redis]'"
    ) from error

# What redis-py raises for an answer that is no RESP, or not the answer to what was asked.
_NONSENSE = (ValueError, TypeError, LookupError, AttributeError)


@asynccontextmanager
async def store_errors() -> AsyncIterator[None]:
    """Turn the driver's errors into `StoreError`.

    Raises:
        StoreError: The server could not answer.
    """
    try:
        yield
    except (RedisError, RedisClusterException, OSError, TimeoutError, *_NONSENSE) as error:
        raise away(error) from error


def away(cause: BaseException | None) -> StoreError:
    """Make the error of a server that did not serve us, from its cause."""
    error = StoreError(f"the Redis store of the limits {_explain(cause)}")
    error.__cause__ = cause
    return error


def _explain(cause: BaseException | None) -> str:
    for each in _chain(cause):
        if isinstance(each, ssl.SSLCertVerificationError):
            return (
                f"has no certificate that holds ({each.verify_message}): name its CA with"
                " ?ssl_ca_certs=, and the server as its certificate does"
            )
        if isinstance(each, ssl.SSLError):
            return f"does not agree on TLS ({each.reason}): see ?ssl_certfile= and ?ssl_keyfile="
        if isinstance(each, AuthenticationError):
            return "refuses user or password"
        if isinstance(each, NoPermissionError):
            return "does not let this user run scripts on stockade:* keys (ACL)"
    return "did not answer"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen = 0
    while error is not None and seen < 10:  # noqa: PLR2004 - a chain may be a circle
        yield error
        error = error.__cause__ or error.__context__
        seen += 1
