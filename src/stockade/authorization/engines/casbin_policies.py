"""Read a model and policies of Casbin, and refuse what Casbin would take for something else.

Casbin leaves out lines that it does not know, takes a misspelt effect for none, and tries a matcher
on empty names where there are no rules. Each of these is a mistake here, with the line that it is
in.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import casbin
from casbin.constant import constants
from casbin.persist import load_policy_line

from stockade.authorization.engines.casbin_matchers import (
    Vocabulary,
    names_in,
    parse_matcher,
    put_rule_in,
)
from stockade.authorization.engines.casbin_roles import StaticRoles
from stockade.authorization.engines.sources import in_one_line, read_source
from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    import ast
    from collections.abc import Callable, Mapping, Sequence

REQUEST: Final = ("sub", "dom", "obj", "act")
"""What Casbin is told, by the names of a request definition."""

_QUOTED: Final = re.compile(r"\"[^\"]*\"|'[^']*'")
_EFFECTS: Final = {
    constants.ALLOW_OVERRIDE_EFFECT: False,
    constants.ALLOW_AND_DENY_EFFECT: True,
    constants.PRIORITY_EFFECT: True,
}
"""Effects that permit nothing unless a rule does; and whether a rule may deny."""


def read_model(source: Path | str) -> Any:  # noqa: ANN401 - Casbin ships no types
    """Read a model.

    Raises:
        ConfigurationError: It is broken, or permits what no rule permits.
    """
    text, label = read_source(source, "the Casbin model")
    model = casbin.Model()
    try:
        model.load_model_from_text(text)
    # Whatever the parser stumbles over, the file is at fault.
    except Exception as error:  # noqa: BLE001
        raise _broken(label, in_one_line(error)) from None
    for section in ("r", "p", "e", "m"):
        found = model[section] or {}
        if set(found) != {section}:
            what = "has more than one" if len(found) > 1 else "has no"
            raise _broken(label, f"the model {what} definition of {section}")
    for name, definition in (model["g"] or {}).items():
        if definition.params_tokens or len(definition.tokens) not in {2, 3}:
            raise _broken(label, f"{name} is _, _ or _, _, _")
    asked = [each.removeprefix("r_") for each in model["r"]["r"].tokens]
    if not {"sub", "obj", "act"} <= set(asked) <= set(REQUEST) or len(set(asked)) != len(asked):
        raise _broken(label, "a request is sub, obj, act, and dom for the tenant")
    effect = model["e"]["e"].value
    if effect not in _EFFECTS:
        message = (
            f"the effect permits what no rule permits, or is unknown: use one of {list(_EFFECTS)}"
        )
        raise _broken(label, message.replace("_", "."))
    return model


def read_rules(model: Any, source: Any) -> None:  # noqa: ANN401 - as above
    """Read policies into a model.

    Args:
        model: The model.
        source: A path, a text, or an adapter of Casbin.

    Raises:
        ConfigurationError: A line is broken or says what the model can't hold, or an adapter fails.
    """
    if isinstance(source, Path | str):
        _read_text(model, source)
    elif callable(getattr(source, "load_policy", None)):
        _ask_adapter(model, source)
    else:
        message = "Casbin policies are a path, a text or an adapter"
        raise ConfigurationError(message)
    for section in ("p", "g"):
        for name, definition in (model[section] or {}).items():
            for rule in definition.policy:
                _require_whole(name, rule, definition.tokens)
    rules = model["p"]["p"]
    for rule in rules.policy:
        _require_effect(rule, rules.tokens, model["e"]["e"].value)
    model.sort_policies_by_priority()


def _ask_adapter(model: Any, adapter: Any) -> None:  # noqa: ANN401 - as above
    try:
        adapter.load_policy(model)
    # Whatever its database raises: the other engines are to get their policies, and an event says
    # that this one has not.
    except Exception as error:
        raise _broken("Casbin policies", f"the adapter fails: {type(error).__name__}") from error


def _read_text(model: Any, source: Path | str) -> None:  # noqa: ANN401 - as above
    text, label = read_source(source, "Casbin policies")
    known = {**model["p"], **(model["g"] or {})}
    for number, line in enumerate(text.splitlines(), start=1):
        written = line.strip()
        if not written or written.startswith("#"):
            continue
        name = written.partition(",")[0].strip()
        if name not in known:
            raise _broken(f"{label}, line {number}", f"the model does not define {name[:40]}")
        try:
            load_policy_line(written, model)
        except IndexError:
            raise _broken(f"{label}, line {number}", "brackets don't match") from None


def _require_whole(name: str, rule: Sequence[object], tokens: Sequence[str]) -> None:
    line = ", ".join([name, *map(str, rule)])[:100]
    if len(rule) != len(tokens):
        raise _broken("Casbin policies", f"{len(tokens)} fields are needed: {line}")
    for value in rule:
        # A quote or a comment would be a part of the name, which nothing ever equals.
        if not isinstance(value, str) or not value or value != value.strip():
            raise _broken("Casbin policies", f"a field is empty: {line}")
        if "#" in value or _QUOTED.fullmatch(value):
            raise _broken("Casbin policies", f"a field is quoted or commented: {line}")


def _require_effect(rule: Sequence[str], tokens: Sequence[str], effect: str) -> None:
    fields = dict(zip(tokens, rule, strict=True))
    line = ", ".join(["p", *rule])[:100]
    written = fields.get("p_eft", "allow")
    if written not in {"allow", "deny"}:
        raise _broken("Casbin policies", f"an effect is allow or deny: {line}")
    if written == "deny" and not _EFFECTS[effect]:
        raise _broken("Casbin policies", f"the effect of the model leaves denials out: {line}")
    if not fields.get("p_priority", "0").isdecimal():
        raise _broken("Casbin policies", f"a priority is a number: {line}")


class PreparedEnforcer(casbin.Enforcer):  # type: ignore[misc]  # Casbin ships no types.
    """Evaluates matchers that were parsed before.

    Casbin parses the matcher for each question, which takes longer than to evaluate it, and which
    Python 3.11 can't do in several threads at once (``SystemError: AST constructor recursion depth
    mismatch``).
    """

    parsed: Mapping[str, ast.expr]

    def _get_expression(
        self, expr: str, functions: Mapping[str, Callable[..., object]] | None = None
    ) -> casbin.util.SimpleEval:
        evaluator = casbin.util.SimpleEval("", functions)
        evaluator.expr = expr
        evaluator.ast_parsed_value = self.parsed[expr]
        return evaluator


def build_enforcer(model: Any, functions: Mapping[str, Callable[..., object]]) -> Any:  # noqa: ANN401 - as above
    """Make what evaluates; its roles don't change while it is asked.

    Raises:
        ConfigurationError: A function is called as one of Casbin's.
    """
    enforcer = PreparedEnforcer(model)
    for name, definition in (model["g"] or {}).items():
        definition.rm = StaticRoles(definition.policy)
        enforcer.rm_map[name] = definition.rm
    taken = {*enforcer.fm.get_functions(), *(model["g"] or {})}
    for name, function in functions.items():
        if name in taken or not name.isidentifier():
            message = f"a function for Casbin can't be called {name}"
            raise ConfigurationError(message)
        enforcer.add_function(name, function)
    return enforcer


def read_matchers(model: Any, enforcer: Any, attributes: frozenset[str]) -> list[ast.expr]:  # noqa: ANN401 - as above
    """Give an enforcer its parsed matcher, one for each rule where it has an ``eval``.

    Returns:
        The matchers.

    Raises:
        ConfigurationError: One is broken or does what it may not, or there are no rules for it.
    """
    definition = model["p"]["p"]
    matcher = model["m"]["m"].value
    roles = frozenset(model["g"] or {})
    vocabulary = Vocabulary(
        request=frozenset(model["r"]["r"].tokens),
        policy=frozenset(definition.tokens),
        functions=frozenset(enforcer.fm.get_functions()) | roles,
        roles=roles,
        attributes=attributes,
    )
    texts = [matcher]
    if casbin.util.has_eval(matcher):
        rules = [dict(zip(definition.tokens, rule, strict=True)) for rule in definition.policy]
        try:
            texts = [put_rule_in(matcher, rule) for rule in rules]
        except KeyError as error:
            raise _broken("the Casbin model", f"eval of {error}, which no rule has") from None
    parsed = {text: parse_matcher(text, vocabulary) for text in texts}
    found = list(parsed.values())
    if not definition.policy and (not found or names_in(found[0]) & vocabulary.policy):
        # Casbin would try the matcher on empty names, which patterns match.
        raise _broken("Casbin policies", "there are no rules")
    enforcer.parsed = parsed
    return found


def _broken(label: str, what: str) -> ConfigurationError:
    message = f"{label}: {what}"
    return ConfigurationError(message)
