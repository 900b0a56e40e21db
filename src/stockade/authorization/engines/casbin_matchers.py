"""Say what a matcher of Casbin may do, before it is ever evaluated.

A matcher is a program: Casbin evaluates it with simpleeval, which also calls methods of values.
Here it may compare names and declared attributes, and call the functions that the model has. No
part of a request ever becomes part of a program or a pattern.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from casbin import util
from casbin.core_enforcer import CoreEnforcer

from stockade.authorization.engines.casbin_terms import SUBJECT
from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

PATTERN_FUNCTIONS: Final = frozenset(
    {"keyMatch", "keyMatch2", "keyMatch3", "keyMatch4", "keyMatch5", "regexMatch", "globMatch"}
)
"""Functions whose second argument is a pattern."""

_ALLOWED: Final = (
    *(ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.Compare),
    *(ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn),
    *(ast.Name, ast.Load, ast.Constant, ast.Tuple, ast.List, ast.Call, ast.Attribute),
)
_TEXTS: Final = re.compile(r"\"[^\"]*\"|'[^']*'")
# Casbin replaces these wherever they stand, also within a text.
_REPLACED: Final = re.compile(r"&&|\|\||!|#|;|\b[rp]\d*[._]|\beval\b")
# An account may come from an outside issuer with an identifier of its own choice.
_MEASURED: Final = frozenset({"r_obj", "r_act", "r_dom"})


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a matcher may name.

    Args:
        request: The names of the request, such as ``r_sub``.
        policy: The names of a rule, such as ``p_sub``.
        functions: Functions that it may call.
        roles: Those of them that look roles up.
        attributes: Attributes of objects.
    """

    request: frozenset[str]
    policy: frozenset[str]
    functions: frozenset[str]
    roles: frozenset[str]
    attributes: frozenset[str]


def parse_matcher(text: str, vocabulary: Vocabulary) -> ast.expr:
    """Return a matcher as a tree, if it does nothing that it may not.

    Args:
        text: The matcher as the model holds it, with the rules of ``eval`` in place.
        vocabulary: What it may name.

    Raises:
        ConfigurationError: It is broken or does something else.
    """
    for found in _TEXTS.findall(text):
        if _REPLACED.search(found):
            message = f"a text in a Casbin matcher holds what Casbin replaces: {found[:60]}"
            raise ConfigurationError(message)
    try:
        tree = ast.parse(_as_python(text))
    except (SyntaxError, ValueError, RecursionError):
        message = f"a Casbin matcher can't be read: {text[:100]}"
        raise ConfigurationError(message) from None
    # Casbin evaluates the first statement and leaves out the others.
    if len(tree.body) != 1 or not isinstance(tree.body[0], ast.Expr):
        message = f"a Casbin matcher is one expression, without semicolons: {text[:100]}"
        raise ConfigurationError(message)
    expression = tree.body[0].value
    for node in ast.walk(expression):
        _require_harmless(node, vocabulary)
    return expression


def _as_python(text: str) -> str:
    try:
        # The very replacements that the evaluation makes.
        evaluator = CoreEnforcer._get_expression(text)  # noqa: SLF001
    except (IndexError, AttributeError):
        return ""
    found: str = evaluator.expr.strip()
    return found


def _require_harmless(node: ast.AST, vocabulary: Vocabulary) -> None:
    known = vocabulary.request | vocabulary.policy | vocabulary.functions
    problem = ""
    if not isinstance(node, _ALLOWED):
        problem = f"uses {type(node).__name__}, which is not allowed"
    elif isinstance(node, ast.Name) and node.id not in known:
        problem = f"names {node.id}, which the model does not define"
    elif isinstance(node, ast.Attribute):
        problem = _problem_of_attribute(node, vocabulary)
    elif isinstance(node, ast.Call):
        problem = _problem_of_call(node, vocabulary)
    elif isinstance(node, ast.Compare):
        problem = _problem_of_comparison(node)
    if problem:
        message = f"a Casbin matcher {problem}"
        raise ConfigurationError(message)


