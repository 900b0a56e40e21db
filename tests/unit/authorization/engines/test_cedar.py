"""Cedar decides, and what it would leave out is a refusal or stops the start."""

import json
import sys
import threading
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID

import cedarpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockade.authorization.engines import Collection
from stockade.authorization.engines.cedar import CedarEngine
from stockade.authorization.objects import ENGINE_FAILED
from stockade.core.identity import Principal, UserId, UserType
from stockade.errors import ConfigurationError
from tests.unit.authorization.engines.cedar_models import (
    MOMENT,
    SCHEMA,
    Note,
    caller,
    engine,
    use,
    when,
)

ADMINS = '@id("admins") permit (principal in Role::"admin", action, resource is Note);'
ALL = "permit (principal, action, resource is Note);"


class Kind(StrEnum):
    LETTER = "letter"


def test_a_decision_names_its_policies() -> None:
    """The evidence is every policy that permitted, or forbade, or "none"."""
    own = '@id("own") permit (principal, action, resource is Note) when'
    made = engine(
        f"{ADMINS} {own} {{ resource has author && resource.author == principal }};"
        f' @id("no") forbid (principal, action == Action::"write", resource is Note);'
    )
    both = made.decide(caller("admin"), "read", Note(author="ann"))
    assert (both.granted, both.evidence) == (True, {"engine": "Cedar", "policies": "admins,own"})
    forbidden = made.decide(caller("admin"), "write", Note(author="ann"))
    assert (forbidden.granted, forbidden.evidence["policies"]) == (False, "no")
    nothing = made.decide(caller("member"), "read", Note(author="ben"))
    assert (nothing.granted, nothing.evidence["policies"]) == (False, "none")
    assert nothing.reason == "authorization.engine_refused"


def test_a_forbid_that_fails_is_a_refusal() -> None:
    """Cedar alone leaves the policy out that it can't evaluate, and permits."""
    big = '@id("big") forbid (principal, action, resource is Note) when { resource.size * 9 > 1 };'
    text = ADMINS + big
    made = engine(text)
    found = made.decide(caller("admin"), "read", Note(size=2**60))
    assert (found.granted, found.reason) == (False, ENGINE_FAILED)
    assert found.evidence == {"engine": "Cedar", "failed": "big"}
    entities = made._state.entities(caller("admin"), Note(size=2**60))
    alone = cedarpy.is_authorized(
        {
            "principal": entities[0]["uid"],
            "action": {"type": "Action", "id": "read"},
            "resource": entities[1]["uid"],
            "context": {},
        },
        text,
        entities,
        schema=SCHEMA,
    )
    assert alone.allowed


def test_the_caller_is_what_was_verified() -> None:
    """Roles are parents and a set; permissions, the tenant and the rest are attributes."""
    made = engine(
        when(
            'principal in Role::"admin" && principal.roles.contains("admin")'
            ' && principal has tenant && principal.tenant == Tenant::"acme"'
            ' && principal.id == "ann"'
            ' && principal.permissions.contains("notes:note:read") && !principal.super_admin'
        )
    )
    made.prepare(use())
    assert made.is_allowed(caller("admin"), "read", Note())
    assert not made.is_allowed(caller("admin", tenant="globex"), "read", Note())
    assert not made.is_allowed(caller("admin", tenant=None), "read", Note())
    assert not made.is_allowed(caller("member"), "read", Note())


def test_a_super_administrator_holds_no_role_that_the_schema_lacks() -> None:
    """Whether it may is up to the policies."""
    root = Principal(user_id=UserId("r"), email="", user_type=UserType.SUPER_ADMIN)
    assert not engine(ADMINS).is_allowed(root, "read", Note())
    assert engine(when("principal.super_admin")).is_allowed(root, "read", Note())
    schema = SCHEMA.replace('"admin", "member"', '"admin", "member", "super_admin"')
    above = engine(ADMINS.replace('Role::"admin"', 'Role::"super_admin"'), schema)
    assert above.is_allowed(root, "read", Note())
    assert not above.is_allowed(caller("super_admin"), "read", Note())


