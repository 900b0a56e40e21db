"""Say what the rules of objects make of a caller, for the objects that a path names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from stockade.authorization.explaining import Step, told_by
from stockade.authorization.objects import decide_object
from stockade.errors import ConfigurationError
from stockade.storage.sql.dependencies import loaders_of
from stockade.storage.sql.engines import store_errors
from stockade.storage.sql.object_keys import key_type_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy.ext.asyncio import AsyncSession

    from stockade.core.identity import Principal, TenantId
    from stockade.storage.sql.dependencies import ObjectLoader


async def explain_objects(
    dependant: Any,  # noqa: ANN401 - FastAPI's Dependant
    principal: Principal,
    parameters: Mapping[str, str],
    make_session: Callable[[TenantId | None], AsyncSession],
) -> list[Step]:
    """Return a step for each object that a route loads; it permits nothing.

    Args:
        dependant: The dependencies of the route.
        principal: The caller, in whose tenant the objects are looked for.
        parameters: Values of the path's parameters.
        make_session: Makes a session of a tenant.

    Raises:
        ConfigurationError: A parameter names no object of the route, or is none of its keys.
        ObjectPolicyError: A rule does not decide.
        StoreError: The database is away.
    """
    loaders = {each.parameter: each for each in loaders_of(dependant)}
    parents = {each.within for each in loaders.values()}
    unknown = sorted(parameters.keys() - loaders.keys() - parents)
    if unknown:
        known = ", ".join(sorted(loaders)) or "none"
        message = f"the route loads no object by {unknown[0]}: it loads by {known}"
        raise ConfigurationError(message)
    return [
        await _explain(loaders[name], principal, parameters, make_session)
        for name in parameters
        if name in loaders
    ]


async def _explain(
    loader: ObjectLoader[Any],
    principal: Principal,
    parameters: Mapping[str, str],
    make_session: Callable[[TenantId | None], AsyncSession],
) -> Step:
    model = loader.model
    asked = f"{loader.action} this {model.__name__}"
    try:
        key = TypeAdapter(key_type_of(model)).validate_python(parameters[loader.parameter])
    except ValidationError:
        message = f"{loader.parameter} is no key of {model.__name__}"
        raise ConfigurationError(message) from None
    async with store_errors(), make_session(principal.tenant_id) as session:
        found = await session.get(model, key)
        if found is None or not _is_within(loader, found, parameters):
            return Step(asked, held=False, because="it is not there, or another tenant's")
        decision = decide_object(principal, loader.action, found)
    evidence = decision.evidence
    because = told_by(evidence) if "engine" in evidence else f"the rule {evidence['rule']}"
    return Step(asked, held=decision.granted, because=because)


def _is_within(loader: ObjectLoader[Any], found: object, parameters: Mapping[str, str]) -> bool:
    if loader.within is None:
        return True
    if loader.within not in parameters:
        message = f"name {loader.within} as well, which {loader.parameter} is looked for in"
        raise ConfigurationError(message)
    return str(getattr(found, loader.within)) == parameters[loader.within]
