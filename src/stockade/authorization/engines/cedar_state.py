"""Hold Cedar policies with their schema, and write entities as the schema has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from stockade.authorization.engines.cedar_names import (
    entities_named,
    require_known,
    texts_beside,
)
from stockade.authorization.engines.cedar_values import entity_uid, record_of, text_of
from stockade.authorization.engines.interfaces import Collection
from stockade.core.identity import UserType
from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from stockade.authorization.engines.cedar_schema import Declared
    from stockade.authorization.engines.cedar_values import Encode
    from stockade.authorization.engines.interfaces import EngineUse
    from stockade.core.identity import Principal

_PRINCIPAL: Final[dict[str, Callable[[Principal], object]]] = {
    "id": lambda principal: principal.user_id,
    "email": lambda principal: principal.email,
    "tenant": lambda principal: principal.tenant_id,
    "roles": lambda principal: principal.roles,
    "permissions": lambda principal: principal.permissions,
    "user_type": lambda principal: principal.user_type,
    "super_admin": lambda principal: principal.is_super_admin,
    "method": lambda principal: principal.method,
    "factors": lambda principal: principal.factors,
    "authenticated_at": lambda principal: principal.authenticated_at,
    "actor": lambda principal: principal.actor,
}


@dataclass(frozen=True, slots=True)
class CedarNames:
    """What things are called in a schema.

    Args:
        namespace: The namespace of types and actions; empty for none.
        models: Names of models, where it is not that of the class.
        ids: The attribute that identifies objects of a model, where it is not ``id``.
    """

    namespace: str
    models: Mapping[type[Any], str]
    ids: Mapping[type[Any], str]

    def __call__(self, name: str) -> str:
        """Return the full name of a type."""
        return f"{self.namespace}::{name}" if self.namespace else name


class CedarState:
    """Policies and a schema that fit each other.

    Args:
        policies: The parsed policies.
        schema: The parsed schema.
        declared: What the schema declares.
        names: What things are called in it.
        labels: What policies call themselves, by Cedar's own name.
        told: The policies in Cedar's JSON.
        slices: Those that can say something, by the name of an action and the type of an object,
            where they are not all of them.

    Raises:
        ConfigurationError: The schema has something that Cedar would not be told of.
    """

    def __init__(
        self,
        policies: object,
        schema: object,
        declared: Declared,
        names: CedarNames,
        *,
        labels: Mapping[str, str],
        told: Mapping[str, Any],
        slices: Mapping[tuple[str, str], object],
    ) -> None:
        self.policies = policies
        self.schema = schema
        self.labels = labels
        self._declared = declared
        self._names = names
        self._told = told
        self._slices: dict[tuple[str, str], object] = dict(slices)
        self._user, self._role, self._collection = map(names, ("User", "Role", "Collection"))
        self._encoders: dict[str, Encode] = {}
        self._models: dict[type[Any], tuple[str, str]] = {}
        user = declared.entities.get(self._user)
        if user is None:
            message = f"the Cedar schema has no entity {self._user}: it is the caller"
            raise ConfigurationError(message)
        unknown = sorted(user.shape.attributes.keys() - _PRINCIPAL.keys())
        if unknown:
            message = (
                f"the Cedar schema gives {self._user} the attribute {unknown[0]}, which callers do"
                f" not have: use some of {', '.join(_PRINCIPAL)}"
            )
            raise ConfigurationError(message)
        roles = declared.entities.get(self._role)
        self._has_roles = any(
            declared.find(each, names.namespace) == self._role for each in user.parents
        )
        # Nobody could be a member of what the schema does not have.
        self._roles = None if roles is None else roles.choices
        for name, kind in declared.entities.items():
            namespace = name.rpartition("::")[0]
            read = _read_principal if name == self._user else getattr
            self._encoders[name] = record_of(kind.shape, declared, namespace, read=read)

    def entities(self, principal: Principal, instance: object) -> list[dict[str, Any]]:
        """Return the caller and an object, as Cedar is told of them.

        Raises:
            ValueError: A value does not fit the schema.
            ConfigurationError: The schema has no such object.
        """
        parents = []
        if self._has_roles:
            held = principal.roles - {str(UserType.SUPER_ADMIN)}
            if principal.is_super_admin and self._knows_role(UserType.SUPER_ADMIN):
                held |= {str(UserType.SUPER_ADMIN)}
            parents = [entity_uid(self._role, role) for role in sorted(held)]
        caller = {
            "uid": entity_uid(self._user, principal.user_id),
            "attrs": self._encoders[self._user](principal),
            "parents": parents,
        }
        return [caller, self._entity(instance)]

    def action(self, name: str) -> dict[str, str]:
        """Return the identity of an action."""
        return entity_uid(self._names("Action"), name)

    def policies_for(self, action: str, kind: str) -> object:
        """Return the policies that can say something of an action with objects of a type."""
        return self._slices.get((action, kind), self.policies)

    def check(self, use: EngineUse) -> None:
        """Check that the schema and the policies fit what the engine is used for.

        Raises:
            ConfigurationError: A model, an action, a role or a permission does not fit.
        """
        known: dict[str, type[Any]] = {}
        for model, actions in use.models.items():
            kind, key = self._kind_of(model)
            other = known.setdefault(kind, model)
            taken = kind in {self._user, self._role, self._collection}
            if taken or not (issubclass(model, other) or issubclass(other, model)):
                # What a policy says of one would hold for the other.
                message = (
                    f"Cedar has two things called {kind}: give {model.__name__} a name of names="
                )
                raise ConfigurationError(message)
            self._require_attributes(model, kind, key)
            for action in sorted(actions):
                self._require_action(action, kind)
        for name in sorted(use.collections):
            for action in sorted(use.collections[name]):
                self._require_action(action, self._collection)
        self._require_names(use)

    def _entity(self, instance: object) -> dict[str, Any]:
        if isinstance(instance, Collection):
            return {"uid": entity_uid(self._collection, instance.name), "attrs": {}, "parents": []}
        kind, key = self._kind_of(type(instance))
        identifier = getattr(instance, key)
        # What is not stored yet has no key.
        text = "" if identifier is None else text_of(identifier)
        return {
            "uid": {"type": kind, "id": text},
            "attrs": self._encoders[kind](instance),
            "parents": [],
        }

    def _kind_of(self, model: type[Any]) -> tuple[str, str]:
        found = self._models.get(model)
        if found is None:
            found = self._models[model] = self._find_kind(model)
        return found

    def _find_kind(self, model: type[Any]) -> tuple[str, str]:
        """Return the entity type of a model or its nearest base, and the attribute of its key."""
        names = self._names
        key = next((names.ids[each] for each in model.__mro__ if each in names.ids), "id")
        for each in model.__mro__:
            kind = names(names.models.get(each, each.__name__))
            if kind in self._declared.entities:
                return kind, key
        message = f"the Cedar schema has no entity {names(model.__name__)} for the model"
        raise ConfigurationError(message)

    def _require_attributes(self, model: type[Any], kind: str, key: str) -> None:
        found = self._declared.entities[kind]
        if found.parents or found.has_tags or found.choices is not None:
            message = (
                f"{kind} has parents, tags or fixed identifiers in the Cedar schema, of which Cedar"
                " is told nothing: use attributes"
            )
            raise ConfigurationError(message)
        for name in (key, *found.shape.attributes):
            if not hasattr(model, name) and name not in getattr(model, "__annotations__", {}):
                message = f"{model.__name__} has no attribute {name}, which {kind} needs in Cedar"
                raise ConfigurationError(message)

    def _require_action(self, name: str, kind: str) -> None:
        declared, namespace = self._declared, self._names.namespace
        found = declared.actions.get((namespace, name))
        full = f'{self._names("Action")}::"{name}"'
        if found is None:
            message = f"the Cedar schema has no action {full}, which the engine is asked about"
            raise ConfigurationError(message)
        for wanted, given in ((self._user, found.principals), (kind, found.resources)):
            if wanted not in {declared.find(each, namespace) for each in given}:
                message = f"the action {full} does not apply to {wanted} in the Cedar schema"
                raise ConfigurationError(message)
        context = found.context
        if getattr(context, "attributes", None) != {}:
            message = f"the action {full} has a context in the Cedar schema, and is given none"
            raise ConfigurationError(message)

    def _require_names(self, use: EngineUse) -> None:
        roles = use.roles | {str(UserType.SUPER_ADMIN)}
        if self._roles is not None and self._has_roles:
            missing = sorted(use.roles - self._roles)
            if missing:
                message = (
                    f"the role {missing[0]} is not in the Cedar schema: add it to {self._role}"
                )
                raise ConfigurationError(message)
            require_known("role", self._roles, roles)
        require_known("role", set(entities_named(self._told, self._role)), roles)
        require_known("role", set(texts_beside(self._told, "roles")), roles)
        permissions = set(texts_beside(self._told, "permissions"))
        require_known("permission", permissions, use.permissions)

    def _knows_role(self, role: str) -> bool:
        return self._roles is None or role in self._roles


def _read_principal(principal: Principal, name: str) -> object:
    return _PRINCIPAL[name](principal)