VALUES: list[tuple[str, object, str]] = [
    ("price", Decimal("10.1234"), 'resource.price == decimal("10.1234")'),
    ("price", Decimal("-0.5"), 'resource.price.lessThan(decimal("0.0"))'),
    ("price", Decimal("1E+2"), 'resource.price == decimal("100.0")'),
    ("price", 7, 'resource.price == decimal("7.0")'),
    ("size", -(2**63), "resource.size < 0"),
    ("size", 2**63 - 1, "resource.size > 0"),
    ("title", 'quote " and \\ and \n', 'resource.title == "quote \\" and \\\\ and \\n"'),
    ("title", "π😀\x00", 'resource.title == "π😀\\0"'),
    ("title", UUID(int=5), f'resource.title == "{UUID(int=5)}"'),
    ("title", Kind.LETTER, 'resource.title == "letter"'),
    ("title", '{"__entity": {"type": "Role", "id": "admin"}}', 'resource.title like "*entity*"'),
    ("is_draft", True, "resource.is_draft"),
    ("tags", {"a", "b"}, 'resource.tags.containsAll(["a", "b"])'),
    ("tags", ("a",), 'resource.tags == ["a"]'),
    ("tags", frozenset[str](), "resource.tags.isEmpty()"),
    ("author", UUID(int=6), f'resource has author && resource.author == User::"{UUID(int=6)}"'),
    ("author", 'x" == User::"ann', 'resource has author && resource.author != User::"ann"'),
    ("author", None, "!(resource has author)"),
    ("written_at", MOMENT, 'resource.written_at == datetime("2026-11-24T12:00:00.123Z")'),
    (
        "written_at",
        MOMENT.astimezone(timezone(timedelta(hours=9))),
        'resource.written_at == datetime("2026-11-24T12:00:00.123Z")',
    ),
    ("written_at", date(2026, 1, 2), 'resource.written_at == datetime("2026-01-02")'),
    (
        "written_at",
        datetime(1900, 1, 1, tzinfo=UTC),
        'resource.written_at < datetime("1970-01-01")',
    ),
    ("meta", {"lang": "de"}, 'resource has meta && resource.meta.lang == "de"'),
    (
        "meta",
        {"lang": "de", "word count": 3, "other": object()},
        'resource has meta && resource.meta has "word count" && resource.meta["word count"] == 3',
    ),
    ("address", "10.0.0.1", "resource has address && resource.address.isIpv4()"),
]


@pytest.mark.parametrize(("name", "value", "condition"), VALUES, ids=[c for _, _, c in VALUES])
def test_values_arrive_as_the_schema_has_them(name: str, value: object, condition: str) -> None:
    """Each kind of value of Python becomes one of Cedar, exactly."""
    found = engine(when(condition)).decide(caller(), "read", Note(**{name: value}))
    assert found.granted, found


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("size", 2**63),
        ("size", -(2**63) - 1),
        ("size", True),
        ("size", 1.0),
        ("size", "1"),
        ("size", None),
        ("is_draft", 1),
        ("is_draft", "true"),
        ("price", 1.5),
        ("price", "1.5"),
        ("price", Decimal("0.00001")),
        ("price", Decimal("NaN")),
        ("price", Decimal("Infinity")),
        ("price", Decimal(10) ** 30),
        ("price", Decimal(10) ** 16),
        ("title", b"bytes"),
        ("title", object()),
        ("title", "\ud800"),
        ("title", True),
        ("tags", "ab"),
        ("tags", {"a": 1}),
        ("tags", [1.5]),
        ("tags", None),
        ("written_at", datetime(2026, 1, 1)),  # noqa: DTZ001 - the mistake under test
        ("written_at", "2026-01-01"),
        ("written_at", 0),
        ("meta", {}),
        ("meta", "lang"),
        ("meta", {"lang": 3.5}),
        ("address", "not an address"),
        ("address", 7),
        ("id", 1.5),
        ("id", object()),
        ("author", object()),
        ("author", {"type": "User", "id": "ann"}),
    ],
    ids=repr,
)
def test_values_that_do_not_fit_are_a_refusal(name: str, value: object) -> None:
    """Nothing is rounded, cut off or guessed, and no value shows in the evidence."""
    found = engine(ALL).decide(caller(), "read", Note(**{name: value}))
    assert (found.granted, found.reason) == (False, ENGINE_FAILED)
    assert found.evidence["failed"] in {"ValueError", "the request does not fit the schema"}


