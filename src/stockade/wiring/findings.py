"""Say what a start found: what is missing stops it, what is off by setting is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.errors import ConfigurationError
from stockade.gate.plans import Access
from stockade.tenancy.raw import declared
from stockade.tenancy.raw_places import find_misplaced

if TYPE_CHECKING:
    from collections.abc import Collection

    from stockade.authentication import AccountStore
    from stockade.gate.plans import Plan
    from stockade.settings import Settings
    from stockade.storage.sql.databases import Databases
    from stockade.tenancy.settings import TenancySettings
    from stockade.wiring.gate import GateWiring
    from stockade.wiring.limits import LimitWiring


def require_accounts(plans: Collection[Plan], accounts: AccountStore | None) -> None:
    """Check that there are accounts where a route needs a caller.

    Raises:
        ConfigurationError: There are none.
    """
    needs = [plan.label for plan in plans if plan.access is Access.PRINCIPAL or plan.optional]
    if needs and accounts is None:
        message = (
            f"{needs[0]} needs a signed-in caller, but there are no accounts: set "
            "STOCKADE_DATABASE_URL or pass accounts="
        )
        raise ConfigurationError(message)


def require_policies(settings: Settings, databases: Databases) -> None:
    """Check that each model of tenants has rules, where the settings ask for that.

    Raises:
        ConfigurationError: A model has none, a line for each.
    """
    if settings.authorization.models_without_policy != "refuse":
        return
    found = databases.find_unguarded()
    if found:
        message = "\n".join(
            f"{name} belongs to tenants and has no rules: write them with @policy, or call"
            f' open_within_tenant({name}, "reason")'
            for name in found
        )
        raise ConfigurationError(message)


def require_raw_sql_declared() -> None:
    """Check that no function lets SQL text in that nobody has declared.

    Raises:
        ConfigurationError: A function does, a line for each.
    """
    if misplaced := find_misplaced():
        raise ConfigurationError("\n".join(misplaced))


def describe_start(
    settings: Settings,
    plans: Collection[Plan],
    *,
    limits: LimitWiring,
    gate: GateWiring,
    databases: Databases,
) -> dict[str, str]:
    """Return what a start found, as the event ``application.started`` has it."""
    checks = settings.authorization.object_checks
    closed = sorted(plan.label for plan in plans if plan.access is Access.CLOSED)
    switched = {
        "rate_limiting": limits.are_on,
        "rate_limiting (it only counts)": not limits.only_counts,
        "api_docs": settings.api_docs.is_served,
        "object_checks": checks != "off",
    }
    without: tuple[str, ...] = ()
    if settings.authorization.models_without_policy == "warn":
        without = tuple(databases.find_unguarded())
    found = {
        "environment": str(settings.environment),
        "routes": str(len(plans)),
        "off": ", ".join(layer for layer, is_on in switched.items() if not is_on),
        "closed_for_want_of_a_policy": ", ".join(closed),
        "unbounded_input": "; ".join(gate.requests.warnings),
        "columns_that_overflow": "; ".join(gate.columns.warnings),
        "models_without_policy": ", ".join(without),
        "object_checks": "warn" if checks == "warn" else "",
        "row_level_security": _describe_row_security(settings.tenancy),
        "raw_sql": _describe_raw_sql(databases),
        "columns_compared": ", ".join(gate.columns.compared),
    }
    return {name: value for name, value in found.items() if value}


def _describe_row_security(tenancy: TenancySettings) -> str:
    if tenancy.row_level_security == "off":
        return ""
    role = "the role of the database URL" if tenancy.role is None else tenancy.role
    allowed = tenancy.row_level_security == "raw_sql"
    return f"in force for {role}; SQL text is {'allowed' if allowed else 'refused'}"


def _describe_raw_sql(databases: Databases) -> str:
    if not databases.is_isolated:
        return ""
    places = ", ".join(f"{each.module}:{each.line}" for each in declared())
    return places and f"{places}; held by {databases.raw_sql_held_by}"
