"""Hold the engines of an application: one for accounts, one for what belongs to tenants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stockade.authorization.objects import excuse_of, is_guarded, revision
from stockade.errors import ConfigurationError
from stockade.storage.sql.accounts import SQLAccountStore
from stockade.storage.sql.api_clients import SQLAPIClientStore
from stockade.storage.sql.devices import SQLDeviceStore
from stockade.storage.sql.engines import make_engine, ping, store_errors
from stockade.storage.sql.factors import SQLFactorStore
from stockade.storage.sql.identities import SQLIdentityStore
from stockade.storage.sql.invitations import SQLInvitationStore
from stockade.storage.sql.links import SQLLinkStore
from stockade.storage.sql.migrate import check_schema
from stockade.storage.sql.passkeys import SQLPasskeyStore
from stockade.storage.sql.sessions import SQLSessionStore
from stockade.storage.sql.spent import SQLSpentStore
from stockade.storage.sql.tenants import SQLTenantStore
from stockade.storage.sql.watching import guards_of, watch_statements
from stockade.tenancy import Isolation, TenantScoped

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Table
    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
    from sqlalchemy.orm import Mapper

    from stockade.core.identity import TenantId
    from stockade.events import EventLog
    from stockade.tenancy import TenancySettings, TenantSessionFactory
    from stockade.tenancy.planning import IsolationPlan


class Databases:
    """The engines of an application, made when they are first needed.

    Args:
        url: Address of the database; None where the application has none.
        models: Declarative bases of the application, beside those of models that use
            `TenantScoped`.
        tenancy: Settings of the isolation.
        events: Where refusals are recorded.
    """

    def __init__(
        self, url: str | None, *, models: Sequence[Any], tenancy: TenancySettings, events: EventLog
    ) -> None:
        self._url = url
        self._models = tuple(models)
        self._tenancy = tenancy
        self._events = events
        self._accounts_engine = make_engine(url) if url else None
        self._tenant_engine: AsyncEngine | None = None
        self._isolation: Isolation | None = None
        self._factory: TenantSessionFactory | None = None
        self._guards: tuple[int, Mapping[Table, frozenset[type[Any]]]] | None = None
        engine = self._accounts_engine
        self.accounts = None if engine is None else SQLAccountStore(engine)
        self.sessions = None if engine is None else SQLSessionStore(engine)
        self.api_clients = None if engine is None else SQLAPIClientStore(engine)
        self.tenants = None if engine is None else SQLTenantStore(engine)
        self.invitations = None if engine is None else SQLInvitationStore(engine)
        self.spent = None if engine is None else SQLSpentStore(engine)
        self.identities = None if engine is None else SQLIdentityStore(engine)
        self.factors = None if engine is None else SQLFactorStore(engine)
        self.devices = None if engine is None else SQLDeviceStore(engine)
        self.passkeys = None if engine is None else SQLPasskeyStore(engine)
        self.links = None if engine is None else SQLLinkStore(engine)

    async def check(self) -> None:
        """Check that the database answers and has Stockade's tables.

        Raises:
            ConfigurationError: The tables are missing or of another version.
            StoreError: The database is away.
        """
        if self._accounts_engine is not None:
            await ping(self._accounts_engine)
            await check_schema(self._accounts_engine)

    async def prove(self) -> None:
        """Put isolation in force for the application's models and prove it with planted rows.

        Raises:
            ConfigurationError: A model can't be isolated, or planted rows leaked.
            StoreError: The database is away.
        """
        if self._url is None:
            return
        factory = self._make_factory()
        if factory is not None and self._isolation is not None and self._tenant_engine is not None:
            async with store_errors():
                await self._isolation.canary(self._tenant_engine)
            self._isolation.seal_raw_sql()

    @property
    def is_isolated(self) -> bool:
        """Whether there are sessions of tenants."""
        return self._isolation is not None

    @property
    def raw_sql_held_by(self) -> str:
        """What holds the SQL text that blocks of `unsafe_raw` let in."""
        return "nothing" if self._isolation is None else self._isolation.raw_sql_held_by

    def _make_factory(self) -> TenantSessionFactory | None:
        bases = self.find_bases()
        if self._factory is None and self._url is not None and bases:
            self._tenant_engine = make_engine(self._url)
            self._isolation = Isolation(bases, settings=self._tenancy, events=self._events)
            self._isolation.install(self._tenant_engine)
            watch_statements(self._tenant_engine.sync_engine)
            self._factory = self._isolation.session_factory(self._tenant_engine)
        return self._factory

    def plan_isolation(self) -> IsolationPlan:
        """Return how each table of the application is isolated; no database is needed.

        Raises:
            ConfigurationError: A model can't be isolated.
        """
        isolation = Isolation(self.find_bases(), settings=self._tenancy, events=self._events)
        isolation.check()
        return isolation.plan

    def find_bases(self) -> list[Any]:
        """Return what holds the application's models: bases, registries, collections of tables."""
        scoped = [
            model.registry for model in _subclasses(TenantScoped) if hasattr(model, "registry")
        ]
        return list(dict.fromkeys([*self._models, *scoped]))

    def guards(self) -> Mapping[Table, frozenset[type[Any]]]:
        """Return the guarded models of each table, with those that got a rule after the start."""
        known = revision()
        if self._guards is None or self._guards[0] != known:
            self._guards = known, guards_of(self._mappers())
        return self._guards[1]

    def find_unguarded(self) -> list[str]:
        """Name the models that belong to tenants and have neither rules nor a reason for that."""
        if self._make_factory() is None or self._isolation is None:
            return []
        plans = self._isolation.plan.tables
        names = set()
        for mapper in self._mappers():
            table: Any = mapper.local_table
            model = mapper.class_
            if table in plans and plans[table].scoped and not is_guarded(model):
                names.add("" if excuse_of(model) else model.__name__)
        return sorted(names - {""})

    def find_models(self) -> list[type[Any]]:
        """Return the application's mapped classes."""
        return [mapper.class_ for mapper in self._mappers()]

    def _mappers(self) -> list[Mapper[Any]]:
        found: dict[Mapper[Any], None] = {}
        for base in self.find_bases():
            known = getattr(base, "registry", base)
            found |= dict.fromkeys(getattr(known, "mappers", ()))
        return list(found)

    def make_session(self, tenant_id: TenantId | None) -> AsyncSession:
        """Make a session that belongs to a tenant.

        Raises:
            TenantRequiredError: There is no tenant, or it does not fit the tenant columns.
            ConfigurationError: There is no database, or no model that belongs to tenants.
        """
        factory = self._factory or self._make_factory()
        if factory is None:
            message = (
                "stockade.session needs a database and models: set STOCKADE_DATABASE_URL and use"
                " TenantScoped or models="
            )
            raise ConfigurationError(message)
        return factory(tenant_id)

    async def close(self) -> None:
        """Give back all connections."""
        for engine in (self._accounts_engine, self._tenant_engine):
            if engine is not None:
                await engine.dispose()


def _subclasses(model: type[Any]) -> list[type[Any]]:
    return [found for child in model.__subclasses__() for found in (child, *_subclasses(child))]
