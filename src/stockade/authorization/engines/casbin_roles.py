"""Look up Casbin's roles in what the policies say, which does not change while it is asked.

Casbin's own role managers keep every name that they were ever asked for, stop after ten levels and
are changed by questions, so that several threads can't ask at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from casbin.rbac import RoleManager

from stockade.authorization.engines.casbin_terms import names_held

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

EVERYWHERE: Final = "*"
"""The domain of a role that holds in every tenant."""


class StaticRoles(RoleManager):  # type: ignore[misc]  # Casbin ships no types.
    """Who has which role, by links that are given once.

    Args:
        links: Member, role and, where the model has domains, domain.
    """

    def __init__(self, links: Iterable[Sequence[str]]) -> None:
        self._above: dict[str, dict[str, set[str]]] = {}
        for member, role, *domain in links:
            where = self._above.setdefault(domain[0] if domain else EVERYWHERE, {})
            where.setdefault(member, set()).add(role)
        everywhere = self._above.get(EVERYWHERE, {})
        domains = {*self._above, EVERYWHERE}
        self._closed = {
            domain: _close(_join(everywhere, self._above.get(domain, {}))) for domain in domains
        }

    def has_link(self, name1: str, name2: str, *domain: str) -> bool:
        """Tell whether the first goes by the name of the second, at any distance.

        Roles that a caller has from its membership hold in its active tenant alone.
        """
        where = domain[0] if domain else None
        names = names_held(name1, where)
        closed = self._closed.get(where or EVERYWHERE) or self._closed[EVERYWHERE]
        wanted = str(name2)
        return any(wanted == name or wanted in closed.get(name, ()) for name in names)


def _join(left: dict[str, set[str]], right: dict[str, set[str]]) -> dict[str, set[str]]:
    return {name: left.get(name, set()) | right.get(name, set()) for name in {*left, *right}}


def _close(above: dict[str, set[str]]) -> dict[str, frozenset[str]]:
    """Return everything above each name; circles end where they began."""
    closed = {}
    for name, roles in above.items():
        found: set[str] = set()
        left = list(roles)
        while left:
            role = left.pop()
            if role not in found:
                found.add(role)
                left += above.get(role, ())
        closed[name] = frozenset(found)
    return closed
