"""Casbin decides, and what it would misunderstand stops the start."""

import sys
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import casbin
import pytest

from stockade.authorization.engines import Collection
from stockade.authorization.engines.casbin import CasbinEngine
from stockade.authorization.engines.starting import REFUSED, RELOADED, PolicyEngines
from stockade.authorization.objects import ENGINE_FAILED
from stockade.authorization.settings import AuthorizationSettings
from stockade.core.clock import SystemClock
from stockade.core.identity import Principal, UserId, UserType
from stockade.errors import ConfigurationError
from stockade.events import EventLog, MemorySink
from tests.unit.authorization.engines.casbin_models import (
    EFFECT,
    MATCHER,
    Note,
    caller,
    engine,
    model,
    use,
)

ADMINS = "p, admin, *, Note, write, allow"
NO_ROLES = "r.obj == p.obj && r.act == p.act && "


def test_a_decision_names_its_rule() -> None:
    """The evidence is the rule that permitted or denied, and "none" where there was none."""
    made = engine(f"{ADMINS}\np, guest, *, Note, write, deny")
    assert made.decide(caller("admin"), "write", Note()).evidence == {
        "engine": "Casbin",
        "policies": ADMINS,
    }
    denied = made.decide(caller("admin", "guest"), "write", Note())
    assert not denied.granted
    assert denied.evidence["policies"] == "p, guest, *, Note, write, deny"
    nothing = made.decide(caller("admin"), "read", Note())
    assert (nothing.granted, nothing.evidence["policies"]) == (False, "none")
    assert nothing.reason == "authorization.engine_refused"


def test_a_super_administrator_holds_what_policies_give_it() -> None:
    """It has the role of its kind, and no other one; nobody has it by a membership."""
    made = engine("p, super_admin, *, Note, write, allow\n" + ADMINS.replace("write", "read"))
    root = Principal(user_id=UserId("r"), email="", user_type=UserType.SUPER_ADMIN)
    assert made.is_allowed(root, "write", Note())
    assert not made.is_allowed(root, "read", Note())
    assert not made.is_allowed(caller("super_admin"), "write", Note())


@pytest.mark.parametrize(
    ("user_id", "roles", "granted"),
    [
        ("admin", ("member",), False),
        ("user:root", ("member",), False),
        ("*", ("member",), False),
        (".*", ("member",), False),
        ('root"', ("member",), False),
        ("root\np, member, *, Note, write, allow", ("member",), False),
        ("\uff52oot", ("member",), False),
        ("root", ("member",), True),
        ("other", ("user:root",), False),
        ("other", ("admin",), True),
    ],
)
def test_accounts_are_not_called_like_roles(
    user_id: str, roles: tuple[str, ...], granted: bool
) -> None:
    """An account is ``user:<id>``, so that no identifier makes a role or a pattern of it."""
    made = engine(f"{ADMINS}\np, user:root, *, Note, write, allow")
    found = made.decide(caller(*roles, user_id=user_id), "write", Note())
    assert found.granted is granted


def test_roles_hold_in_the_active_tenant() -> None:
    """A role of a membership counts in the tenant that the caller acts in, and in no other."""
    everywhere = "r.obj == p.obj && r.act == p.act && g(r.sub, p.sub, p.dom)"
    made = engine("p, admin, globex, Note, write, allow", model(everywhere))
    assert made.is_allowed(caller("admin", tenant="globex"), "write", Note())
    assert not made.is_allowed(caller("admin", tenant="acme"), "write", Note())
    assert not made.is_allowed(caller("admin", tenant=None), "write", Note())


@pytest.mark.parametrize("depth", [1, 9, 10, 25])
def test_roles_include_each_other_at_any_distance(depth: int) -> None:
    """Casbin alone stops after ten levels, without a word; circles end as well."""
    links = "\n".join(f"g, r{each}, r{each + 1}, *" for each in range(depth))
    made = engine(f"p, r{depth}, *, Note, write, deny\np, r0, *, Note, write, allow\n{links}")
    assert not made.is_allowed(caller("r0"), "write", Note())
    circle = engine(f"p, r{depth}, *, Note, write, allow\n{links}\ng, r{depth}, r0, *")
    assert circle.is_allowed(caller("r0"), "write", Note())
    assert not circle.is_allowed(caller("other"), "write", Note())


