"""Define what is wrong with a schema."""

from __future__ import annotations

from stockade.errors import ConfigurationError


class UnboundedInputError(ConfigurationError):
    """A schema takes values that have no upper bound."""

    code = "unbounded_input"


class LooseSchemaError(ConfigurationError):
    """A schema switches off what makes it strict, or a field type is put on the wrong type."""

    code = "loose_schema"


class StoredSchemaError(ConfigurationError):
    """What is declared of where a schema is stored can't be."""

    code = "stored_schema"
