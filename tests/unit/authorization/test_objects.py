import inspect
from types import SimpleNamespace
from typing import Any

import pytest

from stockade.authorization import open_within_tenant, owned_by, policy, policy_scope
from stockade.authorization.errors import ObjectPolicyError
from stockade.authorization.objects import (
    decide_object,
    excuse_of,
    find_rule,
    find_scope,
    is_guarded,
    require_object,
)
from stockade.core import Principal, UserId, UserType
from stockade.errors import ConfigurationError, ForbiddenError, NotFoundError


def caller(name: str = "ana", *roles: str, user_type: UserType = UserType.USER) -> Principal:
    """Make a caller."""
    return Principal(user_id=UserId(name), email="", roles=frozenset(roles), user_type=user_type)


def make_model(**rules: object) -> type[Any]:
    """Make a class with a rule for each action, which gives a constant answer."""
    model = type("Note", (), {})
    for action, answer in rules.items():
        policy(model, action)(lambda _principal, _note, answer=answer: answer)
    return model


def test_a_rule_decides() -> None:
    """True lets through, False does not, and the decision says by which rule."""
    note = make_model(read=True, write=False)()
    granted, refused = (decide_object(caller(), each, note) for each in ("read", "write"))
    assert (granted.granted, granted.reason) == (True, "authorization.object_granted")
    assert (refused.granted, refused.reason) == (False, "authorization.object_refused")
    assert refused.evidence["action"] == "write"
    assert refused.evidence["model"] == "Note"
    assert refused.evidence["rule"]


async def _later() -> bool:
    return True


@pytest.mark.parametrize(
    "answer", [1, 0, None, "yes", "", object(), [True], NotImplemented], ids=repr
)
def test_only_true_and_false_are_answers(answer: object) -> None:
    """What is merely truthy lets nobody through, and what is merely falsy is a mistake as well."""
    with pytest.raises(ObjectPolicyError):
        decide_object(caller(), "read", make_model(read=answer)())


def test_a_coroutine_is_no_answer() -> None:
    """A coroutine is truthy and decides nothing; it is closed, so that it warns nobody later."""
    answer = _later()
    with pytest.raises(ObjectPolicyError):
        decide_object(caller(), "read", make_model(read=answer)())
    assert inspect.getcoroutinestate(answer) == inspect.CORO_CLOSED


def test_a_rule_that_raises_lets_nobody_through() -> None:
    """The error comes out as it is."""
    model = type("Note", (), {})

    @policy(model, "read")
    def fail(_principal: Principal, _note: object) -> bool:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        require_object(caller(), "read", model())


@pytest.mark.parametrize("action", ["delete", "Write", "write ", "", "__class__"])
def test_an_action_without_a_rule_is_a_mistake(action: str) -> None:
    """Nothing is granted by default, and actions are compared exactly."""
    with pytest.raises(ObjectPolicyError):
        decide_object(caller(), action, make_model(read=True, write=True)())


@pytest.mark.parametrize(
    ("rules", "error"),
    [
        ({"read": True, "write": False}, ForbiddenError),
        ({"read": False, "write": False}, NotFoundError),
        ({"write": False}, NotFoundError),
    ],
    ids=["known", "hidden", "no-rule"],
)
def test_who_may_not_read_may_not_know(rules: dict[str, bool], error: type[Exception]) -> None:
    """A refusal is 403 for those who may read the object, and 404 for all others."""
    with pytest.raises(error):
        require_object(caller(), "write", make_model(**rules)())


def test_subclasses_inherit_rules() -> None:
    """A subclass has the rules of its bases, and its own where it has one."""
    base = make_model(read=True, write=True)
    child = type("Child", (base,), {})
    policy(child, "write")(lambda _principal, _child: False)
    assert decide_object(caller(), "read", child()).granted
    assert not decide_object(caller(), "write", child()).granted
    assert decide_object(caller(), "write", base()).granted
    assert is_guarded(child)
    assert is_guarded(type("Grandchild", (child,), {}))
    assert not is_guarded(object)