def test_a_question_leaves_nothing_behind() -> None:
    """Casbin's own role managers keep every name that they were ever asked for."""
    made = engine(ADMINS)
    before = repr(made._state._enforcer.rm_map["g"].__dict__)
    for number in range(100):
        made.decide(caller("admin", user_id=f"u{number}", tenant=f"t{number}"), "write", Note())
    assert repr(made._state._enforcer.rm_map["g"].__dict__) == before


@pytest.mark.parametrize(
    ("name", "value", "comparison"),
    [
        ("author", "ann", "r.obj.author == r.sub.id"),
        ("author", UUID(int=7), f'r.obj.author == "{UUID(int=7)}"'),
        ("size", Decimal("1.10"), "r.obj.size > 1"),
        ("title", "x' or 'a'=='a", "r.obj.title == r.obj.title"),
        ("title", ["a", "b"], '"a" in r.obj.title'),
        ("size", None, "not (r.obj.size == 1)"),
    ],
)
def test_attributes_are_compared_as_values(name: str, value: object, comparison: str) -> None:
    """What an object holds is a value to compare, and never a part of the program."""
    rule = "p, x, *, Note, write, allow"
    made = engine(rule, model(NO_ROLES + comparison), attributes=("author", "title", "size"))
    assert made.decide(caller(), "write", Note(**{name: value})).granted


@pytest.mark.parametrize(
    "text", ["'", '"', "') or True or ('", "r.sub.id", "\\", "\n", "\x00", "!", "&&", "\ud800"]
)
def test_a_crafted_text_is_no_program(text: str) -> None:
    """Whatever a title says, it equals nothing but itself."""
    rule = "p, x, *, Note, write, allow"
    made = engine(rule, model(NO_ROLES + 'r.obj.title == "public"'), attributes=("title",))
    assert not made.is_allowed(caller(), "write", Note(title=text))
    assert made.is_allowed(caller(), "write", Note(title="public"))


@pytest.mark.parametrize("value", [b"x", object(), {"a": 1}, [object()]], ids=str)
def test_an_attribute_that_is_no_plain_value_is_a_refusal(value: object) -> None:
    """A matcher gets no object of the application, and its values stay out of the evidence."""
    rule = "p, x, *, Note, write, allow"
    made = engine(rule, model(NO_ROLES + "r.obj.author != 1"))
    found = made.decide(caller(), "write", Note(author=value))
    assert (found.granted, found.reason) == (False, ENGINE_FAILED)
    assert found.evidence == {"engine": "Casbin", "failed": "ValueError"}


def test_a_matcher_that_fails_is_a_refusal() -> None:
    """An error is never a yes, also where the rule would deny or another would permit."""
    rules = "p, x, *, Note, write, deny\np, admin, *, Note, write, allow"
    made = engine(rules, model(f"{MATCHER} || r.obj.size > 5"), attributes=("size",))
    found = made.decide(caller("admin"), "write", Note(size="many"))
    assert (found.granted, found.reason) == (False, ENGINE_FAILED)


def test_a_declared_name_is_never_a_method_of_text() -> None:
    """A collection has no title; the title of a text must not stand in for it."""
    rule = "p, x, *, notes, create, allow"
    made = engine(rule, model(NO_ROLES + 'r.obj.title != "secret"'), attributes=("title",))
    assert made.decide(caller(), "create", Collection("notes")).reason == ENGINE_FAILED


def test_a_class_that_was_not_declared_is_a_refusal() -> None:
    """Nothing is asked about what policies can't name; subclasses count as the class."""
    other, draft = type("Other", (), {}), type("Draft", (Note,), {})
    made = engine(ADMINS)
    assert made.decide(caller("admin"), "write", other()).reason == ENGINE_FAILED
    assert made.decide(caller("admin"), "write", draft()).granted


