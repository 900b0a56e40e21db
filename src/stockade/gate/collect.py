"""Gather every policy of a leaf: from its endpoint, its dependencies, its routers, the settings."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Final

from stockade.core.policy import Policy, is_dependency, policies_of
from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from stockade.gate.tree import Leaf

_VERBS: Final = (
    "get",
    "head",
    "post",
    "put",
    "patch",
    "delete",
    "options",
    "on_connect",
    "on_receive",
)


def collect(leaf: Leaf) -> list[Policy]:
    """Return the policies that the code of a leaf carries, without those of the settings.

    Raises:
        ConfigurationError: A policy is hidden where it would not be in force.
    """
    found: list[Policy] = []
    if leaf.endpoint is not None:
        found += _policies_of_callable(leaf.endpoint)
        _refuse_hidden(leaf.endpoint, found)
    if leaf.dependant is not None:
        found += _policies_of_dependencies(leaf.dependant)
    return found


def _policies_of_callable(function: Callable[..., Any]) -> list[Policy]:
    return [policy for layer in _layers(function) for policy in policies_of(layer)]


def _layers(function: Any) -> Iterator[Any]:  # noqa: ANN401 - any callable
    """Give a callable and what it visibly wraps.

    That is what partials, bound methods, `functools.wraps` and objects with a `__call__` lead to.
    """
    seen: set[int] = set()
    while function is not None and id(function) not in seen:
        seen.add(id(function))
        yield function
        if isinstance(function, functools.partial):
            function = function.func
        elif _is_object(function):
            yield type(function)
            function = getattr(function, "__wrapped__", None) or type(function).__call__
        else:
            function = getattr(function, "__wrapped__", None) or getattr(function, "__func__", None)


def _is_object(function: Any) -> bool:  # noqa: ANN401 - any callable
    """Tell whether a callable is an object of a class that somebody wrote."""
    return callable(function) and not (inspect.isroutine(function) or inspect.isclass(function))


def _policies_of_dependencies(dependant: Any) -> list[Policy]:  # noqa: ANN401 - FastAPI's Dependant
    found: list[Policy] = []
    for dependency in dependant.dependencies:
        own = _policies_of_callable(dependency.call) if dependency.call is not None else []
        found += own
        below = _policies_of_dependencies(dependency)
        found += below
        scopes = dependency.own_oauth_scopes
        if scopes and (own or below):
            # Security(current_principal, scopes=[...]), or a dependency that itself depends on the
            # caller: whoever writes scopes expects them to be asked for.
            found.append(
                Policy(
                    permissions=frozenset(scopes), origins=(f"Security scopes {', '.join(scopes)}",)
                )
            )
    return found


def _refuse_hidden(endpoint: Any, found: Sequence[Policy]) -> None:  # noqa: ANN401 - any callable
    mend = (
        "is on a method, and a class serves as a whole: put it on the class"
        if inspect.isclass(endpoint)
        else "is hidden by a decorator above it that does not use functools.wraps: move the policy"
        " to the top, or let the decorator use functools.wraps"
    )
    for name, function in _hidden_functions(endpoint):
        if any(policy not in found for policy in policies_of(function)):
            message = f"nothing would enforce the policy on {name}, which {mend}"
            raise ConfigurationError(message)


def _hidden_functions(endpoint: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - any callable
    if inspect.isclass(endpoint):
        for verb in _VERBS:
            method = getattr(endpoint, verb, None)
            if method is not None:
                yield f"{endpoint.__qualname__}.{verb}", method
        return
    for layer in _layers(endpoint):
        for content in _contents(layer):
            if callable(content) and policies_of(content) and not is_dependency(content):
                yield getattr(content, "__qualname__", repr(type(content))), content


def _contents(layer: Any) -> Iterator[Any]:  # noqa: ANN401 - any callable
    """Give what a decorator may have kept: in a closure, in an object, or as an argument."""
    for cell in getattr(layer, "__closure__", None) or ():
        try:
            yield cell.cell_contents
        except ValueError:
            continue
    if isinstance(layer, functools.partial):
        yield from (*layer.args, *layer.keywords.values())
    elif _is_object(layer):
        yield from getattr(layer, "__dict__", {}).values()


def collect_from_settings(leaf: Leaf, table: Mapping[str, Policy]) -> dict[str, Policy]:
    """Return the entries of the settings' table that apply to a leaf.

    The table is matched with path templates at start-up; no request path is ever compared with it.
    """
    return {entry: policy for entry, policy in table.items() if _applies(entry, leaf)}


def _applies(entry: str, leaf: Leaf) -> bool:
    if leaf.kind == "default":
        return False
    if entry.startswith("name:"):
        return leaf.name == entry.removeprefix("name:")
    if entry.endswith("/**"):
        prefix = entry.removesuffix("/**")
        return leaf.template == prefix or leaf.template.startswith(prefix + "/")
    return leaf.template == entry
