"""A model and policies of Casbin that fit each other, ready to be asked."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from casbin.model import Model

from stockade.authorization.engines.casbin_matchers import attributes_in, equalities
from stockade.authorization.engines.casbin_names import check_names
from stockade.authorization.engines.casbin_policies import (
    build_enforcer,
    read_matchers,
    read_model,
    read_rules,
)
from stockade.authorization.engines.casbin_terms import (
    SUBJECT,
    Term,
    held_by,
    plain,
    term_type,
)
from stockade.authorization.engines.interfaces import Collection
from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    import ast
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from stockade.authorization.engines.interfaces import EngineUse
    from stockade.core.identity import Principal


class CasbinState:
    """A model and policies that fit each other.

    Args:
        model: The model: a path, or the text.
        policies: The policies: a path, the text or an adapter.
        models: The models that policies name, each with the attributes that matchers may read.
        functions: Functions that matchers may call, beside Casbin's own.
        most_rules: Most rules that one question may have to look at.

    Raises:
        ConfigurationError: They are broken.
    """

    def __init__(
        self,
        model: Path | str,
        policies: Path | str | Any,  # noqa: ANN401 - an adapter of Casbin
        *,
        models: Mapping[type[Any], tuple[str, ...]],
        functions: Mapping[str, Callable[..., object]],
        most_rules: int,
    ) -> None:
        self._model = read_model(model)
        read_rules(self._model, policies)
        _require_own_names(models)
        self._models = models
        declared = frozenset(name for names in models.values() for name in names)
        enforcer = build_enforcer(self._model, functions)
        self._matchers = read_matchers(self._model, enforcer, declared)
        self._asked = tuple(self._model["r"]["r"].tokens)
        read = frozenset[str]().union(*(attributes_in(each, "r_sub") for each in self._matchers))
        self._subject = {name: SUBJECT[name] for name in read}
        self._subject_type = term_type(SUBJECT)
        self._object_type = term_type(declared)
        self._enforcer = enforcer
        self._pairs = _shared_equalities(self._matchers, self._asked)
        self._buckets = self._make_buckets(most_rules)

    def ask(self, principal: Principal, action: str, instance: object) -> tuple[bool, list[str]]:
        """Return the answer, and the rule that it rests on.

        Raises:
            ValueError: An attribute is no plain value.
            Exception: Whatever else the evaluation raises.
        """
        domain = principal.tenant_id or ""
        request = {
            "r_sub": self._subject_of(principal, domain),
            "r_dom": domain,
            "r_obj": self._object_of(instance),
            "r_act": action,
        }
        enforcer = self._enforcer
        if self._buckets is not None:
            key = tuple(str(request[name]) for name, _ in self._pairs)
            enforcer = self._buckets.get(key)
            if enforcer is None:
                # No rule can match, and no effect permits what no rule does.
                return False, []
        granted, rule = enforcer.enforce_ex(*(request[name] for name in self._asked))
        return granted is True, list(rule)

    def _subject_of(self, principal: Principal, domain: str) -> Term:
        attributes = {name: plain(read(principal)) for name, read in self._subject.items()}
        held = held_by(principal)
        return self._subject_type.of(held[0], attributes, held=held, domain=domain)

    def _object_of(self, instance: object) -> Term:
        if isinstance(instance, Collection):
            return self._object_type.of(instance.name, {}, held=(instance.name,), domain="")
        model, names = self._declared_for(type(instance))
        name = model.__name__
        attributes = {each: plain(getattr(instance, each)) for each in names}
        return self._object_type.of(name, attributes, held=(name,), domain="")

    def _declared_for(self, model: type[Any]) -> tuple[type[Any], tuple[str, ...]]:
        for each in model.__mro__:
            if each in self._models:
                return each, self._models[each]
        message = f"{model.__name__} is not in the models of the engine"
        raise ConfigurationError(message)

    def _make_buckets(self, most_rules: int) -> dict[tuple[str, ...], Any] | None:
        """Return an enforcer for each set of rules that one question can match.

        Casbin tries every rule in turn. A rule whose names have to be equal to those of the request
        is of no use to other requests.

        Raises:
            ConfigurationError: A question has to look at too many rules.
        """
        definition = self._model["p"]["p"]
        if not definition.policy:
            return None
        places = [definition.tokens.index(name) for _, name in self._pairs]
        parted: dict[tuple[str, ...], list[list[str]]] = {}
        for rule in definition.policy:
            parted.setdefault(tuple(rule[place] for place in places), []).append(rule)
        most = max(len(rules) for rules in parted.values())
        if most > most_rules:
            message = (
                f"one question to Casbin has to look at {most} rules, and {most_rules} is the most:"
                " compare more of r.obj, r.act and r.dom in the matcher by =="
            )
            raise ConfigurationError(message)
        return {key: _with_rules(self._enforcer, rules) for key, rules in parted.items()}

    def check(self, use: EngineUse) -> None:
        """Check that the policies fit what the engine is used for.

        Raises:
            ConfigurationError: They name what does not exist.
        """
        for model in use.models:
            _, names = self._declared_for(model)
            for name in names:
                if not hasattr(model, name) and name not in getattr(model, "__annotations__", {}):
                    message = f"{model.__name__} has no attribute {name}, which Casbin may read"
                    raise ConfigurationError(message)
        check_names(self._model, self._matchers, use, self._actions_of(use))

    def _actions_of(self, use: EngineUse) -> dict[str, frozenset[str]]:
        found = dict(use.collections)
        for model, actions in use.models.items():
            name = self._declared_for(model)[0].__name__
            if name in use.collections:
                message = f"Casbin has a model and a collection called {name}: rename one"
                raise ConfigurationError(message)
            found[name] = found.get(name, frozenset()) | actions
        return found


def _require_own_names(models: Mapping[type[Any], object]) -> None:
    names = [model.__name__ for model in models]
    for name in names:
        if names.count(name) > 1:
            # What a rule says of one would hold for the other.
            message = f"Casbin has two models called {name}: rename one"
            raise ConfigurationError(message)


def _with_rules(enforcer: Any, rules: list[list[str]]) -> Any:  # noqa: ANN401 - Casbin ships no types
    """Return an enforcer that shares everything with another one but the rules."""
    made = copy.copy(enforcer)
    definition = copy.copy(enforcer.model["p"]["p"])
    definition.policy = rules
    made.model = Model()
    made.model.model = {**enforcer.model.model, "p": {"p": definition}}
    return made


def _shared_equalities(
    matchers: Iterable[ast.expr], asked: Iterable[str]
) -> tuple[tuple[str, str], ...]:
    """Return the comparisons for equality that every matcher has."""
    known = set(asked)
    found = [dict.fromkeys(equalities(each)) for each in matchers]
    return tuple(
        pair for pair in found[0] if pair[0] in known and all(pair in each for each in found)
    )
