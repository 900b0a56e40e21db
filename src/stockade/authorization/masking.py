"""Leave fields out of answers that the caller may not see.

A field is left out while a model is serialized, whatever it holds, so that neither a default nor a
null takes its place. Where nobody is known to ask, it is left out as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic import Field
from pydantic.fields import FieldInfo

from stockade.authorization.dependencies import RequiredCaller, require_all
from stockade.authorization.rules import decide
from stockade.core.acting import ACTING
from stockade.core.policy import either
from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

    from stockade.core.identity import Principal
    from stockade.core.policy import Policy

_MARK: Final = "stockade_visible_to"


def visible_to(*requirements: str | RequiredCaller) -> Any:  # noqa: ANN401 - as Field() of Pydantic, so that it may be a default
    """Show a field of an answer to callers alone who satisfy all of these.

    Write it beside the type: ``salary: Annotated[int, visible_to("hr:salary:read")]``.

    Args:
        *requirements: Permissions, and what ``require_role``, ``require_any`` and the like make.

    Raises:
        ConfigurationError: There is none, or one asks for more than roles and permissions.
    """
    policy = require_all(*requirements).policy
    either([policy])  # A sign-in can't be fresh for a field alone; that raises here.
    hidden = Hidden(policy)
    field: FieldInfo = Field(exclude_if=hidden)
    field.metadata.append(hidden)
    return field


class Hidden:
    """Whether a field is hidden from whoever asks.

    Args:
        policy: What a caller has to satisfy to see it.
    """

    __slots__ = ("_last", "policy")

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        # A list of a hundred people asks a hundred times for one caller, who does not change.
        self._last: tuple[Principal | None, bool] = (None, True)

    def __call__(self, _value: object) -> bool:
        """Tell whether the field is left out, whatever it holds."""
        principal = ACTING.get()
        known, hidden = self._last
        if principal is not known:
            hidden = principal is None or not decide(self.policy, principal, now=None).granted
            self._last = (principal, hidden)
        return hidden

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        # Every kind of schema may have it.
        schema: Any = handler(source)
        metadata: dict[str, Any] = schema.setdefault("metadata", {})
        metadata[_MARK] = (*metadata.get(_MARK, ()), self)
        marked: CoreSchema = schema
        return marked


def masks_in(schema: object) -> Iterator[Policy]:
    """Yield what the masked fields of an answer ask for.

    Args:
        schema: Pydantic's core schema of the answer.

    Raises:
        ConfigurationError: A mask is on something that is no field, where nothing would hide it.
    """
    for hidden in _find(schema, None):
        yield hidden.policy


def _find(node: object, enclosing: Hidden | None) -> Iterator[Hidden]:
    if isinstance(node, list | tuple):
        for each in node:
            yield from _find(each, enclosing)
    if not isinstance(node, dict):
        return
    found = node.get("serialization_exclude_if")
    if "serialization_exclude_if" in node or str(node.get("type")).endswith("-field"):
        enclosing = found if isinstance(found, Hidden) else None
    if isinstance(found, Hidden):
        yield found
    for mark in (node.get("metadata") or {}).get(_MARK, ()):
        if mark is not enclosing:
            message = (
                "visible_to() hides fields, and here it is on an item of a list, on a whole answer"
                " or below another exclude_if: put it on the field itself"
            )
            raise ConfigurationError(message)
    for name, each in node.items():
        if name != "metadata":
            yield from _find(each, enclosing)