@pytest.mark.parametrize(
    "user_id", ['x"', 'User::"ann"', "ann\n", "ann\x00", " ann", 'ann", "type": "Role', "{}", ""]
)
def test_a_crafted_identifier_is_nobody_else(user_id: str) -> None:
    """Types and identifiers stay apart: no identifier is a part of a policy."""
    made = engine(f'permit (principal == User::"ann", action, resource is Note); {ADMINS}')
    found = made.decide(caller("member", user_id=user_id), "read", Note())
    assert (found.granted, found.reason) == (False, "authorization.engine_refused")
    assert made.is_allowed(caller("member"), "read", Note())


@pytest.mark.parametrize("role", ['admin"', 'x" in Role::"admin', "editor", "Admin", ""])
def test_a_role_that_the_schema_lacks_is_a_refusal(role: str) -> None:
    """A store that makes up roles lets nobody in by them."""
    assert not engine(ADMINS).decide(caller(role), "read", Note()).granted


@settings(max_examples=200, deadline=None)
@given(st.text(), st.text(), st.text())
def test_no_text_is_anything_but_itself(user_id: str, title: str, author: str) -> None:
    """Whatever a text says, it is compared as a whole."""
    own = "resource has author && resource.author == principal"
    made = engine(when(f'({own}) || resource.title == "public"'))
    found = made.decide(caller(user_id=user_id), "read", Note(title=title, author=author))
    assert found.granted is (user_id == author or title == "public")


def test_what_was_not_declared_is_a_refusal() -> None:
    """An action, a class and a collection that Cedar does not know are nobody's."""
    made = engine(ALL)
    assert made.decide(caller(), "delete", Note()).reason == ENGINE_FAILED
    assert made.decide(caller(), "read", type("Other", (Note,), {})()).granted
    assert made.decide(caller(), "read", object()).reason == ENGINE_FAILED
    assert made.decide(caller(), "read", Collection("notes")).reason == ENGINE_FAILED
    made = engine('permit (principal, action == Action::"create", resource == Collection::"a");')
    assert made.is_allowed(caller(), "create", Collection("a"))
    assert not made.is_allowed(caller(), "create", Collection('a"'))


def test_an_object_that_is_not_stored_has_no_identifier() -> None:
    """It can be decided on before it has a key."""
    made = engine('permit (principal, action, resource == Note::"7");')
    assert not made.decide(caller(), "read", Note(id=None)).granted
    assert made.is_allowed(caller(), "read", Note(id=7))


def test_namespaces_and_names() -> None:
    """Types may be called otherwise than classes, and stand in a namespace."""
    schema = """namespace Shop {
        entity User;
        type Text = String;
        entity Page = { title: Text };
        action "read" appliesTo { principal: [User], resource: [Page] };
    }"""
    made = engine(
        'permit (principal, action == Shop::Action::"read", resource is Shop::Page)'
        ' when { resource.title == "T" };',
        schema,
        namespace="Shop",
        names={Note: "Page"},
        ids={Note: "title"},
    )
    made.prepare(use(models={Note: frozenset({"read"})}, collections={}))
    assert made.is_allowed(caller(), "read", Note())
    assert not made.is_allowed(caller(), "read", Note(title="U"))


@pytest.mark.parametrize(
    ("policies", "problem"),
    [
        ("", "there are no policies"),
        ("// permit (principal, action, resource);", "there are no policies"),
        ("permit (principal, action", "unexpected end"),
        ("permit everything;", "unexpected token"),
        (when("resource.titel == 1"), "p: for policy"),
        (when("resource.title == 1"), "not compatible"),
        (when('principal in Role::"root"'), "root"),
        ('permit (principal, action == Action::"wirte", resource);', "wirte"),
        ('permit (principal == Usr::"a", action, resource);', "Usr"),
        ("permit (principal == ?principal, action, resource);", "template"),
        (ALL + "permit (principal == ?principal, action, resource);", "template"),
    ],
)
def test_broken_policies_stop_the_start(policies: str, problem: str) -> None:
    """One line says what is wrong: a policy that permits nothing for a slip is a silence."""
    with pytest.raises(ConfigurationError) as caught:
        engine(policies)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ("entity User {", "unexpected end"),
        ("", "applicable action"),
        (SCHEMA.replace("email: String", "phone: String"), "attribute phone"),
        ("{}", "applicable action"),
        (
            "entity Note; entity Us; action a appliesTo {principal: Us, resource: Note};",
            "no entity U",
        ),
        ("{", "the Cedar schema"),
    ],
)
def test_a_broken_schema_stops_the_start(schema: str, problem: str) -> None:
    """As above."""
    with pytest.raises(ConfigurationError, match=problem):
        engine("permit (principal, action, resource);", schema)


