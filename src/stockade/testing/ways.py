"""Say what a way to reach a row is, and what it works with.

Each way tries for the row of another tenant, with what a session and its SQLAlchemy offer. Those
that read return what they saw; those that write are judged by what the other tenant's session sees
afterwards. `stockade.testing.assert_isolated` runs the table against an application's own models.
"""

# Columns, models and statements of every type are passed around.
# ruff: noqa: ANN401
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy.orm import Session, aliased, make_transient_to_detached

from stockade.core.identity import TenantId
from stockade.testing.planting import Key, Row, Target, World, make_object

Kind = Literal["read", "write"]


@dataclass(frozen=True)
class Probe:
    """One target, seen from the session of a tenant that has no business with the other's row.

    Args:
        session: The own tenant's session.
        target: What is tried for.
        world: What was planted.
    """

    session: Session
    target: Target
    world: World

    @property
    def own(self) -> Key:
        """Primary key of the own tenant's row."""
        return self.world.keys[self.target, self.world.tenants[0]]

    @property
    def foreign(self) -> Key:
        """Primary key of the other tenant's row."""
        return self.world.keys[self.target, self.world.tenants[1]]

    @property
    def foreign_tenant(self) -> TenantId:
        """The other tenant."""
        return self.world.tenants[1]

    @property
    def table(self) -> Any:
        """The table of the target."""
        return self.target.table

    @property
    def model(self) -> Any:
        """The model of the target.

        Raises:
            NotApplicableError: It has none.
        """
        if self.target.mapper is None:
            raise NotApplicableError
        return self.target.mapper.class_

    @property
    def key_attributes(self) -> tuple[Any, ...]:
        """The model's attributes of its primary key."""
        return tuple(getattr(self.model, name) for name in self.key_names)

    @property
    def key_names(self) -> tuple[str, ...]:
        """Names of the model's attributes of its primary key."""
        return tuple(self.target.attribute(column) for column in self.target.keys)

    @property
    def quoted(self) -> str:
        """The table's name for SQL text."""
        preparer = self.session.get_bind().dialect.identifier_preparer
        return preparer.format_table(self.table)

    @property
    def quoted_names(self) -> list[str]:
        """The primary key's columns for SQL text."""
        preparer = self.session.get_bind().dialect.identifier_preparer
        return [preparer.format_column(column) for column in self.target.keys]

    @property
    def quoted_keys(self) -> str:
        """The primary key for SQL text."""
        return ", ".join(self.quoted_names)

    def new_row(self, tenant: TenantId | None = None) -> Row:
        """Return values for one more row of the own tenant, or one that leans on another's."""
        return self.world.make_row(self.session, self.target, tenant or self.world.tenants[0])

    def forged(self) -> Any:
        """Return an object that claims to be the other tenant's row and to be loaded."""
        instance = make_object(self.target, dict(zip(self.key_names, self.foreign, strict=True)))
        assert self.model  # noqa: S101 - it has one.
        make_transient_to_detached(instance)
        return instance


class NotApplicableError(Exception):
    """A way does not apply to a target."""


@dataclass(frozen=True)
class Seen:
    """What a way that reads has seen.

    Args:
        keys: Primary keys, as far as it saw some.
        foreign: Whether it saw the other tenant's row in another manner, such as by counting.
    """

    keys: tuple[Key, ...] = ()
    foreign: bool = False


@dataclass(frozen=True)
class Way:
    """One way to reach a row.

    Args:
        name: Its name in findings.
        kind: Whether it reads or writes.
        run: Try it.
        finds_own: It has to return the own tenant's row as well, or isolation is in the way of
            legitimate use.
    """

    name: str
    kind: Kind
    run: Callable[[Probe], Seen | None]
    finds_own: bool = False


@dataclass(frozen=True)
class Source:
    """Something to select from, with the columns of its key: a model, a table or an alias."""

    entity: Any
    keys: tuple[Any, ...]
    again: Callable[[], Source]


def of_model(probe: Probe) -> Source:
    """Return the model as a source."""
    model = probe.model

    def again() -> Source:
        other = aliased(model)
        return Source(other, tuple(getattr(other, n) for n in probe.key_names), again)

    return Source(model, probe.key_attributes, again)


def of_table(probe: Probe) -> Source:
    """Return the table as a source."""

    def again() -> Source:
        other = probe.table.alias()
        return Source(other, tuple(other.c[c.key] for c in probe.target.keys), again)

    return Source(probe.table, probe.target.keys, again)
