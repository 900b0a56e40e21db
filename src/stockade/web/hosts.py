"""Check the Host header against an allow-list."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# uri-host with optional port (RFC 9110, section 7.2), without user information, path or other
# tricks.
_HOST = re.compile(rb"(?P<name>[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")


class HostAllowList:
    """Tell whether the server answers to a host name.

    Args:
        allowed: Names in lower case; ``*.example.com`` stands for every subdomain, not for
            ``example.com`` itself.
    """

    def __init__(self, allowed: Iterable[str]) -> None:
        names = frozenset(allowed)
        self.is_allowed: Callable[[bytes | None], bool] = _make_check(
            frozenset(name for name in names if not name.startswith("*.")),
            tuple(name[1:] for name in names if name.startswith("*.")),
        )


def _make_check(exact: frozenset[str], suffixes: tuple[str, ...]) -> Callable[[bytes | None], bool]:
    @lru_cache(maxsize=256)
    def is_allowed(header: bytes | None) -> bool:
        found = _HOST.fullmatch(header) if header is not None else None
        if found is None:
            return False
        name = found["name"].decode("ascii").lower().removesuffix(".")
        return name in exact or name.endswith(suffixes)

    return is_allowed