@pytest.mark.parametrize(
    ("policies", "schema", "used", "problem"),
    [
        (ALL, SCHEMA, use(models={type("Tag", (), {}): frozenset({"read"})}), "no entity Tag"),
        (ALL, SCHEMA, use(models={type("User", (), {}): frozenset({"read"})}), "two things called"),
        (
            ALL,
            SCHEMA,
            use(models={Note: frozenset({"read"}), type("Note", (), vars(Note).copy()): set()}),
            "two things called Note",
        ),
        (ALL, SCHEMA, use(models={Note: frozenset({"delete"})}), 'no action Action::"delete"'),
        (ALL, SCHEMA, use(models={Note: frozenset({"create"})}), "does not apply to Note"),
        (ALL, SCHEMA, use(collections={"a": frozenset({"read"})}), "not apply to Collection"),
        (ALL, SCHEMA.replace("size: Long", "sizes: Long"), use(), "no attribute sizes"),
        (ALL, SCHEMA.replace("entity Note", "entity Note in [Tenant]"), use(), "has parents"),
        (
            ALL,
            SCHEMA.replace("resource: Note }", "resource: Note, context: { now: datetime } }"),
            use(),
            "has a context",
        ),
        (ALL, SCHEMA, use("admin", "member", "auditor"), "role auditor is not in"),
        (ALL, SCHEMA, use("admin"), "role member, which does not exist"),
        (
            ADMINS.replace("admin", "editor"),
            SCHEMA.replace(' enum ["admin", "member"]', ""),
            use(),
            "role editor, which does not exist",
        ),
        (when('principal.roles.contains("editor")'), SCHEMA, use(), "role editor"),
        (when('principal.roles.containsAny(["admin", "edit"])'), SCHEMA, use(), "role edit"),
        (when('principal.permissions.contains("a:b:c")'), SCHEMA, use(), "permission a:b:c"),
    ],
)
def test_what_policies_name_has_to_exist(
    policies: str,
    schema: str,
    used: Any,  # noqa: ANN401 - the use
    problem: str,
) -> None:
    """Models, actions, attributes, roles and permissions are compared with what there is."""
    made = engine(policies, schema)
    with pytest.raises(ConfigurationError, match=problem):
        made.prepare(used)


def test_a_schema_in_json_says_the_same() -> None:
    """Both forms of a schema are read by the form in which Cedar writes them."""
    schema = {
        "": {
            "entityTypes": {
                "User": {},
                "Note": {
                    "shape": {
                        "type": "Record",
                        "attributes": {
                            "tags": {"type": "Set", "element": {"type": "String"}},
                            'odd "name': {"type": "Long", "required": False},
                        },
                    }
                },
            },
            "actions": {
                "read": {"appliesTo": {"principalTypes": ["User"], "resourceTypes": ["Note"]}}
            },
        }
    }
    made = engine(when('resource.tags.contains("a")'), json.dumps(schema))
    assert made.is_allowed(caller(), "read", Note(tags=["a"], **{'odd "name': 3}))


def test_policies_are_read_anew(tmp_path: Path) -> None:
    """Broken policies, also those that name what does not exist, leave the old ones in force."""
    file, schema = tmp_path / "a.cedar", tmp_path / "a.cedarschema"
    file.write_text(ADMINS, encoding="utf-8")
    schema.write_text(SCHEMA, encoding="utf-8")
    made = engine(file, schema)
    made.prepare(use())
    broken_ones = ("permit", when("resource.x"), when('principal.roles.contains("x")'), "", "\xff")
    for broken in broken_ones:
        file.write_text(broken, encoding="latin-1")
        with pytest.raises(ConfigurationError):
            made.reload()
        assert made.is_allowed(caller("admin"), "read", Note())
    file.unlink()
    with pytest.raises(ConfigurationError, match=r"can't be read from a\.cedar"):
        made.reload()
    file.write_text(ADMINS.replace("admin", "member"), encoding="utf-8")
    made.reload()
    assert not made.is_allowed(caller("admin"), "read", Note())


