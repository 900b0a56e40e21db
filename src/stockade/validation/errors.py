"""Define what is wrong with a schema."""

from __future__ import annotations

from stockade.errors import ConfigurationError, InvalidInputError


class UnboundedInputError(ConfigurationError):
    """A schema takes values that have no upper bound."""

    code = "unbounded_input"


class LooseSchemaError(ConfigurationError):
    """A schema switches off what makes it strict, or a field type is put on the wrong type."""

    code = "loose_schema"


class StoredSchemaError(ConfigurationError):
    """What is declared of where a schema is stored can't be."""

    code = "stored_schema"


class FieldTypeError(ConfigurationError):
    """A field type is set up with options that can't hold."""

    code = "field_type"


class PrivateAddressError(InvalidInputError):
    """A URL of a caller's choosing does not lead to the public internet alone.

    The code is the same whether the host is unknown or inside of the network; the reason is not.
    """

    code = "private_address"
