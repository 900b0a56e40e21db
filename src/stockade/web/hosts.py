"""Check the Host header against an allow-list."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# uri-host with optional port (RFC 9110, section 7.2), without user information, path or other
# tricks.
_LABEL = rb"[A-Za-z0-9-]{1,63}"
_HOST = re.compile(
    rb"(?P<name>%b(?:\.%b)*\.?|\[[0-9A-Fa-f:.]{2,45}\])(?::(?P<port>[0-9]{1,5}))?"
    % (_LABEL, _LABEL)
)
# A name has at most 253 characters (RFC 1035, section 2.3.4, without the outer length octets), then
# a dot and a port. Longer ones are not even remembered as refused.
_LONGEST = 260
_HIGHEST_PORT = 65_535


class HostAllowList:
    """Tell whether the server answers to a host name.

    Args:
        allowed: Names in lower case; ``*.example.com`` stands for every subdomain, not for
            ``example.com`` itself.
    """

    def __init__(self, allowed: Iterable[str]) -> None:
        names = frozenset(allowed)
        self._check = _make_check(
            frozenset(name for name in names if not name.startswith("*.")),
            tuple(name[1:] for name in names if name.startswith("*.")),
        )

    def is_allowed(self, header: bytes | None) -> bool:
        """Tell whether a ``Host`` header names this server.

        Args:
            header: Value of the only ``Host`` header; untrusted.
        """
        return header is not None and len(header) <= _LONGEST and self._check(header)


def _make_check(exact: frozenset[str], suffixes: tuple[str, ...]) -> Callable[[bytes], bool]:
    @lru_cache(maxsize=256)
    def is_allowed(header: bytes) -> bool:
        found = _HOST.fullmatch(header)
        if found is None or int(found["port"] or 0) > _HIGHEST_PORT:
            return False
        name = found["name"].decode("ascii").lower().removesuffix(".")
        return name in exact or name.endswith(suffixes)

    return is_allowed
