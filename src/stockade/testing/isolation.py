"""Hunt for leaks between tenants in an application's own models."""

# A step of the hunt returns whatever it was made for.
from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from sqlalchemy import MetaData
from sqlalchemy.exc import SAWarning, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapper, Session, registry

from stockade.core.identity import TenantId
from stockade.errors import ConfigurationError, StockadeError
from stockade.tenancy import TenancySettings
from stockade.tenancy.planning import Base, IsolationPlan, plan_isolation
from stockade.testing import ways_raw, ways_read, ways_write
from stockade.testing.planting import Given, PlantingError, Target, World, find_targets
from stockade.testing.ways import NotApplicableError, Probe, Seen, Way

WAYS: Final[tuple[Way, ...]] = (
    *ways_read.read_ways(),
    *ways_raw.raw_ways(),
    *ways_write.write_ways(),
)
"""Every way but those below SQLAlchemy."""

DRIVER_WAYS: Final[tuple[Way, ...]] = (ways_read.DRIVER_WAY, ways_write.DRIVER_WAY)
"""Ways through the driver's own cursor, which only the database itself can close."""

# Values that fit a column of each kind; no application gives them to a real tenant.
_TENANTS: Final[dict[str, tuple[str, str]]] = {
    "text": ("stockade-own", "stockade-foreign"),
    "integer": ("2147480001", "2147480002"),
    "uuid": (str(UUID(int=2**100 + 1)), str(UUID(int=2**100 + 2))),
    "uuid_text": (str(UUID(int=2**100 + 1)), str(UUID(int=2**100 + 2))),
}
_Step = tuple[TenantId, Callable[[Session], Any]]
_Hunt = Generator[_Step, Any, "IsolationReport"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One way that did not end as it has to.

    Args:
        model: Name of the model or table.
        way: Name of the way.
        problem: What it did; never a value of a row.
    """

    model: str
    way: str
    problem: str

    def __str__(self) -> str:
        return f"{self.model}: {self.way}: {self.problem}"


@dataclass(slots=True)
class IsolationReport:
    """What came out.

    Attributes:
        models: Names of what was tried.
        tries: How many ways were tried, counted for each model.
        refused: How many of them the session refused or the database stopped.
        leaks: Ways that reached the other tenant.
        broken: Ways of legitimate use that no longer work.
    """

    models: list[str] = field(default_factory=list)
    tries: int = 0
    refused: int = 0
    leaks: list[Finding] = field(default_factory=list)
    broken: list[Finding] = field(default_factory=list)


def assert_isolated(
    models: Base | Iterable[Base],
    sessionmaker: Callable[[TenantId], Session],
    *,
    settings: TenancySettings | None = None,
    tenants: tuple[TenantId, TenantId] | None = None,
    rows: Mapping[Any, Callable[[], Mapping[str, Any]]] | None = None,
    driver: bool = False,
) -> IsolationReport:
    """Try every known way from one tenant's session to another tenant's rows.

    Rows of two tenants are made from the mapped columns, in their own sessions, and removed at the
    end. Give it a database for tests: where isolation leaks, rows of others are changed and
    deleted.

    Args:
        models: Declarative bases, registries or `MetaData`.
        sessionmaker: Makes a session for a tenant, such as `Isolation.session_factory`.
        settings: The settings of the isolation.
        tenants: Two tenants without rows, where the columns take neither the made-up ones.
        rows: For a model or table, a function that returns values by attribute, in place of those
            that can't be made.
        driver: Try the driver's cursor as well, which only row-level security stops.

    Returns:
        What was tried.

    Raises:
        AssertionError: A way leaked, a legitimate use is broken, or a row can't be made.
        ConfigurationError: The models can't be isolated, or none belongs to tenants.
    """
    hunt = _hunt(models, settings, tenants, rows or {}, driver=driver)
    answer: Any = None
    failure: Exception | None = None
    while True:
        try:
            tenant, step = hunt.throw(failure) if failure else hunt.send(answer)
        except StopIteration as end:
            return _conclude(end.value)
        failure = None
        try:
            with sessionmaker(tenant) as session:
                answer = step(session)
        except Exception as error:  # noqa: BLE001 - the hunt clears up first, and then raises it.
            failure = error


async def assert_isolated_async(
    models: Base | Iterable[Base],
    sessionmaker: Callable[[TenantId], AsyncSession],
    *,
    settings: TenancySettings | None = None,
    tenants: tuple[TenantId, TenantId] | None = None,
    rows: Mapping[Any, Callable[[], Mapping[str, Any]]] | None = None,
    driver: bool = False,
) -> IsolationReport:
    """Do as `assert_isolated` does, with asynchronous sessions.

    Raises:
        AssertionError: A way leaked, a legitimate use is broken, or a row can't be made.
        ConfigurationError: The models can't be isolated, or none belongs to tenants.
    """
    hunt = _hunt(models, settings, tenants, rows or {}, driver=driver)
    answer: Any = None
    failure: Exception | None = None
    while True:
        try:
            tenant, step = hunt.throw(failure) if failure else hunt.send(answer)
        except StopIteration as end:
            return _conclude(end.value)
        failure = None
        try:
            async with sessionmaker(tenant) as session:
                answer = await session.run_sync(step)
        except Exception as error:  # noqa: BLE001 - the hunt clears up first, and then raises it.
            failure = error


def _conclude(report: IsolationReport) -> IsolationReport:
    grouped: dict[tuple[str, str], list[str]] = {}
    for finding in (*report.leaks, *report.broken):
        grouped.setdefault((finding.model, finding.problem), []).append(finding.way)
    if grouped:
        lines = "\n".join(
            f"  {model}: {what}: {', '.join(ways)}" for (model, what), ways in grouped.items()
        )
        raise AssertionError(
            f"{len(report.leaks)} of {report.tries} ways reach another tenant, and "
            f"{len(report.broken)} legitimate uses are broken:\n{lines}"
        )
    return report


def _hunt(
    models: Base | Iterable[Base],
    settings: TenancySettings | None,
    tenants: tuple[TenantId, TenantId] | None,
    rows: Given,
    *,
    driver: bool,
) -> _Hunt:
    plan, targets = _prepare(models, settings or TenancySettings(), rows)
    world = _make_world(plan, targets, tenants)
    report = IsolationReport(models=[target.name for target in targets])
    yield from _require_empty(world)
    try:
        yield from _plant(world)
        for target in targets:
            for way in (*WAYS, *(DRIVER_WAYS if driver else ())):
                yield from _try(world, target, way, report)
    except Exception:
        yield from _clear(world)
        raise
    yield from _clear(world)
    return report


def _prepare(
    models: Base | Iterable[Base], settings: TenancySettings, rows: Given
) -> tuple[IsolationPlan, list[Target]]:
    single = isinstance(models, type | registry | MetaData)
    bases: list[Any] = [models] if single else list(models)  # type: ignore[arg-type]
    plan = plan_isolation(bases, settings)
    if plan.problems:
        raise ConfigurationError("\n".join(f"tenancy: {line}" for line in plan.problems))
    mappers: list[Mapper[Any]] = []
    for base in bases:
        if isinstance(base, type) and issubclass(base, DeclarativeBase):
            mappers += base.registry.mappers
        elif isinstance(base, registry):
            mappers += base.mappers
    targets = list(find_targets(plan, mappers, rows))
    if not targets:
        raise ConfigurationError("tenancy: no model belongs to tenants: pass the declarative base")
    return plan, targets


def _make_world(
    plan: IsolationPlan, targets: list[Target], tenants: tuple[TenantId, TenantId] | None
) -> World:
    kinds = list(plan.kinds.values())
    names = {"uuid" if kind.name == "uuid_text" else kind.name for kind in kinds}
    narrow = names - {"text"} or names
    made = _TENANTS[min(narrow)]
    own, foreign = tenants or (TenantId(made[0]), TenantId(made[1]))
    converted = {kind.parameter: (kind.convert(own), kind.convert(foreign)) for kind in kinds}
    return World(targets=targets, tenants=(own, foreign), converted=converted)


def _require_empty(world: World) -> Generator[_Step, Any, None]:
    """Stop before anything is destroyed: two tenants without rows must not see any."""
    for tenant in world.tenants:
        seen = yield tenant, world.visible
        if seen:
            raise AssertionError(
                f"a tenant without rows sees rows of {', '.join(seen)}: either nothing is isolated "
                "or an earlier run was cut off; empty the database for tests"
            )


def _plant(world: World) -> Generator[_Step, Any, None]:
    for tenant in world.tenants:
        try:
            yield tenant, _planter(world, tenant)
        except PlantingError as error:
            raise AssertionError(str(error)) from error


def _planter(world: World, tenant: TenantId) -> Callable[[Session], None]:
    return lambda session: world.plant(session, tenant)


def _clear(world: World) -> Generator[_Step, Any, None]:
    for tenant in world.tenants:
        yield tenant, lambda session, tenant=tenant: world.remove(session, tenant)  # type: ignore[misc]


def _look(world: World) -> Generator[_Step, Any, list[Any]]:
    """Return what each tenant sees of its own rows, and of the other's."""
    own, foreign = world.tenants
    seen = []
    for viewer, owner in ((own, own), (foreign, foreign), (own, foreign)):
        seen.append((yield viewer, lambda s, owner=owner: world.rows_of(s, owner)))  # type: ignore[misc]
    return seen


def _try(
    world: World, target: Target, way: Way, report: IsolationReport
) -> Generator[_Step, Any, None]:
    if way.kind == "write" and world.looks is None:
        world.looks = yield from _look(world)
    before = world.looks

    def attempt(session: Session) -> Seen | BaseException | None:
        return _attempt(Probe(session, target, world), way)

    outcome = yield world.tenants[0], attempt
    if isinstance(outcome, NotApplicableError):
        return
    report.tries += 1
    if isinstance(outcome, Exception):
        report.refused += 1
    problem = _judge_read(world, target, way, outcome) if way.kind == "read" else None
    if way.kind == "write":
        after = yield from _look(world)
        if before is not None and (after[1] != before[1] or any(after[2].values())):
            problem = "changed what belongs to the other tenant, or points to it"
        if after != before:
            yield from _clear(world)
            yield from _plant(world)
            world.looks = None
    if problem is not None:
        found = Finding(target.name, way.name, problem)
        (report.broken if problem.startswith("broken") else report.leaks).append(found)


def _attempt(probe: Probe, way: Way) -> Seen | BaseException | None:
    session = probe.session
    try:
        with warnings.catch_warnings():
            # SQLAlchemy warns of two tables that nothing joins, and of rows that were not found.
            warnings.simplefilter("ignore", SAWarning)
            seen = way.run(probe)
            session.commit()
    except NotApplicableError as error:
        session.rollback()
        return error
    except (StockadeError, SQLAlchemyError, TypeError, ValueError, NotImplementedError) as error:
        # A flush that fails rolls back by itself; what went before a refusal stays and is judged.
        try:
            session.commit()
        except SQLAlchemyError:
            session.rollback()
        return error
    except Exception as error:  # noqa: BLE001 - a driver raises what it likes; the way has ended.
        session.rollback()
        return error
    return seen


def _judge_read(world: World, target: Target, way: Way, outcome: object) -> str | None:
    own, foreign = (world.keys[target, tenant] for tenant in world.tenants)
    if isinstance(outcome, Seen):
        if outcome.foreign or foreign in outcome.keys:
            return "returned a row of the other tenant"
        if way.finds_own and own not in outcome.keys:
            return "broken: the own tenant's row is not found"
    elif way.finds_own:
        return f"broken: {type(outcome).__name__}"
    return None
