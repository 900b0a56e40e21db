"""Look up where a URL leads, right before it is called."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, TypeAlias

from stockade.validation.errors import PrivateAddressError
from stockade.validation.types.addresses import embedded_address, is_public_address
from stockade.validation.types.urls import is_public_target, read_url

if TYPE_CHECKING:
    from stockade.validation.types.addresses import IPAddress

Resolver: TypeAlias = Callable[[str, int], Awaitable[Iterable[str]]]
"""Looks up a host for a port, and returns the addresses as text."""

MAX_WAIT: Final = timedelta(seconds=5)
# A thread that waits for a stranger's slow name server can't be stopped. These are few, and none of
# the event loop's own, which would no longer find the database.
_THREADS: Final = ThreadPoolExecutor(16, thread_name_prefix="stockade-resolver")


async def resolve_host(host: str, port: int) -> list[str]:
    """Ask the system's resolver, in a thread, and return each address once.

    Raises:
        OSError: The host is unknown, or the resolver does not answer.
    """
    answers = await asyncio.get_running_loop().run_in_executor(
        _THREADS, partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    )
    return list(dict.fromkeys(str(address[0]) for *_, address in answers))


async def resolve_public(
    url: str, *, resolver: Resolver = resolve_host, max_wait: timedelta = MAX_WAIT
) -> tuple[IPAddress, ...]:
    """Return the addresses that a URL leads to, if each of them is public.

    A name can lead elsewhere from one look-up to the next (DNS rebinding), so that a check that
    stands apart from the connection checks nothing: connect to an address that this returns, with
    the host's name in the ``Host`` header and in TLS, through no proxy, and follow no redirect
    without asking again. How to do so is in *Validate input*.

    The error says no more than "no" to the caller. Which of the reasons it was goes to the event
    log, for a caller who is told could map the network.

    Args:
        url: Untrusted; it is held to the rules of `PublicHTTPURL` here as well.
        resolver: Called with host and port, instead of the system's resolver; it raises an
            `OSError` where it has no answer.
        max_wait: For the look-up; whoever owns the name decides how slow it is.

    Raises:
        PrivateAddressError: The URL is no `PublicHTTPURL`, its host is unknown, or one of its
            addresses is not public.

    Source: ASVS 5.0 V1.3.6; CWE-367; CWE-918.
    """
    target = read_url(url)
    if target is None or not is_public_target(target):
        raise PrivateAddressError(reason="validation.url_not_public")
    if target.address is not None:
        return (target.address,)
    try:
        async with asyncio.timeout(max_wait.total_seconds()):
            answers = await resolver(target.host, target.port)
            addresses = tuple(dict.fromkeys(map(ip_address, answers)))
    except (OSError, ValueError):
        # A timeout is an OSError. The resolver's own error may name the host.
        raise PrivateAddressError(reason="validation.host_unknown") from None
    if not addresses:
        raise PrivateAddressError(reason="validation.host_unknown")
    # One private answer among public ones is an attack: clients try them in turn.
    if not all(is_public_address(embedded_address(address)) for address in addresses):
        raise PrivateAddressError(reason="validation.address_not_public")
    return addresses
