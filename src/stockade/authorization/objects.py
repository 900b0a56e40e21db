"""Say what a caller may do with an object, by pure functions that are registered for its model.

A rule takes the caller and the object and returns True or False, nothing else. Rules are kept on
the model itself, so that no registry has to be imported first, and subclasses inherit them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias, TypeVar

from stockade.authorization.errors import ObjectPolicyError
from stockade.core.decision import Decision
from stockade.core.identity import Principal
from stockade.errors import ConfigurationError, ForbiddenError, NotFoundError

READ: Final = "read"
"""The action that says whether a caller may know of an object."""

ENGINE_FAILED: Final = "authorization.engine_failed"
"""The reason code of a refusal whose cause is that a policy engine could not evaluate."""

_RULES: Final = "__stockade_rules__"
_SCOPE: Final = "__stockade_scope__"
_OPEN: Final = "__stockade_open_within_tenant__"
_SHORTEST_REASON: Final = 3

# Objects and conditions are the application's own; nothing is known about their types here.
Rule: TypeAlias = Callable[[Principal, Any], bool | Decision]
Scope: TypeAlias = Callable[[Principal], Any]
_Rule = TypeVar("_Rule", bound=Rule)
_Scope = TypeVar("_Scope", bound=Scope)


def policy(model: type[Any], *actions: str) -> Callable[[_Rule], _Rule]:
    """Register a rule: who may do these actions with an object of a model.

    The rule is a plain function of the caller and the object, without side effects. It returns True
    or False, or a `Decision` with the evidence that it rests on. ``read`` says who may know that an
    object exists; any other name is the application's.

    Args:
        model: The class of the objects; its subclasses inherit the rule.
        *actions: What the rule is about, such as ``read`` or ``write``.

    Raises:
        ConfigurationError: There is no action, one has a rule already, or the rule is asynchronous.
    """
    if not actions or not all(actions):
        message = 'policy() needs the actions that it is about: @policy(Note, "read", "write")'
        raise ConfigurationError(message)

    def register(rule: _Rule) -> _Rule:
        _require_plain(rule)
        rules: dict[str, Rule] = dict(vars(model).get(_RULES, {}))
        for action in actions:
            if action in rules:
                message = f"{model.__name__} has two rules for {action}: keep one"
                raise ConfigurationError(message)
            rules[action] = rule
        setattr(model, _RULES, rules)
        _revision[0] += 1
        return rule

    return register


def policy_scope(model: type[Any]) -> Callable[[_Scope], _Scope]:
    """Register which objects of a model a caller may see in lists, as a condition of SQL.

    The function takes the caller and returns a condition on the model's columns, such as
    ``Note.author == principal.user_id``.

    Raises:
        ConfigurationError: The model has one already, or the function is asynchronous.
    """

    def register(scope: _Scope) -> _Scope:
        _require_plain(scope)
        if _SCOPE in vars(model):
            message = f"{model.__name__} has two scopes: keep one"
            raise ConfigurationError(message)
        # A function on a class would become a method of its objects.
        setattr(model, _SCOPE, (scope,))
        _revision[0] += 1
        return scope

    return register


def open_within_tenant(model: type[Any], reason: str) -> None:
    """Say that every caller of a tenant may do everything with its objects of a model.

    Args:
        model: A model that belongs to tenants and has no rules.
        reason: Why that is right; it is shown in the audit.

    Raises:
        ConfigurationError: The reason is missing, or the model has rules.
    """
    given: object = reason
    if not isinstance(given, str) or len(given.strip()) < _SHORTEST_REASON:
        message = "open_within_tenant() needs a reason in words"
        raise ConfigurationError(message)
    if is_guarded(model):
        message = f"{model.__name__} has rules and is open within its tenant: remove one of the two"
        raise ConfigurationError(message)
    setattr(model, _OPEN, reason)


def owned_by(attribute: str, *, or_roles: Iterable[str] = ()) -> Rule:
    """Make a rule that lets the owner of an object through, and whoever has one of these roles.

    Args:
        attribute: The attribute of the object that holds the identifier of its owner.
        or_roles: Roles that need not be the owner; a super administrator holds every role.
    """
    roles = frozenset(str(role) for role in or_roles)

    def is_owner(principal: Principal, instance: Any) -> bool:  # noqa: ANN401 - any object
        if roles and (principal.is_super_admin or not roles.isdisjoint(principal.roles)):
            return True
        owner = getattr(instance, attribute)
        # An object without an owner is nobody's, also where a caller's identifier were empty.
        return owner is not None and bool(principal.user_id) and str(owner) == principal.user_id

    return is_owner


def revision() -> int:
    """Return a number that grows with each rule, so that a late one is noticed."""
    return _revision[0]


_revision = [0]


def owners_of(model: type[Any]) -> list[type[Any]]:
    """Return the classes that a model has rules from: itself and those it inherits from."""
    return [each for each in model.__mro__ if _RULES in vars(each) or _SCOPE in vars(each)]


def is_guarded(model: type[Any]) -> bool:
    """Tell whether a model has rules, by itself or by inheritance."""
    return bool(owners_of(model))


def excuse_of(model: type[Any]) -> str | None:
    """Return the reason for which a model is open to every caller of its tenant, or None."""
    found = vars(model).get(_OPEN)
    return found if isinstance(found, str) else None


def find_rule(model: type[Any], action: str) -> Rule | None:
    """Return the rule for an action, the nearest one where a subclass has its own."""
    for each in model.__mro__:
        rule: Rule | None = vars(each).get(_RULES, {}).get(action)
        if rule is not None:
            return rule
    return None


def rules_of(model: type[Any]) -> dict[str, Rule]:
    """Return the rules of a model by action, with those that it inherits."""
    found: dict[str, Rule] = {}
    for each in reversed(model.__mro__):
        found |= vars(each).get(_RULES, {})
    return found


def find_scope(model: type[Any]) -> Scope | None:
    """Return the scope of a model, or None."""
    for each in model.__mro__:
        found: tuple[Scope] | None = vars(each).get(_SCOPE)
        if found is not None:
            return found[0]
    return None


def decide_object(principal: Principal, action: str, instance: object) -> Decision:
    """Decide whether a caller may do something with an object.

    Raises:
        ObjectPolicyError: The model has no rule for the action, or the rule returned something else
            than True, False or a decision: whatever is merely truthy lets nobody through.
    """
    model = type(instance)
    rule = find_rule(model, action)
    if rule is None:
        message = f"{model.__name__} has no rule for {action}: write one with @policy"
        raise ObjectPolicyError(message)
    answer: object = rule(principal, instance)
    told = answer if isinstance(answer, Decision) else None
    granted = answer if told is None else told.granted
    if granted is not True and granted is not False:
        if inspect.iscoroutine(answer):
            answer.close()
        message = f"the rule for {action} of {model.__name__} returned neither True nor False"
        raise ObjectPolicyError(message)
    evidence = {
        "model": model.__name__,
        "action": action,
        "rule": getattr(rule, "__qualname__", type(rule).__name__),
    }
    reason = "authorization.object_granted" if granted else "authorization.object_refused"
    if told is not None:
        evidence |= told.evidence
        if told.reason == ENGINE_FAILED:
            granted, reason = False, ENGINE_FAILED
    return Decision(granted=granted, reason=reason, evidence=evidence)


def require_object(
    principal: Principal,
    action: str,
    instance: object,
    *,
    report: Callable[[Decision], None] = lambda _: None,
) -> None:
    """Return if a caller may do something with an object.

    Args:
        principal: The caller.
        action: What it wants.
        instance: The object.
        report: Is told of each decision.

    Raises:
        NotFoundError: It may not, and may not know that the object exists either.
        ForbiddenError: It may not, but may read the object.
        ObjectPolicyError: The model has no rule for the action, or a rule that does not decide.
    """
    decision = decide_object(principal, action, instance)
    report(decision)
    if decision.granted:
        return
    known = action != READ and find_rule(type(instance), READ) is not None
    if known:
        reading = decide_object(principal, READ, instance)
        report(reading)
        if reading.granted:
            raise ForbiddenError(reason="authorization.object_refused")
    raise NotFoundError(reason="authorization.object_hidden")


def _require_plain(rule: object) -> None:
    call = getattr(rule, "__call__", rule)  # noqa: B004 - an object with an asynchronous __call__
    if not callable(rule) or any(
        check(each)
        for check in (inspect.iscoroutinefunction, inspect.isasyncgenfunction)
        for each in (rule, call)
    ):
        message = "a rule is a plain function: load what it needs before, and decide in it"
        raise ConfigurationError(message)