MODELS = [
    (model().replace("[matchers]", "[matcher]"), "no definition of m"),
    (model().replace("m = ", "mm = "), "no definition of m"),
    (model() + "m2 = r.sub == p.sub", "more than one"),
    (model(effect="!some(where (p.eft == deny))"), "permits what no rule"),
    (model(effect="some(where (p.eft == alow))"), "permits what no rule"),
    (model(request="sub, act"), "a request is"),
    (model(request="sub, dom, obj, act, ip"), "a request is"),
    (model(roles="g = _"), "_, _"),
    (model(roles="g = _, _, (_, _)"), "_, _"),
    (model("r.sub == p.sub; r.act == p.act"), "one expression"),
    (model("r.sub =="), "can't be read"),
    (model("(" * 300 + "True" + ")" * 300), "can't be read"),
    (model("h(r.sub, p.sub)"), "something else than a function"),
    (model("r.user == p.sub"), "does not define"),
    (model("r.obj.password == p.sub"), "not declared"),
    (model("r.sub.password == p.obj"), "not declared"),
    (model("r.obj.author.upper() == p.sub"), "than a function"),
    (model("r.sub.upper() == p.sub"), "than a function"),
    (model("().__class__ == p.sub"), "of something else"),
    (model("r.obj.__class__ == p.sub"), "not declared"),
    (model("[x for x in (1, 2)] == p.sub"), "not allowed"),
    (model("(lambda: True)()"), "something else than a function"),
    (model("9 ** 9 ** 9 == 1"), "not allowed"),
    (model('"a" * 10 == p.sub'), "not allowed"),
    (model('f"{1}" == p.sub'), "not allowed"),
    (model("(r.sub, p.sub)[0] == p.sub"), "not allowed"),
    (model("(y := r.sub) == p.sub"), "not allowed"),
    (model("g(r.sub.id, p.sub, r.dom)"), "else than r.sub"),
    (model("g(r.sub.email, p.sub, r.dom)"), "else than r.sub"),
    (model("g(*r.sub.roles)"), "starred"),
    (model("r.sub.id == p.sub"), "names roles"),
    (model("p.sub == r.sub.email"), "names roles"),
    (model("keyMatch(p.obj, r.obj)"), "does not come from the policies"),
    (model("regexMatch(p.sub, r.sub)"), "does not come from the policies"),
    (model("regexMatch(r.obj.author, p.obj)"), "use keyMatch"),
    (model("regexMatch(r.sub, p.sub)"), "use keyMatch"),
    (model("globMatch(r.sub.email, p.obj)"), "use keyMatch"),
    (model("keyMatch2(r.obj.author, p.obj)"), "use keyMatch"),
    (model("regexMatch(r.obj)"), "does not come from the policies"),
    (model('r.act == "a&&b"'), "what Casbin replaces"),
    (model('r.act == "wow!"'), "what Casbin replaces"),
    (model("eval(p.rule)"), "eval"),
    (model('"no" in r.sub.roles && r.act == p.act'), None),
]


@pytest.mark.parametrize(("written", "problem"), MODELS, ids=[str(n) for n in range(len(MODELS))])
def test_a_broken_model_stops_the_start(written: str, problem: str | None) -> None:
    """Each mistake is one line that names it; whatever a matcher may not do is a mistake."""
    if problem is None:
        engine(ADMINS, written)
        return
    with pytest.raises(ConfigurationError) as caught:
        engine(ADMINS, written)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("policies", "problem"),
    [
        ("", "no rules"),
        ("# p, admin, *, Note, write, allow", "no rules"),
        ("q, admin, *, Note, write, allow", "line 1: the model does not define q"),
        ("p2, admin, *, Note, write, allow", "does not define p2"),
        ("p, admin, *, Note, write", "5 fields"),
        ("p, admin, *, Note, write, allow, x", "5 fields"),
        ("p, admin, *, Note, write, Allow", "allow or deny"),
        ("p, admin, *, Note, write, dney", "allow or deny"),
        ("p, admin, , Note, write, allow", "empty"),
        ('p, "admin", *, Note, write, allow', "quoted"),
        ("p, admin, *, Note, write, allow # for now", "commented"),
        ("p, admin), *, Note, write, allow", "line 1: brackets"),
        ("p, (admin, *, Note, write, allow", "5 fields"),
        ("g, admin, *", "3 fields"),
        ("permit everything", "does not define permit everything"),
    ],
)
def test_broken_policies_stop_the_start(policies: str, problem: str) -> None:
    """What Casbin would leave out, or take for a name, is a mistake."""
    with pytest.raises(ConfigurationError) as caught:
        engine(policies)
    assert problem in str(caught.value)