def test_a_sibling_has_no_rules_of_another() -> None:
    """Rules are kept on their own class."""
    make_model(read=True)
    assert find_rule(make_model(), "read") is None


async def _async_rule(_principal: Principal, _note: object) -> bool:
    return True


class _AsyncCall:
    async def __call__(self, _principal: Principal, _note: object) -> bool:
        return True


@pytest.mark.parametrize(
    "register",
    [
        lambda: policy(make_model()),
        lambda: policy(make_model(), ""),
        lambda: policy(make_model(read=True), "read")(lambda _p, _n: True),
        lambda: policy(make_model(), "read")(_async_rule),  # type: ignore[type-var]
        lambda: policy(make_model(), "read")(_AsyncCall()),  # type: ignore[type-var]
        lambda: policy(make_model(), "read")(None),  # type: ignore[type-var]
        lambda: policy_scope(make_model())(_later),  # type: ignore[type-var]
        lambda: open_within_tenant(make_model(read=True), "no reason would do"),
        lambda: open_within_tenant(make_model(), " "),
        lambda: open_within_tenant(make_model(), None),  # type: ignore[arg-type]
    ],
    ids=[
        "no-action",
        "empty-action",
        "twice",
        "async",
        "async-object",
        "nothing",
        "async-scope",
        "guarded",
        "blank-reason",
        "no-reason",
    ],
)
def test_a_registration_that_cannot_be_meant_is_refused(register: object) -> None:
    """A mistake in a rule is found where it is written."""
    assert callable(register)
    with pytest.raises(ConfigurationError):
        register()


def test_a_scope_is_found_by_inheritance() -> None:
    """A model has one scope, which its subclasses share."""
    model = make_model()
    assert find_scope(model) is None
    scope = policy_scope(model)(lambda principal: principal.user_id)
    child = type("Child", (model,), {})
    assert find_scope(child) is scope
    assert is_guarded(child)
    with pytest.raises(ConfigurationError):
        policy_scope(model)(scope)


def test_an_excuse_is_not_inherited() -> None:
    """A subclass may hold what its base does not: it needs a reason of its own."""
    model = make_model()
    open_within_tenant(model, "everybody's")
    assert excuse_of(model) == "everybody's"
    assert excuse_of(type("Child", (model,), {})) is None


@pytest.mark.parametrize(
    ("principal", "owner", "granted"),
    [
        (caller("ana"), "ana", True),
        (caller("7"), 7, True),
        (caller("ben"), "ana", False),
        (caller("Ana"), "ana", False),
        (caller("ana"), "ana ", False),
        (caller(""), "", False),
        (caller("None"), None, False),
        (caller("ben", "admin"), "ana", True),
        (caller("ben", "Admin"), "ana", False),
        (caller("root", user_type=UserType.SUPER_ADMIN), "ana", True),
    ],
    ids=[
        "owner",
        "number",
        "other",
        "case",
        "space",
        "empty",
        "nobody",
        "role",
        "role-case",
        "super-admin",
    ],
)
def test_owned_by(principal: Principal, owner: object, granted: bool) -> None:
    """The owner and the named roles pass; an object without an owner is nobody's."""
    rule = owned_by("author", or_roles=["admin"])
    assert rule(principal, SimpleNamespace(author=owner)) is granted


def test_owned_by_alone_knows_no_role() -> None:
    """Without roles also a super administrator has to be the owner."""
    root = caller("root", "admin", user_type=UserType.SUPER_ADMIN)
    assert owned_by("author")(root, SimpleNamespace(author="ana")) is False


def test_owned_by_needs_its_attribute() -> None:
    """A misspelt attribute is an error and no refusal that nobody notices."""
    with pytest.raises(AttributeError):
        owned_by("auhtor")(caller(), SimpleNamespace(author="ana"))
