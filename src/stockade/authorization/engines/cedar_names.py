"""Find the roles and permissions that Cedar policies name, to compare them with what exists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stockade.errors import ConfigurationError


def require_known(what: str, named: set[str] | frozenset[str], known: frozenset[str]) -> None:
    """Return if all names that policies use exist.

    Raises:
        ConfigurationError: One does not.
    """
    unknown = sorted(named - known)
    if unknown:
        message = f"Cedar policies name the {what} {unknown[0]}, which does not exist"
        raise ConfigurationError(message)


def _walk(told: object) -> Iterator[Mapping[str, Any]]:
    """Yield each object of a JSON value."""
    if isinstance(told, Mapping):
        yield told
        told = list(told.values())
    if isinstance(told, list):
        for each in told:
            yield from _walk(each)


def entities_named(told: Mapping[str, Any], kind: str) -> Iterator[str]:
    """Yield the identifiers of entities of a type that policies name."""
    for each in _walk(told):
        if each.get("type") == kind and isinstance(each.get("id"), str):
            yield each["id"]


def texts_beside(told: Mapping[str, Any], attribute: str) -> Iterator[str]:
    """Yield the texts that policies look for in an attribute of the caller."""
    for each in _walk(told):
        for operator in ("contains", "containsAll", "containsAny", "==", "!="):
            sides = each.get(operator)
            if isinstance(sides, Mapping) and _is_read_of(sides.get("left"), attribute):
                for part in _walk(sides.get("right")):
                    if isinstance(part.get("Value"), str):
                        yield part["Value"]


def sliced(told: Mapping[str, Any], action: Mapping[str, str], kind: str) -> dict[str, Any] | None:
    """Return the policies that can say something of an action with objects of a type.

    Left out is what names another action or another type in its head, where Cedar looks before
    anything else. Cedar tries every policy in turn.

    Args:
        told: All policies, in Cedar's JSON.
        action: The identity of the action.
        kind: The type of the object.

    Returns:
        The policies in the same form; None where they are all of them.
    """
    static = told["staticPolicies"]
    found = {key: each for key, each in static.items() if _may_apply(each, action, kind)}
    return None if len(found) == len(static) else {**told, "staticPolicies": found}


def _may_apply(policy: Mapping[str, Any], action: Mapping[str, str], kind: str) -> bool:
    asked, object_ = policy["action"], policy["resource"]
    if asked["op"] == "==" and asked.get("entity", action) != action:
        return False
    if object_["op"] == "is":
        return bool(object_.get("entity_type", kind) == kind)
    if object_["op"] == "==":
        return bool(object_.get("entity", {}).get("type", kind) == kind)
    return True


def _is_read_of(told: object, attribute: str) -> bool:
    read = told.get(".") if isinstance(told, Mapping) else None
    return (
        isinstance(read, Mapping)
        and read.get("left") == {"Var": "principal"}
        and read.get("attr") == attribute
    )