def test_a_denial_that_has_no_effect_stops_the_start() -> None:
    """With an effect that looks at permissions alone, a denial would be a silence."""
    effect = "some(where (p.eft == allow))"
    engine(ADMINS, model(effect=effect))
    with pytest.raises(ConfigurationError, match="leaves denials out"):
        engine(ADMINS.replace("allow", "deny"), model(effect=effect))


def test_no_rules_permit_nothing_where_patterns_would_match() -> None:
    """Casbin alone tries a matcher on empty names, and an empty pattern matches everything."""
    written = model("regexMatch(r.obj, p.obj) && regexMatch(r.act, p.act)")
    alone = casbin.Model()
    alone.load_model_from_text(written)
    assert casbin.Enforcer(alone).enforce("eve", "acme", "Note", "write") is True
    with pytest.raises(ConfigurationError, match="no rules"):
        engine("g, admin, member, *", written)


def test_a_matcher_without_rules_decides_by_attributes() -> None:
    """A matcher that names nothing of a rule needs none."""
    made = engine("", model("r.obj.author == r.sub.id && r.act == 'write'"))
    assert made.is_allowed(caller(), "write", Note(author="ann"))
    assert not made.is_allowed(caller(), "write", Note(author="ben"))


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("r.obj.author == r.sub.id", None),
        ("r.obj.secret == r.sub.id", "not declared"),
        ("keyMatch(p.obj, r.sub)", "does not come from the policies"),
        ("True) or (True", None),
        ("__import__('os').system('true')", "than a function"),
        ("open('/etc/passwd')", "something else than a function"),
    ],
)
def test_rules_with_a_program_are_held_to_the_same(rule: str, problem: str | None) -> None:
    """A rule that ``eval`` reads is checked as if it stood in the matcher."""
    written = model("r.act == p.act && eval(p.rule)", policy="sub, rule, act")
    policies = Lines([["x", rule, "write"]])
    if problem is None:
        assert engine(policies, written).is_allowed(caller(), "write", Note(author="ann"))
        return
    with pytest.raises(ConfigurationError, match=problem):
        engine(policies, written)


class Lines(casbin.persist.Adapter):  # type: ignore[misc]
    """An adapter, as applications have them for databases."""

    def __init__(self, rules: list[list[Any]]) -> None:
        self.rules = rules

    def load_policy(self, model: Any) -> None:  # noqa: ANN401 - Casbin ships no types
        """Load the rules."""
        model["p"]["p"].policy = [list(rule) for rule in self.rules]


@pytest.mark.parametrize("value", [None, 3, "", " x", "a#b"], ids=repr)
def test_an_adapter_is_held_to_the_same(value: object) -> None:
    """Rules from a database are checked like those of a file."""
    adapter = Lines([["admin", "*", "Note", "write", "allow"]])
    made = engine(adapter)
    assert made.is_allowed(caller("admin"), "write", Note())
    adapter.rules.append([value, "*", "Note", "write", "allow"])
    with pytest.raises(ConfigurationError):
        made.reload()
    assert made.is_allowed(caller("admin"), "write", Note())


class Away(Lines):
    """An adapter whose database goes away in the middle."""

    away = False

    def load_policy(self, model: Any) -> None:  # noqa: ANN401 - as above
        """Load the rules, and then fail."""
        super().load_policy(model)
        if self.away:
            secret = "postgresql://casbin:hunter2@db"
            raise OSError(secret)


