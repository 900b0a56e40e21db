"""Define what the authorization layer raises."""

from __future__ import annotations

from stockade.errors import ConfigurationError


class ObjectPolicyError(ConfigurationError):
    """A model has no rule for what is asked, or its rule answers neither True nor False."""

    code = "object_policy"
