"""What a decision about an object costs: a rule of Python, Casbin and Cedar, which decide the same.

Each rule lets the author through, and roles that include each other, in the caller's tenant; with
two objects, one that is permitted and one that is refused. Then the same with many rules: those of
other objects and tenants, which a question should not have to pay for.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import casbin

from benchmarks.turns import print_table, run_turns, turn_of
from stockade.authorization import owned_by, policy
from stockade.authorization.engines import policy_of_engine
from stockade.authorization.engines.casbin import CasbinEngine
from stockade.authorization.engines.cedar import CedarEngine
from stockade.authorization.objects import decide_object
from stockade.core import Principal, TenantId, UserId

if TYPE_CHECKING:
    from collections.abc import Callable

MODEL = """
[request_definition]
r = sub, dom, obj, act
[policy_definition]
p = sub, dom, obj, act
[role_definition]
g = _, _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.obj == p.obj && r.act == p.act && (p.dom == "*" || r.dom == p.dom) && \
 (g(r.sub, p.sub, r.dom) || p.sub == "author" && r.obj.author == r.sub.id)
"""
SCHEMA = """
entity Role;
entity User in [Role] { id: String };
entity {name} { author: User };
action read appliesTo { principal: User, resource: {name} };
"""
ANA = Principal(
    user_id=UserId("ana"),
    email="ana@example.com",
    tenant_id=TenantId("acme"),
    roles=frozenset({"member"}),
)


def make_model(name: str) -> Any:
    def start(self: Any, author: str) -> None:
        self.id, self.author = 1, author

    return type(name, (), {"__init__": start, "id": None, "author": None})


def casbin_rules(name: str, more: int) -> str:
    others = [f"p, role{each}, tenant{each % 50}, Other{each}, read" for each in range(more)]
    return "\n".join(
        [f"p, author, *, {name}, read", f"p, admin, *, {name}, read", *others, "g, owner, admin, *"]
    )


def cedar_policies(name: str, more: int) -> str:
    own = f"permit (principal, action, resource is {name}) when {{ resource.author == principal }};"
    roles = f'permit (principal in Role::"admin", action, resource is {name});'
    others = (
        f'permit (principal in Role::"role{each}", action, resource is Other{each});'
        for each in range(more)
    )
    return "\n".join([own, roles, *others])


def ask(model: Any) -> Callable[[], object]:
    own, foreign = model("ana"), model("ben")

    def call() -> object:
        yes, no = decide_object(ANA, "read", own), decide_object(ANA, "read", foreign)
        if (yes.granted, no.granted) != (True, False):
            message = f"{model.__name__} decides otherwise"
            raise SystemExit(message)
        return yes

    return call


def with_rule() -> Callable[[], object]:
    model = make_model("Plain")
    policy(model, "read")(owned_by("author", or_roles=["admin", "owner"]))
    return ask(model)


def with_casbin(more: int) -> Callable[[], object]:
    model = make_model(f"Casbin{more}")
    engine = CasbinEngine(MODEL, casbin_rules(model.__name__, more), models={model: ["author"]})
    policy_of_engine(model, engine, "read")
    return ask(model)


def with_bare_casbin(more: int) -> Callable[[], object]:
    """Ask pycasbin itself, as applications do; it has to look at all rules."""
    text = MODEL.replace(' || p.sub == "author" && r.obj.author == r.sub.id', "")
    model = casbin.Model()
    model.load_model_from_text(text)
    enforcer = casbin.Enforcer(model)
    for line in casbin_rules("Note", more).splitlines():
        name, *rule = line.split(", ")
        (enforcer.add_policy if name == "p" else enforcer.add_grouping_policy)(*rule)
    enforcer.add_policy("ana", "acme", "Note", "read")

    def call() -> object:
        if not enforcer.enforce("ana", "acme", "Note", "read"):
            raise SystemExit(1)
        return enforcer.enforce("ben", "acme", "Note", "read")

    return call


def with_cedar(more: int) -> Callable[[], object]:
    model = make_model(f"Cedar{more}")
    schema = SCHEMA.replace("{name}", model.__name__)
    others = [f"Other{each}" for each in range(more)]
    if others:
        applies = "appliesTo { principal: User, resource:"
        schema += f"entity {', '.join(others)};\naction write {applies} [{', '.join(others)}] }};\n"
    engine = CedarEngine(cedar_policies(model.__name__, more), schema)
    policy_of_engine(model, engine, "read")
    return ask(model)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--rules", type=int, default=500)
    given = parser.parse_args()
    many = given.rules
    turns = {
        "a rule of Python": with_rule(),
        "Cedar, 2 policies": with_cedar(0),
        f"Cedar, {many} more": with_cedar(many),
        "Casbin, 2 rules": with_casbin(0),
        f"Casbin, {many} more": with_casbin(many),
        "pycasbin alone, 3 rules": with_bare_casbin(0),
        f"pycasbin alone, {many} more": with_bare_casbin(many),
    }
    candidates = run_turns(
        {name: turn_of(call) for name, call in turns.items()}, rounds=given.rounds
    )
    print_table("two decisions, one yes and one no", candidates, width=38)


if __name__ == "__main__":
    main()