def _problem_of_attribute(node: ast.Attribute, vocabulary: Vocabulary) -> str:
    base = node.value.id if isinstance(node.value, ast.Name) else ""
    known: Mapping[str, Iterable[str]] = {"r_sub": SUBJECT, "r_obj": vocabulary.attributes}
    if base not in known:
        return f"reads .{node.attr} of something else than r.sub and r.obj"
    if node.attr not in known[base]:
        declared = ", ".join(sorted(known[base])) or "none"
        return f"reads {base.replace('_', '.')}.{node.attr}, which is not declared ({declared})"
    return ""


def _problem_of_call(node: ast.Call, vocabulary: Vocabulary) -> str:
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    if name not in vocabulary.functions:
        return "calls something else than a function of the model"
    if node.keywords or any(isinstance(each, ast.Starred) for each in node.args):
        return f"calls {name} with named or starred arguments"
    if name in vocabulary.roles:
        first = node.args[0] if node.args else None
        if not isinstance(first, ast.Name) or first.id not in {"r_sub", "r_obj"}:
            # An account with the identifier "admin" would hold the role admin.
            return f"gives {name} something else than r.sub or r.obj"
    if name in PATTERN_FUNCTIONS:
        return _problem_of_pattern(name, node.args)
    return ""


def _problem_of_comparison(node: ast.Compare) -> str:
    sides = [node.left, *node.comparators]
    of_caller = [
        each.attr
        for each in sides
        if isinstance(each, ast.Attribute)
        and isinstance(each.value, ast.Name)
        and each.value.id == "r_sub"
    ]
    if any(isinstance(each, ast.Name) and each.id == "p_sub" for each in sides) and (
        set(of_caller) - {"roles"}
    ):
        return f"compares r.sub.{of_caller[0]} with p.sub, which names roles: compare r.sub"
    return ""


def _problem_of_pattern(name: str, arguments: list[ast.expr]) -> str:
    measured, pattern = [*arguments, None, None][:2]
    comes_from_policy = isinstance(pattern, ast.Constant) or (
        isinstance(pattern, ast.Name) and pattern.id.startswith("p_")
    )
    if not comes_from_policy:
        return f"gives {name} a pattern that does not come from the policies"
    if name != "keyMatch" and not (isinstance(measured, ast.Name) and measured.id in _MEASURED):
        # Python's patterns have no time limit.
        return f"gives {name} something else than r.obj, r.act or r.dom: use keyMatch"
    return ""


def names_in(tree: ast.expr) -> frozenset[str]:
    """Return every name that a matcher uses."""
    return frozenset(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))


def attributes_in(tree: ast.expr, base: str) -> frozenset[str]:
    """Return the attributes of a name that a matcher reads."""
    return frozenset(
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == base
    )


def equalities(tree: ast.expr) -> tuple[tuple[str, str], ...]:
    """Return the names of the request and of a rule that have to be equal for it to match.

    They are those of comparisons that the whole matcher is a conjunction of.
    """
    parts = tree.values if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And) else [tree]
    return tuple(pair for part in parts for pair in _equality(part))


def _equality(part: ast.expr) -> Iterator[tuple[str, str]]:
    if isinstance(part, ast.Compare) and len(part.ops) == 1 and isinstance(part.ops[0], ast.Eq):
        sides = [part.left, part.comparators[0]]
        names = sorted(each.id for each in sides if isinstance(each, ast.Name))
        if len(names) == len(sides) and names[0].startswith("p_") and names[1].startswith("r_"):
            yield names[1], names[0]


def literals_in(tree: ast.expr, attribute: str) -> Iterator[str]:
    """Yield the texts that a matcher looks for in a set of the caller's."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn):
            right = node.comparators[0]
            read = isinstance(right, ast.Attribute) and right.attr == attribute
            if read and isinstance(node.left, ast.Constant) and isinstance(node.left.value, str):
                yield node.left.value


def constants_beside(tree: ast.expr, name: str) -> Iterator[str]:
    """Yield the texts that a matcher compares a name of rules with."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            if any(isinstance(each, ast.Name) and each.id == name for each in sides):
                for each in sides:
                    if isinstance(each, ast.Constant) and isinstance(each.value, str):
                        yield each.value


def put_rule_in(matcher: str, rule: Mapping[str, str]) -> str:
    """Return a matcher with the text of a rule in the place of each ``eval``, as Casbin does it."""
    names = util.get_eval_value(matcher)
    return str(util.replace_eval(matcher, [util.escape_assertion(rule[name]) for name in names]))
