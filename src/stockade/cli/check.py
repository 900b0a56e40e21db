"""Start an application without serving it, and list who may call what: ``stockade check``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from stockade.cli.loops import run
from stockade.cli.output import make_wide_console
from stockade.cli.targets import load_target
from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.console import Console

    from stockade.application import Stockade
    from stockade.gate.plans import Plan

_COLUMNS = ("ROUTE", "ACCESS", "NEEDS", "LIMITS")


def check(
    target: Annotated[
        str, typer.Argument(help="module:app, module:factory() or the path of a file.")
    ],
) -> None:
    """Start an application without serving it: every layer proves itself, or the reason is told.

    The database, if there is one, must be there and up to date.
    """
    stockade = find_stockade(load_target(target), target)
    found = run(_prove(stockade))
    console = make_wide_console()
    _print_plans(console, stockade.plans())
    _print_exceptions(console, stockade)
    _print_summary(console, len(stockade.plans()), found)


def find_stockade(application: object, target: str) -> Stockade:
    """Return the Stockade of an application.

    Raises:
        ConfigurationError: It has none.
    """
    from stockade.application import Stockade
    from stockade.gate.binder import INSTALLED

    found = getattr(application, INSTALLED, None)
    if not isinstance(found, Stockade):
        message = f"{target} has no Stockade: call Stockade(settings).install(app) on it"
        raise ConfigurationError(message)
    return found


async def _prove(stockade: Stockade) -> dict[str, str]:
    try:
        return await stockade.start()
    finally:
        await stockade.stop()


def _print_plans(console: Console, plans: list[Plan]) -> None:
    table = Table(*_COLUMNS, box=None, pad_edge=False)
    for plan in sorted(plans, key=lambda plan: (plan.route, plan.label)):
        table.add_row(plan.label, plan.access.value, describe_needs(plan), describe_limits(plan))
    console.print(table)


def _print_exceptions(console: Console, stockade: Stockade) -> None:
    """Print what is excused, with the reason, and what a setting lets pass: a line for each."""
    from stockade.tenancy.raw_places import RawExcuse

    for excuse in sorted(stockade.excuses(), key=str):
        kind = "raw SQL" if isinstance(excuse, RawExcuse) else "excused"
        console.print(Text(f"{kind}: {excuse}"))
    for plan in stockade.plans():
        for reason in plan.policy.unchecked:
            console.print(Text(f"unchecked objects: {plan.label}: {reason}"))
    for warning in stockade.warnings():
        console.print(Text(f"let pass by setting: {warning}"))


def _print_summary(console: Console, routes: int, found: dict[str, str]) -> None:
    if compared := found.get("columns_compared"):
        console.print(Text(f"Compared with their columns: {compared}."))
    off = found.get("off", "")
    state = f"off by setting: {off}; every other layer in force" if off else "every layer in force"
    console.print(f"{routes} routes, {state}.")


def describe_needs(plan: Plan) -> str:
    """Say what a caller needs beside being signed in, or why nothing is asked."""
    from stockade.authorization.rules import needs_of
    from stockade.core.policy import Policy

    policy = plan.policy
    parts = ["|".join(sorted(roles)) for roles in policy.roles]
    parts += sorted(policy.permissions)
    parts += [needs_of(Policy(alternatives=(group,))) for group in policy.alternatives]
    parts += [f"a policy engine on {each.asked}" for each in policy.questions]
    if policy.step_up is not None:
        parts.append(f"a sign-in within {policy.step_up}")
    if policy.factor is not None:
        parts.append(f"the second factor {policy.factor}")
    return ", ".join(parts or policy.public) or "-"


def describe_limits(plan: Plan) -> str:
    """Name the limits of a route, as the ``RateLimit`` header does, or say why there are none."""
    names = [
        limit.name
        for compiled in (plan.before, plan.after, plan.messages, plan.in_flight)
        if compiled is not None
        for limit in compiled.limits
    ]
    programs = None if plan.after is None else plan.after.programs
    if programs is not None:
        names += [limit.name for limit in programs.usual.limits if limit not in programs.others]
    names += [f"free: {exemption.reason}" for exemption in plan.policy.exemptions]
    return ", ".join(names or plan.policy.unlimited) or "off"
