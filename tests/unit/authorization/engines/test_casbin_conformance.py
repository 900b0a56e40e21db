"""Our Casbin answers as Casbin itself does, and as a slow reference of the same words."""

import casbin
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.authorization.engines.casbin_models import MATCHER, Note, caller, engine, model

ROLES = st.sampled_from(["admin", "member", "guest", "group"])
DOMAINS = st.sampled_from(["acme", "globex", "*"])
ACTIONS = st.sampled_from(["read", "write"])
RULES = st.lists(
    st.tuples(ROLES, DOMAINS, ACTIONS, st.sampled_from(["allow", "deny"])), min_size=1, max_size=8
)
LINKS = st.lists(st.tuples(ROLES, ROLES, DOMAINS), max_size=5)


def text_of(
    rules: list[tuple[str, str, str, str]], links: list[tuple[str, str, str]]
) -> list[list[str]]:
    """Write rules and links as Casbin has them."""
    written = [["p", sub, dom, "Note", act, eft] for sub, dom, act, eft in rules]
    return written + [["g", *link] for link in links]


def expected(
    rules: list[tuple[str, str, str, str]],
    links: list[tuple[str, str, str]],
    roles: frozenset[str],
    question: tuple[str, str],
) -> bool:
    """Decide by going through everything again and again."""
    tenant, action = question
    held = set(roles)
    while True:
        more = {above for below, above, where in links if below in held and where in {tenant, "*"}}
        if more <= held:
            break
        held |= more
    effects = {
        eft
        for sub, dom, act, eft in rules
        if sub in held and dom in {tenant, "*"} and act == action
    }
    return "allow" in effects and "deny" not in effects


@settings(max_examples=150, deadline=None)
@given(
    rules=RULES,
    links=LINKS,
    roles=st.frozensets(ROLES, max_size=2),
    tenant=st.sampled_from(["acme", "globex", "third"]),
    action=ACTIONS,
)
def test_roles_with_domains(
    rules: list[tuple[str, str, str, str]],
    links: list[tuple[str, str, str]],
    roles: frozenset[str],
    tenant: str,
    action: str,
) -> None:
    """The answer is that of Casbin, whose links hold the memberships, and of the reference."""
    lines = text_of(rules, links)
    ours = engine("\n".join(", ".join(line) for line in lines))
    answer = ours.decide(caller(*roles, tenant=tenant), action, Note()).granted

    alone = casbin.Model()
    alone.load_model_from_text(model())
    theirs = casbin.Enforcer(alone)
    theirs.add_named_domain_matching_func("g", lambda asked, known: known in {asked, "*"})
    for name, *rule in lines:
        (theirs.add_policy if name == "p" else theirs.add_grouping_policy)(*rule)
    for role in roles:
        theirs.add_grouping_policy("user:ann", role, tenant)

    assert answer is expected(rules, links, roles, (tenant, action))
    assert answer is bool(theirs.enforce("user:ann", tenant, "Note", action))


@settings(max_examples=150, deadline=None)
@given(
    rules=st.lists(
        st.tuples(
            st.sampled_from(["member", "admin", "user:ann"]),
            st.sampled_from(["Note", "No*", "*", "notes"]),
            st.sampled_from(["read", "rea.", "read|write", ".*", "write"]),
        ),
        min_size=1,
        max_size=6,
    ),
    roles=st.frozensets(st.sampled_from(["member", "admin"]), max_size=2),
    action=ACTIONS,
)
def test_patterns(rules: list[tuple[str, str, str]], roles: frozenset[str], action: str) -> None:
    """Rules with patterns are found although others are told apart by equal names."""
    matcher = "g(r.sub, p.sub) && keyMatch(r.obj, p.obj) && regexMatch(r.act, p.act)"
    written = model(matcher, request="sub, obj, act", policy="sub, obj, act", roles="g = _, _")
    ours = engine("\n".join(f"p, {', '.join(rule)}" for rule in rules), written)

    alone = casbin.Model()
    alone.load_model_from_text(written)
    theirs = casbin.Enforcer(alone)
    for rule in rules:
        theirs.add_policy(*rule)
    for role in roles:
        theirs.add_grouping_policy("user:ann", role)

    answer = ours.decide(caller(*roles), action, Note())
    assert answer.granted is bool(theirs.enforce("user:ann", "Note", action))


@settings(max_examples=200, deadline=None)
@given(user_id=st.text(min_size=1), tenant=st.text(min_size=1), author=st.text())
def test_no_text_is_anything_but_itself(user_id: str, tenant: str, author: str) -> None:
    """Whatever an identifier, a tenant or an attribute says, it is compared as a whole."""
    written = model(f'{MATCHER} && r.obj.author == "ann"')
    ours = engine("p, admin, acme, Note, write, allow\np, user:ann, *, Note, read, allow", written)
    who, note = caller(user_id=user_id, tenant=tenant), Note(author=author)
    assert not ours.is_allowed(who, "write", note)
    assert ours.is_allowed(who, "read", note) is (user_id == "ann" and author == "ann")
