"""A schema and objects for the tests of Cedar."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from stockade.authorization.engines import EngineUse
from stockade.authorization.engines.cedar import CedarEngine
from stockade.core import Principal, TenantId, UserId

SCHEMA = """
type Money = decimal;
entity Role enum ["admin", "member"];
entity Tenant;
entity User in [Role] {
    id: String, email: String, tenant?: Tenant, roles: Set<String>, permissions: Set<String>,
    super_admin: Bool, authenticated_at: datetime, actor?: User,
};
entity Note {
    author?: User, title: String, size: Long, price: Money, is_draft: Bool, tags: Set<String>,
    written_at: datetime, meta?: { lang: String, "word count"?: Long }, address?: ipaddr,
};
entity Collection;
action read, write appliesTo { principal: User, resource: Note };
action create appliesTo { principal: User, resource: Collection };
"""
MOMENT = datetime(2026, 11, 24, 12, 0, 0, 123_000, tzinfo=UTC)


class Note:
    """An object."""

    id: Any = None
    author: Any = None
    title: Any = None
    size: Any = None
    price: Any = None
    is_draft: Any = None
    tags: Any = None
    written_at: Any = None
    meta: Any = None
    address: Any = None

    def __init__(self, **values: Any) -> None:  # noqa: ANN401 - any value
        default = {
            "id": 1,
            "title": "T",
            "size": 1,
            "price": Decimal("1.5"),
            "is_draft": False,
            "tags": [],
            "written_at": MOMENT,
        }
        vars(self).update(default | values)


def caller(*roles: str, user_id: str = "ann", tenant: str | None = "acme") -> Principal:
    """Make a caller."""
    return Principal(
        user_id=UserId(user_id),
        email="ann@example.com",
        tenant_id=None if tenant is None else TenantId(tenant),
        roles=frozenset(roles),
        permissions=frozenset({"notes:note:read"}),
    )


def engine(policies: Any, schema: Any = SCHEMA, **more: Any) -> CedarEngine:  # noqa: ANN401 - texts or paths
    """Make an engine for notes."""
    return CedarEngine(policies, schema, **more)


def use(*roles: str, **more: Any) -> EngineUse:  # noqa: ANN401 - parts of the use
    """Say what an engine is used for."""
    return EngineUse(
        **{
            "roles": frozenset(roles or ("admin", "member")),
            "permissions": frozenset({"notes:note:read"}),
            "models": {Note: frozenset({"read", "write"})},
            "collections": {"notes": frozenset({"create"})},
            **more,
        }
    )


def when(condition: str) -> str:
    """Write a policy with a condition."""
    return f'@id("p") permit (principal, action, resource is Note) when {{ {condition} }};'
