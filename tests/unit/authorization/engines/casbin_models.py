"""Models and objects for the tests of Casbin."""

from typing import Any

from stockade.authorization.engines import EngineUse
from stockade.authorization.engines.casbin import CasbinEngine
from stockade.core import Principal, TenantId, UserId

EFFECT = "some(where (p.eft == allow)) && !some(where (p.eft == deny))"
MATCHER = (
    'r.obj == p.obj && r.act == p.act && (p.dom == "*" || r.dom == p.dom) && g(r.sub, p.sub, r.dom)'
)


class Note:
    """An object."""

    author: Any = None
    title: Any = None
    size: Any = None

    def __init__(self, **values: Any) -> None:  # noqa: ANN401 - any value
        vars(self).update(values)


def model(
    matcher: str = MATCHER,
    *,
    request: str = "sub, dom, obj, act",
    policy: str = "sub, dom, obj, act, eft",
    roles: str = "g = _, _, _",
    effect: str = EFFECT,
) -> str:
    """Write a model."""
    return (
        f"[request_definition]\nr = {request}\n[policy_definition]\np = {policy}\n"
        f"[role_definition]\n{roles}\n[policy_effect]\ne = {effect}\n[matchers]\nm = {matcher}\n"
    )


def caller(*roles: str, user_id: str = "ann", tenant: str | None = "acme") -> Principal:
    """Make a caller."""
    return Principal(
        user_id=UserId(user_id),
        email="ann@example.com",
        tenant_id=None if tenant is None else TenantId(tenant),
        roles=frozenset(roles),
    )


def engine(
    policies: Any,  # noqa: ANN401 - a text, a path or an adapter
    written: str | None = None,
    *,
    attributes: tuple[str, ...] = ("author",),
    **more: Any,  # noqa: ANN401 - options of the engine
) -> CasbinEngine:
    """Make an engine for notes."""
    return CasbinEngine(written or model(), policies, models={Note: attributes}, **more)


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
