"""Say what the caller of one request may do with objects, and tell the watch what was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import Select, select
from sqlalchemy.sql.elements import ColumnElement

from stockade.authorization.errors import ObjectPolicyError
from stockade.authorization.objects import (
    ENGINE_FAILED,
    READ,
    decide_object,
    find_scope,
    require_object,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from stockade.core.decision import Decision
    from stockade.core.identity import Principal
    from stockade.core.watching import ObjectWatch

_Model = TypeVar("_Model")


class ObjectAccess:
    """What the caller of one request may do with objects.

    Args:
        principal: The caller.
        watch: Is told of each check; None where nothing is watched.
        report: Is told of each decision that a policy engine could not make.
    """

    def __init__(
        self,
        principal: Principal,
        watch: ObjectWatch | None,
        *,
        report: Callable[[Decision], None] | None = None,
    ) -> None:
        self.principal = principal
        self._watch = watch
        self._report = report

    def require(self, action: str, instance: object) -> None:
        """Return if the caller may do something with an object, also with one that is not stored.

        Raises:
            NotFoundError: It may not, and may not know that the object exists either.
            ForbiddenError: It may not, but may read the object.
            ObjectPolicyError: The model has no rule for the action, or a rule that does not decide.
        """
        self._answer_for(type(instance))
        require_object(self.principal, action, instance, report=self._tell)
        if self._watch is not None:
            self._watch.approve(instance, action)

    def decide(self, action: str, instance: object) -> Decision:
        """Say whether the caller may do something with an object, and why; it permits nothing.

        Raises:
            ObjectPolicyError: The model has no rule for the action, or a rule that does not decide.
        """
        decision = decide_object(self.principal, action, instance)
        self._tell(decision)
        return decision

    def allowed(
        self, model: type[_Model], instances: Iterable[_Model], *, action: str = READ
    ) -> list[_Model]:
        """Return those of some loaded objects that the caller may do something with.

        For rules that can't be said in SQL, such as those of a policy engine: each object is
        decided on by itself, so that the query needs a limit.

        Args:
            model: Their class.
            instances: The objects.
            action: What the caller wants.

        Raises:
            ObjectPolicyError: The model has no rule for the action, or a rule that does not decide.
        """
        self._answer_for(model)
        found = []
        for instance in instances:
            if self.decide(action, instance).granted:
                found.append(instance)
                if self._watch is not None:
                    self._watch.approve(instance, action)
        return found

    def visible(self, model: type[_Model]) -> Select[_Model]:
        """Return a query for the objects of a model that the caller may see.

        Raises:
            ObjectPolicyError: The model has no scope, or the scope is no condition of SQL.
        """
        scope = find_scope(model)
        if scope is None:
            message = (
                f"{model.__name__} has no scope: write one with @policy_scope, or load a page and"
                " ask allowed()"
            )
            raise ObjectPolicyError(message)
        condition: object = scope(self.principal)
        if not isinstance(condition, ColumnElement):
            # A comparison of two values of Python is a bool, and means everything or nothing.
            message = f"the scope of {model.__name__} returned no condition of SQL"
            raise ObjectPolicyError(message)
        self._answer_for(model)
        return select(model).where(condition)

    def _tell(self, decision: Decision) -> None:
        if decision.reason == ENGINE_FAILED and self._report is not None:
            self._report(decision)

    def _answer_for(self, model: type[object]) -> None:
        if self._watch is not None:
            self._watch.answer_for(model)
