"""Make sessions that belong to one tenant for life."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Table, event
from sqlalchemy.orm import Mapper, Session, SessionTransaction, object_mapper

from stockade.core.identity import TenantId
from stockade.tenancy.errors import CrossTenantError, OpaqueSQLError
from stockade.tenancy.guard import BINDING_OPTION
from stockade.tenancy.models import TablePlan, TenantBinding
from stockade.tenancy.raw import RawBlocks, RawRules
from stockade.tenancy.refusals import Refusals

_Object = TypeVar("_Object")


class TenantObjects:
    """Know where mapped objects keep their tenant, and compare it.

    Args:
        plans: How each table is isolated.
        refusals: Where refusals are recorded.
        raw_rules: What there is to say about SQL text.
    """

    def __init__(
        self, plans: Mapping[Table, TablePlan], refusals: Refusals, raw_rules: RawRules
    ) -> None:
        self._plans = plans
        self.refusals = refusals
        self.raw_rules = raw_rules
        self._attributes: dict[type, tuple[str, str] | None] = {}

    def require_own(self, instance: object, binding: TenantBinding, *, stamp: bool = False) -> None:
        """Refuse an object of another tenant; with ``stamp``, give one without a tenant its own.

        Raises:
            CrossTenantError: The object belongs to another tenant.
        """
        kind = type(instance)
        try:
            found = self._attributes[kind]
        except KeyError:
            found = self._attributes[kind] = self._attribute(object_mapper(instance))
        if found is None:
            return
        attribute, parameter = found
        value = vars(instance).get(attribute)
        if value is None and stamp:
            setattr(instance, attribute, binding.parameters[parameter])
        elif value is not None and value != binding.parameters[parameter]:
            error = CrossTenantError(
                f"an object of {kind.__name__} in a tenant's session is another tenant's",
                reason="tenancy.foreign_object",
            )
            raise self.refusals.record(
                error, table=str(object_mapper(instance).local_table), tenant_id=binding.tenant_id
            )

    def _attribute(self, mapper: Mapper[Any]) -> tuple[str, str] | None:
        """Return the attribute that holds the tenant and the parameter that is compared with it."""
        for table in mapper.tables:
            plan = self._plans.get(table)  # type: ignore[call-overload]  # Anything hashable may be asked for.
            if plan is not None and plan.column is not None:
                return mapper.get_property_by_column(plan.column).key, plan.parameter
        return None


class TenantSession(Session):
    """A session whose every transaction, read and object is one tenant's.

    `Isolation.session_factory` makes it. It can't be given another tenant or another engine.

    Args:
        bind: The isolated engine.
        objects: What is known about the application's models.
        binding: The tenant.
    """

    def __init__(
        self,
        bind: Engine | Connection,
        *,
        objects: TenantObjects,
        binding: TenantBinding,
        **options: Any,  # noqa: ANN401 - the options of Session, which AsyncSession passes on
    ) -> None:
        super().__init__(bind, **options)
        self._stockade_bind = bind
        self._stockade_objects = objects
        self._stockade_binding = binding

    @property
    def tenant_id(self) -> TenantId:
        """The tenant of the session."""
        return self._stockade_binding.tenant_id

    @property
    def raw_blocks(self) -> RawBlocks:
        """The blocks in which the session takes SQL text."""
        return self._stockade_binding.raw

    @property
    def raw_rules(self) -> RawRules:
        """What its isolation has to say about SQL text."""
        return self._stockade_objects.raw_rules

    def require_own(self, instance: object) -> None:
        """Return if an object is the tenant's, as far as it shows whose it is.

        Raises:
            CrossTenantError: It is another tenant's.
        """
        self._stockade_objects.require_own(instance, self._stockade_binding)

    def get_bind(self, *args: Any, **kw: Any) -> Engine | Connection:  # noqa: ANN401
        """Return the isolated engine.

        Raises:
            OpaqueSQLError: Another engine is asked for, on which nothing is isolated.
        """
        found = super().get_bind(*args, **kw)
        if found is not self._stockade_bind:
            self._require_home(found)
        return found

    def connection(self, bind_arguments: Any = None, execution_options: Any = None) -> Connection:  # noqa: ANN401
        """Return the session's connection, which is bound to the tenant.

        Raises:
            OpaqueSQLError: Another engine is asked for.
        """
        # SQLAlchemy takes an engine that is given here without asking get_bind().
        given = (bind_arguments or {}).get("bind")
        if given is not None:
            self._require_home(given)
        return super().connection(bind_arguments, execution_options)

    def _require_home(self, bind: Engine | Connection) -> None:
        if bind.engine is not self._stockade_bind.engine:
            raise self._refuse_opaque(
                "a tenant's session was to use another engine: open a session of that engine",
                reason="tenancy.other_engine",
            )

    def _require_transaction(self, connection: Connection) -> None:
        if getattr(connection.connection.dbapi_connection, "autocommit", False):
            raise self._refuse_opaque(
                "AUTOCOMMIT is refused with row-level security: each statement would forget the "
                "tenant; leave it out",
                reason="tenancy.autocommit",
            )

    def merge(self, instance: _Object, *, load: bool = True, options: Any = None) -> _Object:  # noqa: ANN401
        """Copy an object into the session, as `Session.merge` does.

        Raises:
            CrossTenantError: The object is another tenant's.
            OpaqueSQLError: ``load=False``, which would trust the object without asking the
                database.
        """
        self._check_merge(instance, load=load)
        return super().merge(instance, load=load, options=options)

    def merge_all(
        self,
        instances: Iterable[_Object],
        *,
        load: bool = True,
        options: Any = None,  # noqa: ANN401
    ) -> Sequence[_Object]:
        """Copy objects into the session, as `merge` does for each."""
        # Not by the method of the same name, which SQLAlchemy 2.0 lacks.
        with self.no_autoflush:
            return [self.merge(each, load=load, options=options) for each in instances]

    def _check_merge(self, instance: object, *, load: bool) -> None:
        if not load:
            raise self._refuse_opaque(
                "merge(load=False) is refused in a tenant's session: nothing proves whose the "
                "object is",
                reason="tenancy.unverifiable_object",
            )
        self.require_own(instance)

    def _refuse_opaque(self, message: str, *, reason: str) -> OpaqueSQLError:
        error = OpaqueSQLError(message, reason=reason)
        return self._stockade_objects.refusals.record(error, tenant_id=self.tenant_id)


@event.listens_for(TenantSession, "after_begin")
def _bind_connection(
    session: TenantSession, transaction: SessionTransaction, connection: Connection
) -> None:
    """Tell the connection whose it is, before it runs anything for the session."""
    # Whatever way the connection came, one of another engine gets no tenant.
    session._require_home(connection)  # noqa: SLF001 - same module.
    binding = session._stockade_binding  # noqa: SLF001 - same module.
    present = connection.get_execution_options().get(BINDING_OPTION)
    if present is not None and present.tenant_id != binding.tenant_id:
        raise session._refuse_opaque(  # noqa: SLF001 - same module.
            "a tenant's session was to use the connection of another tenant's: each takes its own",
            reason="tenancy.foreign_connection",
        )
    if present is not binding:
        connection.execution_options(**{BINDING_OPTION: binding})
    elif transaction.nested:
        # What is set for a transaction holds in its savepoints, and after they are rolled back.
        return
    if binding.transaction is not None:
        session._require_transaction(connection)  # noqa: SLF001 - same module.
        binding.transaction.enter(connection, binding.tenant_id)


@event.listens_for(TenantSession, "before_attach")
def _check_object(session: TenantSession, instance: object) -> None:
    """Keep objects that another session loaded for another tenant out of the identity map."""
    session.require_own(instance)


@event.listens_for(TenantSession, "before_flush")
def _stamp_objects(session: TenantSession, _context: object, _instances: object) -> None:
    """Write the tenant into new objects, so that they show it without being loaded again."""
    for instance in session.new:
        session._stockade_objects.require_own(instance, session._stockade_binding, stamp=True)  # noqa: SLF001
