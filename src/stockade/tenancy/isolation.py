"""Put tenant isolation in force on an engine, and make sessions for it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, overload

from sqlalchemy import Engine, event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.sql.compiler import SQLCompiler

from stockade.core.identity import TenantId
from stockade.errors import ConfigurationError
from stockade.events import EventLog
from stockade.tenancy.canary import Canary
from stockade.tenancy.compiler import IsolatedCompiler, isolate_compiler
from stockade.tenancy.errors import TenantRequiredError
from stockade.tenancy.guard import IsolatedDialects, StatementGuard, enter_again
from stockade.tenancy.models import TenantBinding
from stockade.tenancy.opaque import TextRule
from stockade.tenancy.planning import Base, IsolationPlan, plan_isolation
from stockade.tenancy.raw import RawRules, declared
from stockade.tenancy.refusals import Refusals, RowSecurityRefusals
from stockade.tenancy.session import TenantObjects, TenantSession
from stockade.tenancy.settings import TenancySettings
from stockade.tenancy.transactions import TenantTransaction

# Where the rewritten SQL was run against real servers; elsewhere nobody knows that it holds.
_DIALECTS = frozenset({"postgresql", "sqlite"})


class Isolation:
    """Tenant isolation for the tables of an application (requirement R9).

    Build it when all models are imported, `install` it on the engine before anything else uses that
    engine, and take every session from `session_factory`.

    Args:
        bases: Declarative bases, registries or `MetaData` that hold the tables. A table that is in
            none of them is refused.
        settings: The settings.
        events: Where refusals are recorded.
    """

    def __init__(
        self,
        bases: Base | Iterable[Base],
        *,
        settings: TenancySettings | None = None,
        events: EventLog,
    ) -> None:
        self._settings = settings or TenancySettings()
        self._refusals = Refusals(events)
        self._plan = plan_isolation(bases, self._settings)
        mode = self._settings.row_level_security
        self._raw_rules = RawRules(
            events, self._refusals, held="nothing" if mode == "off" else "unverified"
        )
        self._objects = TenantObjects(self._plan.tables, self._refusals, self._raw_rules)
        self._installed: list[Engine] = []
        self._transaction = None if mode == "off" else TenantTransaction(self._settings.role)
        self._rule = TextRule.FILTERABLE if mode == "raw_sql" else TextRule.NONE
        # Where row-level security is in force, it holds whatever a block lets in.
        self._raw_rule = TextRule.ANY if mode == "off" else TextRule.FILTERABLE

    @property
    def plan(self) -> IsolationPlan:
        """How each table is isolated; for the audit."""
        return self._plan

    def check(self) -> None:
        """Make sure that every table can be isolated.

        Raises:
            ConfigurationError: Some can't; one line each says which and what to change.
        """
        if self._plan.problems:
            raise ConfigurationError("\n".join(f"tenancy: {line}" for line in self._plan.problems))

    def install(self, engine: AsyncEngine | Engine) -> None:
        """Put isolation in force on an engine, and on no other.

        Raises:
            ConfigurationError: A table can't be isolated, the database is not supported, or the
                engine is isolated already.
        """
        self.check()
        sync_engine = _sync(engine)
        dialect = sync_engine.dialect
        if dialect.name not in _DIALECTS:
            raise ConfigurationError(
                f"tenancy: {dialect.name} is not supported: use PostgreSQL or SQLite"
            )
        if self._transaction is not None and dialect.name != "postgresql":
            raise ConfigurationError(
                f"tenancy: {dialect.name} has no row-level security: use PostgreSQL, or switch "
                "STOCKADE_TENANCY__ROW_LEVEL_SECURITY off"
            )
        compiler: type[SQLCompiler] = dialect.statement_compiler
        if issubclass(compiler, IsolatedCompiler):
            raise ConfigurationError("tenancy: the engine is isolated already: install once")
        make_compiler = partial(
            isolate_compiler,
            compiler,
            plans=self._plan.tables,
            trusted_elements=self._settings.trusted_elements,
            refusals=self._refusals,
        )
        dialects = IsolatedDialects(dialect, self._rule, self._raw_rule, make_compiler)
        guard = StatementGuard(self._plan.tables, self._refusals, dialects)
        event.listen(sync_engine, "before_execute", guard.before_execute, retval=True)
        event.listen(sync_engine, "before_cursor_execute", guard.before_cursor_execute)
        if self._transaction is not None:
            event.listen(sync_engine, "begin", enter_again)
            event.listen(sync_engine, "handle_error", RowSecurityRefusals(self._refusals))
        # What was compiled before is not isolated; the guard would refuse it, forever.
        sync_engine.clear_compiled_cache()
        self._installed.append(sync_engine)

    def is_installed(self, engine: AsyncEngine | Engine) -> bool:
        """Tell whether this isolation was installed on an engine."""
        return any(_sync(engine) is known for known in self._installed)

    def bind(self, tenant_id: TenantId | None) -> TenantBinding:
        """Return what a connection needs to work for a tenant.

        Raises:
            TenantRequiredError: There is no tenant, or it does not fit the tenant columns.
        """
        if not tenant_id:
            raise self._refusals.record(
                TenantRequiredError(
                    "a tenant's session was asked for without a tenant", reason="tenancy.no_tenant"
                )
            )
        try:
            parameters = {
                kind.parameter: kind.convert(tenant_id) for kind in self._plan.kinds.values()
            }
        except TenantRequiredError as error:
            self._refusals.record(error)
            raise
        return TenantBinding(
            tenant_id=tenant_id, parameters=parameters, transaction=self._transaction
        )

    async def canary(self, engine: AsyncEngine | Engine) -> None:
        """Prove on the database itself that isolation bites, and leave no trace.

        With row-level security, verify as well that every table and the role are subject to it. A
        plain `Engine` blocks meanwhile.

        Raises:
            ConfigurationError: Isolation is not in force on the engine, or can't be proven.
        """
        canary = Canary(
            self._plan.tables,
            self._settings.column,
            self._objects,
            transaction=self._transaction,
            allows_text=self._rule is not TextRule.NONE,
        )
        with self._refusals.planted():
            if isinstance(engine, AsyncEngine):
                async with engine.connect() as connection:
                    await connection.run_sync(canary.prove)
            else:
                with engine.connect() as plain:
                    canary.prove(plain)
        if self._transaction is not None:
            unknown = ", ".join(canary.unknown)
            self._raw_rules.held = "row-level security" + (unknown and f", but for {unknown}")

    @property
    def raw_sql_held_by(self) -> str:
        """What holds the SQL text that blocks of `unsafe_raw` let in.

        It is ``nothing``, ``row-level security``, that with the tables that it does not know, or
        ``unverified`` before `canary`.
        """
        return self._raw_rules.held

    def seal_raw_sql(self) -> None:
        """Let in nothing but what is declared with `unsafe_raw` until now.

        The application calls it at its start, so that nothing lets SQL text in that was not listed
        there.
        """
        self._raw_rules.seal(declared())

    @overload
    def session_factory(self, engine: AsyncEngine) -> TenantSessionFactory: ...
    @overload
    def session_factory(self, engine: Engine) -> SyncTenantSessionFactory: ...
    def session_factory(
        self, engine: AsyncEngine | Engine
    ) -> TenantSessionFactory | SyncTenantSessionFactory:
        """Return what makes sessions on an isolated engine, each for one tenant.

        Raises:
            ConfigurationError: `install` was not called for the engine.
        """
        if not self.is_installed(engine):
            raise ConfigurationError(
                "tenancy: session_factory() needs an engine that isolation is installed on"
            )
        if isinstance(engine, AsyncEngine):
            return TenantSessionFactory(self, engine, self._objects)
        return SyncTenantSessionFactory(self, engine, self._objects)


class TenantSessionFactory:
    """Make an `AsyncSession` for a tenant; `Isolation.session_factory` returns it."""

    def __init__(self, isolation: Isolation, engine: AsyncEngine, objects: TenantObjects) -> None:
        self._isolation = isolation
        self._engine = engine
        self._objects = objects

    def __call__(self, tenant_id: TenantId | None) -> AsyncSession:
        """Return a new session; use it as ``async with factory(tenant_id) as session:``.

        Raises:
            TenantRequiredError: There is no tenant, or it does not fit the tenant columns.
        """
        options: dict[str, Any] = {
            "objects": self._objects,
            "binding": self._isolation.bind(tenant_id),
        }
        return AsyncSession(
            self._engine, sync_session_class=TenantSession, expire_on_commit=False, **options
        )


class SyncTenantSessionFactory:
    """Make a `Session` for a tenant; `Isolation.session_factory` returns it."""

    def __init__(self, isolation: Isolation, engine: Engine, objects: TenantObjects) -> None:
        self._isolation = isolation
        self._engine = engine
        self._objects = objects

    def __call__(self, tenant_id: TenantId | None) -> TenantSession:
        """Return a new session; use it as ``with factory(tenant_id) as session:``.

        Raises:
            TenantRequiredError: There is no tenant, or it does not fit the tenant columns.
        """
        return TenantSession(
            self._engine,
            objects=self._objects,
            binding=self._isolation.bind(tenant_id),
            expire_on_commit=False,
        )


def _sync(engine: AsyncEngine | Engine) -> Engine:
    return engine.sync_engine if isinstance(engine, AsyncEngine) else engine
