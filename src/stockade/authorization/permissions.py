"""Name permissions, and collect what each role has by itself and by inheritance."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Self

from stockade.core.identity import UserType
from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

_PERMISSION: Final = re.compile(r"[a-z0-9_]+:[a-z0-9_*]+:[a-z0-9_*]+", re.ASCII)
_LONGEST: Final = 128


def is_permission(value: str) -> bool:
    """Tell whether a text reads as a permission, ``scope:resource:action`` in lower case.

    >>> is_permission("notes:note:read"), is_permission("Notes:read")
    (True, False)
    """
    return len(value) <= _LONGEST and _PERMISSION.fullmatch(value) is not None


class Permission(StrEnum):
    """Base of an application's own permissions: a member that reads otherwise stops the import.

    >>> class NotePermission(Permission):
    ...     READ = "notes:note:read"
    >>> str(NotePermission.READ)
    'notes:note:read'

    Raises:
        ConfigurationError: A member does not read ``scope:resource:action`` in lower case.
    """

    def __new__(cls, value: str) -> Self:
        """Make one member."""
        if not is_permission(value):
            message = f"{cls.__name__}: a permission reads scope:resource:action in lower case"
            raise ConfigurationError(message)
        member = str.__new__(cls, value)
        member._value_ = value
        return member


def resolve_roles(
    roles: Mapping[str, frozenset[str]], inherits: Mapping[str, frozenset[str]]
) -> dict[str, frozenset[str]]:
    """Return the permissions of each role, with those of the roles that it inherits.

    Args:
        roles: The permissions that each role has by itself.
        inherits: The roles that a role inherits.

    Raises:
        ConfigurationError: A role is not in the table, inherits itself at some distance, or differs
            from another in nothing but its case.
    """
    _check_names(roles, inherits)
    resolved: dict[str, frozenset[str]] = {}

    def resolve(role: str, path: tuple[str, ...]) -> frozenset[str]:
        if role in path:
            message = f"roles inherit each other in a circle ({' > '.join((*path, role))})"
            raise ConfigurationError(message)
        if role not in resolved:
            above = (resolve(each, (*path, role)) for each in sorted(inherits.get(role, ())))
            resolved[role] = roles[role].union(*above)
        return resolved[role]

    return {role: resolve(role, ()) for role in roles}


def _check_names(
    roles: Mapping[str, frozenset[str]], inherits: Mapping[str, frozenset[str]]
) -> None:
    unknown = frozenset(inherits).union(*inherits.values()) - roles.keys()
    if unknown:
        message = f"inherits names roles that are not in roles: {', '.join(sorted(unknown))}"
        raise ConfigurationError(message)
    folded: dict[str, str] = {UserType.SUPER_ADMIN: UserType.SUPER_ADMIN}
    for role in roles:
        other = folded.setdefault(role.strip().casefold(), role)
        if other == UserType.SUPER_ADMIN:
            message = "super_admin is a kind of account and no role: give the role another name"
            raise ConfigurationError(message)
        if other != role:
            # Whoever gives out one of the two by hand is sure to take the other one day.
            message = f"two roles differ in nothing but their case ({other}, {role}): keep one"
            raise ConfigurationError(message)
