"""Give request bodies and parameters a base class that is strict and bounded by default."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict

from stockade.validation.bounds import find_unbounded_in, refuse_unbounded
from stockade.validation.errors import LooseSchemaError
from stockade.validation.shapes import children, definitions_of
from stockade.validation.strictness import harden

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

    from stockade.validation.shapes import Node

# Key of a core schema's metadata, with what the values arrive as.
_HARDENED: Final = "stockade_hardened"
_JSON: Final = "json"
_TEXT: Final = "text"
# What a subclass may not change: it would no longer be what its base class says it is.
_KEPT: Final[dict[str, object]] = {
    "strict": True,
    "extra": "forbid",
    "allow_inf_nan": False,
    "hide_input_in_errors": True,
    "str_strip_whitespace": False,
    "str_to_lower": False,
    "str_to_upper": False,
    "coerce_numbers_to_str": False,
    # Python's own engine can take exponential time (CWE-1333).
    "regex_engine": "rust-regex",
}
# What Pydantic takes where nothing is said, other than False.
_UNSET: Final = {"regex_engine": "rust-regex"}


def _model_in(node: Any) -> Node:  # noqa: ANN401 - a core schema
    """Find the model inside the validators that stand around it."""
    while node["type"] != "model":
        node = node["schema"]
    found: Node = node
    return found


def _require_config(cls: type[BaseModel]) -> None:
    for name, kept in _KEPT.items():
        if cls.model_config.get(name, _UNSET.get(name, False)) != kept:
            message = f"{cls.__qualname__} changes {name}: a Schema keeps {name}={kept!r}"
            raise LooseSchemaError(message)


def _resolver(handler: GetCoreSchemaHandler) -> Callable[[Any], Any]:
    def resolve(reference: Any) -> Any:  # noqa: ANN401 - core schemas
        return handler.resolve_ref_schema(reference)

    return resolve


def _require_schemas(root: Node, owner: type[Schema]) -> None:
    """Refuse members with rules of their own: unknown fields and conversions would pass there."""
    definitions = definitions_of(root)
    pending, seen = [root, *definitions.values()], set[int]()
    while pending:
        node = pending.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if node["type"] in {"model", "dataclass"} and not _is_strict(node):
            message = (
                f"{owner.__qualname__} holds {node['cls'].__qualname__}, which is no Schema: it"
                " would take unknown fields and convert values; derive it from Schema"
            )
            raise LooseSchemaError(message)
        if (node.get("metadata") or {}).get(_HARDENED) == _TEXT and not owner._reads_text:  # noqa: SLF001 - of this module
            message = (
                f"{owner.__qualname__} holds {node['cls'].__qualname__}, which reads numbers from"
                " text: derive it from Schema"
            )
            raise LooseSchemaError(message)
        pending += [child for _, child in children(node)]


def _is_strict(node: Node) -> bool:
    if _HARDENED in (node.get("metadata") or {}):
        return True
    config = node.get("config") or {}
    no_extra = node.get("root_model") or config.get("extra_fields_behavior") == "forbid"
    return node["type"] == "model" and config.get("strict") is True and bool(no_extra)


class Schema(BaseModel):
    """A request body: strict types, no unknown fields, an upper bound on everything.

    Values are accepted as they are or refused, never altered. ``"5"`` is no number and ``1`` is not
    true; dates, UUIDs, decimals and enumerations are read from the strings that JSON spells them
    with. NaN and infinities, integers beyond 64 bits, NUL characters and lone surrogates are
    refused.

    Raises:
        UnboundedInputError: A field has no upper bound; raised when the class is defined.
        LooseSchemaError: The class switches off what makes it strict, or holds a plain model that
            takes unknown fields.
    """

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        allow_inf_nan=False,
        # Pydantic's error text would show the value, and logs would keep it.
        hide_input_in_errors=True,
    )

    _reads_text: ClassVar[bool] = False

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[BaseModel], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        schema = handler(source)
        model = _model_in(handler.resolve_ref_schema(schema))
        metadata = model.setdefault("metadata", {})
        # Pydantic comes here again for each model that holds this one.
        if _HARDENED not in metadata:
            metadata[_HARDENED] = _TEXT if cls._reads_text else _JSON
            harden(model["schema"], _resolver(handler), text=cls._reads_text)
        return schema

    @classmethod
    def __pydantic_on_complete__(cls) -> None:
        super().__pydantic_on_complete__()
        _require_config(cls)
        _require_schemas(cls.__pydantic_core_schema__, cls)  # type: ignore[arg-type] # Node
        if not cls.__pydantic_generic_metadata__["parameters"]:
            # A generic model is checked when it is given its types.
            found = find_unbounded_in(cls.__pydantic_core_schema__)  # type: ignore[arg-type] # Node
            refuse_unbounded(found, cls.__qualname__)


class ParameterSchema(Schema):
    """A model of the parameters of a query or a form, which all arrive as text.

    It is a `Schema` that reads numbers and booleans from text: ``page=2`` is the number 2. Headers
    and cookies are declared one by one: a model that refuses others would refuse each request.
    """

    _reads_text: ClassVar[bool] = True
