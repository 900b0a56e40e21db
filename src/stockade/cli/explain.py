"""Say why somebody may call a route, or why not: ``stockade explain``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer
from rich.text import Text

from stockade.cli.check import find_stockade
from stockade.cli.loops import run
from stockade.cli.output import make_wide_console
from stockade.cli.targets import load_target
from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stockade.application import Stockade
    from stockade.authorization.explaining import Explanation, Step
    from stockade.core.identity import Principal


class _Caller(NamedTuple):
    user: str | None
    tenant: str | None
    roles: tuple[str, ...]


def explain(
    target: Annotated[
        str, typer.Argument(help="module:app, module:factory() or the path of a file.")
    ],
    route: Annotated[str, typer.Argument(help='Method and path template: "GET /notes/{note_id}".')],
    *,
    user: Annotated[
        str | None, typer.Option(help="E-mail address of an account, as it is now.")
    ] = None,
    tenant: Annotated[str | None, typer.Option(help="Its active tenant.")] = None,
    role: Annotated[
        list[str] | None, typer.Option(help="A role, for a caller who is made up.")
    ] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option(help="NAME=VALUE of the path, to decide on the object that it names."),
    ] = None,
) -> None:
    """Say why a caller may call a route, or why not."""
    parameters = _read_parameters(parameter or ())
    stockade = find_stockade(load_target(target), target)
    asked = _Caller(user, tenant, tuple(role or ()))
    found, objects = run(_explain(stockade, route, asked, parameters))
    console = make_wide_console()
    granted, reason = found.decision.granted, found.decision.reason
    if granted and not all(step.held for step in objects):
        granted, reason = False, "authorization.object_refused"
    verdict = "may" if granted else "may not"
    console.print(Text(f"{verdict} call {route} ({reason})"))
    for step in (*found.steps, *objects):
        mark = "yes" if step.held else "no "
        console.print(Text(f"  {mark}  {step.asked}: {step.because}"))


def _read_parameters(given: Sequence[str]) -> dict[str, str]:
    found = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals:
            message = "a parameter reads NAME=VALUE, such as --parameter note_id=5"
            raise ConfigurationError(message)
        found[name] = value
    return found


async def _explain(
    stockade: Stockade, route: str, asked: _Caller, parameters: dict[str, str]
) -> tuple[Explanation, list[Step]]:
    try:
        await stockade.start()
        caller = await _find_caller(stockade, asked)
        found = stockade.explain(caller, route)
        if not parameters:
            return found, []
        return found, await stockade.explain_objects(caller, route, parameters)
    finally:
        await stockade.stop()


async def _find_caller(stockade: Stockade, asked: _Caller) -> Principal:
    from stockade.core.identity import Principal, TenantId, UserId

    tenant = None if asked.tenant is None else TenantId(asked.tenant)
    if (asked.user is None) is (not asked.roles):
        message = "name an account (--user) or roles of a caller who is made up (--role)"
        raise ConfigurationError(message)
    if asked.user is None:
        roles = frozenset(asked.roles)
        return Principal(
            user_id=UserId("somebody"),
            email="",
            tenant_id=tenant,
            roles=roles,
            permissions=stockade.permissions_of(roles),
        )
    found = await stockade.find_principal(asked.user, tenant)
    if found is None:
        message = "there is no such account, or it is no member of the tenant"
        raise ConfigurationError(message)
    return found