def test_threads_ask_at_once_while_policies_change(tmp_path: Path) -> None:
    """Each answer is that of whole policies."""
    file = tmp_path / "a.cedar"
    file.write_text(ADMINS, encoding="utf-8")
    made = engine(file)
    failed: list[str] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            found = made.decide(caller("admin"), "read", Note())
            if found.reason == ENGINE_FAILED:
                failed.append(found.evidence["failed"])

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(40):
        text = ADMINS + (" forbid (principal, action, resource);" if number % 2 else "")
        file.write_text(text, encoding="utf-8")
        made.reload()
        assert made.is_allowed(caller("admin"), "read", Note()) is not bool(number % 2)
    done.set()
    for thread in threads:
        thread.join()
    assert failed == []


def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line with the command that mends it."""
    monkeypatch.setitem(sys.modules, "cedarpy", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'stockade\[cedar\]'"):
        CedarEngine(ALL, SCHEMA)


CONDITIONS = st.sampled_from(
    [
        ("resource.size > 5", lambda _who, note: note.size > 5),
        ("resource.is_draft", lambda _who, note: note.is_draft),
        ('resource.tags.contains("x")', lambda _who, note: "x" in note.tags),
        ('principal in Role::"admin"', lambda who, _note: "admin" in who.roles),
        (
            "resource has author && resource.author == principal",
            lambda who, note: note.author == who.user_id,
        ),
        ("true", lambda _who, _note: True),
    ]
)
POLICIES = st.lists(
    st.tuples(
        st.sampled_from(["permit", "forbid"]), st.sampled_from(["read", "write", None]), CONDITIONS
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=200, deadline=None)
@given(
    policies=POLICIES,
    action=st.sampled_from(["read", "write"]),
    roles=st.frozensets(st.sampled_from(["admin", "member"])),
    note=st.builds(
        Note,
        size=st.integers(0, 10),
        is_draft=st.booleans(),
        tags=st.frozensets(st.sampled_from(["x", "y"])),
        author=st.sampled_from([None, "ann", "ben"]),
    ),
)
def test_a_forbid_wins(
    policies: list[tuple[str, str | None, Any]],
    action: str,
    roles: frozenset[str],
    note: Note,
) -> None:
    """The answer is that of a slow reference: some permit matches, and no forbid does."""
    text, effects = "", set()
    who = caller(*roles)
    for effect, asked, (condition, holds) in policies:
        scope = "action" if asked is None else f'action == Action::"{asked}"'
        text += f"{effect} (principal, {scope}, resource is Note) when {{ {condition} }};"
        if asked in {None, action} and holds(who, note):
            effects.add(effect)
    found = engine(text).decide(who, action, note)
    assert found.granted is (effects == {"permit"})
    assert found.reason != ENGINE_FAILED


HEADS = st.tuples(
    st.sampled_from(["permit", "forbid"]),
    st.sampled_from(
        ["action", 'action == Action::"read"', 'action in [Action::"read", Action::"create"]']
    ),
    st.sampled_from(
        [
            "resource",
            "resource is Note",
            "resource is Collection",
            'resource == Note::"1"',
            'resource == Note::"2"',
            'resource == Collection::"notes"',
        ]
    ),
)


@settings(max_examples=150, deadline=None)
@given(heads=st.lists(HEADS, min_size=1, max_size=6), action=st.sampled_from(["read", "create"]))
def test_policies_that_can_not_match_are_left_out(
    heads: list[tuple[str, str, str]], action: str
) -> None:
    """The answer and its evidence are those of all policies."""
    text = " ".join(f"{effect} (principal, {asked}, {of});" for effect, asked, of in heads)
    try:
        made = engine(text)
    except ConfigurationError:
        # A head that no action fits is refused by Cedar.
        return
    state = made._state
    instance = Note() if action == "read" else Collection("notes")
    entities = state.entities(caller(), instance)
    request = {
        "principal": entities[0]["uid"],
        "action": state.action(action),
        "resource": entities[1]["uid"],
        "context": {},
    }
    whole = cedarpy.is_authorized(request, text, entities, schema=SCHEMA)
    found = made.decide(caller(), action, instance)
    assert found.granted is whole.allowed
    assert found.evidence["policies"] == (",".join(sorted(whole.diagnostics.reasons)) or "none")