def test_an_adapter_that_fails_keeps_nobody_from_new_policies() -> None:
    """It is a broken source as any other: what was in force stays, and an event says so."""
    rule = ["admin", "*", "Note", "write", "allow"]
    first, second = Away([rule]), Lines([rule])
    made = [engine(first), engine(second)]
    sink = MemorySink()
    engines = PolicyEngines(AuthorizationSettings(), EventLog([sink], clock=SystemClock()))
    engines._engines = list(made)
    first.away, first.rules = True, []
    second.rules = [["admin", "*", "Note", "read", "allow"]]
    with pytest.raises(ConfigurationError, match="adapter fails: OSError") as caught:
        engines.reload()
    assert "hunter2" not in str(caught.value) + str(list(sink))
    assert made[0].is_allowed(caller("admin"), "write", Note())
    assert not made[1].is_allowed(caller("admin"), "write", Note())
    assert [event.name for event in sink] == [REFUSED, RELOADED]


NAMES = [
    ("p, admni, *, Note, write, allow", "role admni"),
    ("p, admin, *, Nota, write, allow", "object Nota"),
    ("p, admin, *, Note, wirte, allow", "action wirte"),
    ("p, admin, *, Note, create, allow", "action create"),
    ("p, admin, *, notes, read, allow", "action read"),
    (f"{ADMINS}\ng, editor, admin, *", "role editor"),
    ("p, editor, *, Note, write, allow\ng, admin, editor, *", None),
    ("p, user:7, *, Note, write, allow", None),
    ("p, super_admin, *, notes, create, allow", None),
]


@pytest.mark.parametrize(("policies", "problem"), NAMES)
def test_names_have_to_exist(policies: str, problem: str | None) -> None:
    """A rule for a role, an object or an action that does not exist is a silence, or worse."""
    made = engine(policies)
    if problem is None:
        made.prepare(use())
        return
    with pytest.raises(ConfigurationError, match=f"{problem}, which does not exist"):
        made.prepare(use())


@pytest.mark.parametrize(
    ("written", "used", "problem"),
    [
        (model('"editor" in r.sub.roles && r.act == p.act'), use(), "role editor"),
        (model('"a:b:c" in r.sub.permissions && r.act == p.act'), use(), "permission a:b:c"),
        (model(), use("admin", "user:1"), "called as an account"),
        (model(), use(collections={"Note": frozenset({"read"})}), "a model and a collection"),
        (model(), use(models={type("Tag", (), {}): frozenset({"read"})}), "not in the models"),
    ],
)
def test_what_a_matcher_names_has_to_exist(written: str, used: Any, problem: str) -> None:  # noqa: ANN401 - the use
    """Roles and permissions in a matcher, and the models, are compared with what there is."""
    with pytest.raises(ConfigurationError, match=problem):
        engine(ADMINS, written).prepare(used)


def test_two_models_have_two_names() -> None:
    """A rule would hold for both."""
    with pytest.raises(ConfigurationError, match="two models called Note"):
        CasbinEngine(model(), ADMINS, models={Note: [], type("Note", (), {}): []})


def test_an_attribute_has_to_exist() -> None:
    """A misspelt attribute would refuse everybody."""
    with pytest.raises(ConfigurationError, match="no attribute autor"):
        engine(ADMINS, attributes=("autor",)).prepare(use())


def test_permissions_are_compared() -> None:
    """A field called permission names permissions of Stockade."""
    written = model(
        "r.obj == p.obj && r.act == p.act && p.permission in r.sub.permissions",
        policy="permission, obj, act",
    )
    made = engine("p, notes:note:read, Note, read", written)
    made.prepare(use())
    reader = Principal(user_id=UserId("a"), email="", permissions=frozenset({"notes:note:read"}))
    assert made.is_allowed(reader, "read", Note())
    assert not made.is_allowed(caller("admin"), "read", Note())
    with pytest.raises(ConfigurationError, match="permission notes:note:raed"):
        engine("p, notes:note:raed, Note, read", written).prepare(use())


