"""Find out through which foreign keys a table without a tenant column belongs to tenants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import Table

from stockade.tenancy.models import Reference


def distances(scoped: Iterable[Table], targets: Mapping[Table, set[Table]]) -> dict[Table, int]:
    """Return how many foreign keys away each table is from one with a tenant column.

    Args:
        scoped: The tables that have a tenant column.
        targets: The tables that each table points to.
    """
    found = dict.fromkeys(scoped, 0)
    step = 0
    while more := {
        table
        for table, pointed in targets.items()
        if table not in found and not pointed.isdisjoint(found)
    }:
        step += 1
        found |= dict.fromkeys(more, step)
    return found


def choose_owners(
    references: Mapping[Table, tuple[Reference, ...]], steps: Mapping[Table, int]
) -> dict[Table, tuple[Reference, ...]]:
    """Choose the references that say whose a row is: all but those that go in a circle.

    A reference to a table that is nearer to a tenant column always counts. Any other counts unless
    the way from there leads back, as from an order to its last line and from a line to its order.

    Args:
        references: The references of each table that has no tenant column and is not exempt.
        steps: The distances of all tables.
    """
    owners = {
        table: tuple(r for r in found if steps[r.target] < steps[table])
        for table, found in references.items()
    }
    for table, found in references.items():
        for reference in found:
            if reference not in owners[table] and not _leads_to(reference.target, table, owners):
                owners[table] += (reference,)
    return owners


def _leads_to(start: Table, goal: Table, owners: Mapping[Table, tuple[Reference, ...]]) -> bool:
    # Without the references that close a circle there is none, so this comes to an end.
    return start is goal or any(
        _leads_to(reference.target, goal, owners) for reference in owners.get(start, ())
    )
