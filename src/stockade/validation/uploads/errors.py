"""Define what is wrong with a rule for uploads, and with an uploaded file."""

from __future__ import annotations

from stockade.errors import ConfigurationError, InvalidRequestError
from stockade.validation.problems import describe_errors


class UploadRuleError(ConfigurationError):
    """A rule for uploads can't be in force as it is written."""

    code = "upload_rule"


class UploadRefusedError(InvalidRequestError):
    """A file breaks a rule. Neither its name nor anything that is in it is kept.

    Args:
        rule: Stable code of the rule, such as ``upload_type``.
        limit: What the rule allows, in bytes or files, where it is a number.
    """

    def __init__(self, rule: str, *, limit: int | None = None) -> None:
        self.limit = limit
        context = {} if limit is None else {"max_bytes": limit, "max_length": limit}
        error = {"type": rule, "loc": (), "ctx": context}
        [problem] = describe_errors([error])
        super().__init__(reason=f"validation.{rule}", rule=rule, message=problem.message)