def test_a_question_looks_at_a_bounded_number_of_rules() -> None:
    """Rules for other objects and actions cost nothing; too many for one stop the start."""
    rules = "\n".join(f"p, user:{each}, *, Note, write, allow" for each in range(11))
    with pytest.raises(ConfigurationError, match="11 rules"):
        engine(rules, most_rules=10)
    made = engine(rules, model(MATCHER + " && r.sub == p.sub"), most_rules=1)
    assert made.is_allowed(caller(user_id="7"), "write", Note())


def test_policies_are_read_anew(tmp_path: Path) -> None:
    """Broken policies, also those that name what does not exist, leave the old ones in force."""
    file = tmp_path / "policies.csv"
    file.write_text(ADMINS, encoding="utf-8")
    made = engine(file)
    made.prepare(use())
    for broken in ("p, admin", "p, editor, *, Note, write, allow", "", "\xff"):
        file.write_text(broken, encoding="latin-1")
        with pytest.raises(ConfigurationError):
            made.reload()
        assert made.is_allowed(caller("admin"), "write", Note())
    file.unlink()
    with pytest.raises(ConfigurationError, match=r"can't be read from policies\.csv"):
        made.reload()
    file.write_text(ADMINS.replace("admin", "member"), encoding="utf-8")
    made.reload()
    assert not made.is_allowed(caller("admin"), "write", Note())
    assert made.is_allowed(caller("member"), "write", Note())


def test_threads_ask_at_once_while_policies_change(tmp_path: Path) -> None:
    """Each answer is that of whole policies: all of the old ones, or all of the new ones."""
    file = tmp_path / "policies.csv"
    open_text = f"{ADMINS}\n{ADMINS.replace('write', 'read')}"
    closed = f"{open_text}\np, admin, *, Note, read, deny\np, admin, *, Note, write, deny"
    file.write_text(open_text, encoding="utf-8")
    made = engine(file)
    failed: list[str] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            found = made.decide(caller("admin"), "write", Note(author="x"))
            if found.reason == ENGINE_FAILED:
                failed.append(found.evidence["failed"])

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(40):
        file.write_text(closed if number % 2 else open_text, encoding="utf-8")
        made.reload()
        assert made.is_allowed(caller("admin"), "write", Note()) is not bool(number % 2)
    done.set()
    for thread in threads:
        thread.join()
    assert failed == []


def test_functions_of_the_application_can_be_called() -> None:
    """A function gets values; it takes no name of Casbin's, and its errors are refusals."""

    def is_short(title: str) -> bool:
        return len(title) < len("long")

    rule = "p, x, *, Note, write, allow"
    written = model(NO_ROLES + "isShort(r.obj.title)")
    made = engine(rule, written, attributes=("title",), functions={"isShort": is_short})
    assert made.is_allowed(caller(), "write", Note(title="abc"))
    assert not made.is_allowed(caller(), "write", Note(title="longer"))
    assert made.decide(caller(), "write", Note(title=3)).reason == ENGINE_FAILED
    for taken in ("keyMatch", "g", "no name"):
        with pytest.raises(ConfigurationError, match="can't be called"):
            engine(rule, functions={taken: is_short})


def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line with the command that mends it."""
    monkeypatch.setitem(sys.modules, "casbin", None)
    monkeypatch.setattr("stockade.authorization.engines.casbin.find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'stockade\[casbin\]'"):
        CasbinEngine(model(), ADMINS, models={})


def test_the_effects_are_those_of_casbin() -> None:
    """A priority lets the first rule that matches decide."""
    written = model(policy="priority, sub, dom, obj, act, eft", effect="priority(p.eft) || deny")
    rules = "p, 2, admin, *, Note, write, allow\np, 1, admin, *, Note, write, deny"
    assert not engine(rules, written).is_allowed(caller("admin"), "write", Note())
    turned = rules.replace("2", "0")
    assert engine(turned, written).is_allowed(caller("admin"), "write", Note())
    with pytest.raises(ConfigurationError, match="priority is a number"):
        engine(rules.replace("2", "first"), written)
    assert EFFECT in model()
