"""Compare the names that Casbin policies use with those that exist."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from stockade.authorization.engines.casbin_matchers import constants_beside, literals_in
from stockade.authorization.engines.casbin_terms import USER
from stockade.core.identity import UserType
from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    import ast
    from collections.abc import Iterable, Mapping, Sequence

    from stockade.authorization.engines.interfaces import EngineUse

# A name that stands for itself; whatever else is written is a pattern of the matcher's.
_WORD: Final = re.compile(r"[A-Za-z0-9_.-]+", re.ASCII)


def check_names(
    model: Any,  # noqa: ANN401 - Casbin ships no types
    matchers: Sequence[ast.expr],
    use: EngineUse,
    actions: Mapping[str, frozenset[str]],
) -> None:
    """Return if everything that policies name exists.

    Args:
        model: The model with its rules.
        matchers: Its matchers.
        use: What the engine is used for.
        actions: What may be done with each object, by its name.

    Raises:
        ConfigurationError: A role, a permission, an object or an action does not exist.
    """
    _require_no_accounts(use.roles)
    roles = use.roles | {str(UserType.SUPER_ADMIN)}
    links = model["g"] or {}
    groups = frozenset(rule[1] for each in links.values() for rule in each.policy)
    for rule in links["g"].policy if "g" in links else ():
        # What a group is called is up to the policies; who is in it has to exist.
        _require("role", rule[0], roles | groups)
    every = frozenset[str]().union(*actions.values())
    known = {
        "p_sub": ("role", roles | groups),
        "p_obj": ("object", actions.keys() | groups),
        "p_permission": ("permission", use.permissions),
    }
    spelt = {
        name: frozenset(each for matcher in matchers for each in constants_beside(matcher, name))
        for name in (*known, "p_act")
    }
    for rule in model["p"]["p"].policy:
        fields = dict(zip(model["p"]["p"].tokens, rule, strict=True))
        for name, (what, names) in known.items():
            if name in fields:
                _require(what, fields[name], names | spelt[name])
        if "p_act" in fields:
            possible = actions.get(fields.get("p_obj", ""), every)
            _require("action", fields["p_act"], possible | spelt["p_act"])
    for matcher in matchers:
        for role in literals_in(matcher, "roles"):
            _require("role", role, roles)
        for permission in literals_in(matcher, "permissions"):
            _require("permission", permission, use.permissions)


def _require_no_accounts(roles: Iterable[str]) -> None:
    wrong = [role for role in roles if role.startswith(USER)]
    if wrong:
        message = f"the role {wrong[0]} is called as an account: give it another name"
        raise ConfigurationError(message)


def _require(what: str, name: str, known: Iterable[str]) -> None:
    is_name = what == "permission" or _WORD.fullmatch(name) is not None
    if is_name and name not in known:
        message = f"Casbin policies name the {what} {name}, which does not exist"
        raise ConfigurationError(message)
