"""Read Cedar policies and their schema, and refuse what is broken or has no effect."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from stockade.authorization.engines.cedar_names import sliced
from stockade.authorization.engines.cedar_schema import read_schema
from stockade.authorization.engines.cedar_state import CedarState
from stockade.authorization.engines.cedar_values import entity_uid
from stockade.authorization.engines.sources import in_one_line, read_source
from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from stockade.authorization.engines.cedar_state import CedarNames


def read_state(
    cedar: ModuleType, policies: Path | str, schema: Path | str, names: CedarNames
) -> CedarState:
    """Read and check policies and their schema.

    Raises:
        ConfigurationError: They are broken or contradict each other.
    """
    policy_text, policy_label = read_source(policies, "Cedar policies")
    schema_text, schema_label = read_source(schema, "the Cedar schema")
    try:
        is_json = schema_text.lstrip().startswith("{")
        read = cedar.Schema.from_json_str if is_json else cedar.Schema.from_str
        parsed_schema = read(schema_text)
        canonical = str(parsed_schema)
    except ValueError as error:
        raise _broken(schema_label, error) from None
    try:
        parsed = cedar.PolicySet.from_str(policy_text)
        told = json.loads(cedar.policies_to_json_str(policy_text))
        problems = cedar.validate_policies(policy_text, parsed_schema)
    except ValueError as error:
        raise _broken(policy_label, error) from None
    static = told["staticPolicies"]
    # A policy without an @id is called by its place.
    labels = {
        each: found.get("annotations", {}).get("id") or each for each, found in static.items()
    }
    if not problems.validation_passed:
        first = problems.errors[0] if problems.errors else None
        where = labels.get(getattr(first, "policy_id", None) or "", "the policies")
        raise _broken(policy_label, f"{where}: {first.error if first else 'invalid'}")
    if told.get("templates"):
        raise _broken(policy_label, "a template permits nothing by itself: write a policy")
    if not static:
        raise _broken(policy_label, "there are no policies")
    declared = read_schema(canonical)
    slices = {}
    for (namespace, action), found in declared.actions.items():
        for kind in {declared.find(each, namespace) for each in found.resources}:
            part = sliced(told, entity_uid(names("Action"), action), kind)
            if namespace == names.namespace and part is not None:
                slices[action, kind] = cedar.PolicySet.from_json_str(json.dumps(part))
    return CedarState(
        parsed, parsed_schema, declared, names, labels=labels, told=told, slices=slices
    )


def _broken(label: str, what: object) -> ConfigurationError:
    message = f"{label}: {in_one_line(what)}"
    return ConfigurationError(message)
