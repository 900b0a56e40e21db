"""What a Casbin matcher sees of a caller and an object: a name, and declared attributes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from stockade.core.identity import UserType

if TYPE_CHECKING:
    from stockade.core.identity import Principal

USER: Final = "user:"
"""Stands before the identifier of an account, so that no account can be called like a role."""

SUBJECT: Final[dict[str, Callable[[Principal], object]]] = {
    "id": lambda principal: principal.user_id,
    "email": lambda principal: principal.email,
    "tenant": lambda principal: principal.tenant_id,
    "roles": lambda principal: principal.roles,
    "permissions": lambda principal: principal.permissions,
    "user_type": lambda principal: principal.user_type,
    "super_admin": lambda principal: principal.is_super_admin,
    "method": lambda principal: principal.method,
    "factors": lambda principal: principal.factors,
}
"""The attributes of a caller, by the names that matchers use."""


class Term(str):  # noqa: SLOT000 - its attributes are those of the application.
    """A name with attributes; the policies compare the name."""

    @classmethod
    def of(
        cls, name: str, attributes: Mapping[str, object], *, held: Iterable[str], domain: str
    ) -> Term:
        """Make a term.

        Args:
            name: What policies call it.
            attributes: What matchers may read.
            held: Every name that it goes by where roles are looked up, its own first.
            domain: The tenant in which its roles hold.
        """
        made = cls(name)
        vars(made).update(attributes, _held=tuple(held), _domain=domain)
        return made


def names_held(term: str, domain: str | None) -> tuple[str, ...]:
    """Return the names that something goes by in a domain; None where roles have no domain."""
    if not isinstance(term, Term):
        return (str(term),)
    held: tuple[str, ...] = vars(term)["_held"]
    # Roles from a membership hold in the active tenant alone.
    return held if domain is None or domain == vars(term)["_domain"] else held[:1]


class _Attribute:
    """Reads what a term was given, and never a method of text that has the same name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, term: Term, _owner: type[Term]) -> object:
        try:
            return vars(term)[self._name]
        except KeyError:
            raise AttributeError(self._name) from None

    def __set__(self, term: Term, value: object) -> None:
        raise AttributeError(self._name)


def term_type(attributes: Iterable[str]) -> type[Term]:
    """Make the class of terms that have some of these attributes, and nothing else by the names."""
    return type("Term", (Term,), {name: _Attribute(name) for name in attributes})


def held_by(principal: Principal) -> tuple[str, ...]:
    """Return the names that a caller goes by: its own, and its roles in the active tenant.

    Raises:
        ValueError: A role is called as an account.
    """
    roles = set(principal.roles) - {str(UserType.SUPER_ADMIN)}
    if principal.is_super_admin:
        roles.add(str(UserType.SUPER_ADMIN))
    if any(role.startswith(USER) for role in roles):
        message = "a role is called as an account"
        raise ValueError(message)
    return (USER + principal.user_id, *sorted(roles))


def plain(value: Any) -> Any:  # noqa: ANN401 - values of the application
    """Return a value that a matcher may compare: no object of the application, and no text of one.

    Raises:
        ValueError: It is another kind of value.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, UUID):
        return str(value)
    for kind in (str, int, float):
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, Decimal | date | timedelta):
        return value
    if isinstance(value, Collection) and not isinstance(value, bytes | Mapping):
        return frozenset(plain(each) for each in value)
    message = "an attribute is no plain value"
    raise ValueError(message)
