"""Say which parts of a statement carry raw SQL, which nobody can rewrite.

Everything that is rendered passes a ``visit_*`` method of the compiler. Those named here are
understood; any other, also one that a later SQLAlchemy adds, is refused until somebody has looked.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from sqlalchemy.sql.elements import quoted_name

_UNDERSTOOD: Final = """
    aggregate_order_by aggregate_orderby_inline aggregateorderby array binary bindparam case cast
    clauselist collation column dmltargetcopy element_list empty_set_expr empty_set_op_expr
    expression_clauselist extract false frame_clause funcfilter function grouping
    ilike_case_insensitive_operand label label_reference lambda_element null order_by_list over
    release_savepoint rollback_to_savepoint savepoint scalar_function_column sequence slice
    textual_label_reference true tuple type_coerce typeclause unary unsupported_compilation
    withingroup

    alias compound_select cte delete insert join lateral on_conflict_do_nothing
    on_conflict_do_update postgresql_distinct_on scalar_values select select_statement_grouping
    subquery table table_valued_alias table_valued_column update values
"""
_UNDERSTOOD_VISITS: Final = frozenset(f"visit_{name}" for name in _UNDERSTOOD.split())
# Operators and SQLAlchemy's own functions: visit_like_op_binary, visit_now_func.
_UNDERSTOOD_SUFFIXES: Final = (
    "_binary",
    "_func",
    "_unary_operator",
    "_unary_modifier",
)

# What SQLAlchemy itself writes as literal_column(): "*" of count(*) and exists(), numbers, the
# discriminator of polymorphic_union() and the '%' of icontains().
_PLAIN_LITERAL: Final = re.compile(r"\*|NULL|[0-9]{1,9}|'[A-Za-z0-9_ %.-]{0,63}'")
_PLAIN_OPERATOR: Final = re.compile(r"[-+*/<>=~!@#%^&|?]{1,5}|[A-Za-z]{2,16}( [A-Za-z]{2,16}){0,3}")
# Words that would let an operator join conditions or open a query of its own.
_JOINING_WORDS: Final = frozenset(
    [
        "and",
        "case",
        "else",
        "end",
        "except",
        "exists",
        "from",
        "having",
        "in",
        "intersect",
        "into",
        "limit",
        "not",
        "or",
        "select",
        "then",
        "union",
        "values",
        "when",
        "where",
        "xor",
    ]
)
_COMMENT: Final = re.compile(r"--|/\*|\*/")
_PLAIN_FIELD: Final = re.compile(r"[A-Za-z_]{1,32}")
# Functions that run SQL they are given as text, read tables by name or files, or change who asks.
_QUERYING_FUNCTION: Final = re.compile(
    r"(query|table|schema|database|cursor)_to_xml(schema|_and_xmlschema)?|ts_stat|ts_rewrite"
    r"|dblink.*|crosstab.*|connectby|xpath_table|set_config|load_extension|readfile|writefile|edit"
    r"|eval|fts3_tokenizer|pg_read_.*|pg_ls_.*|pg_stat_file|pg_file_.*|lo_.*|loread|lowrite"
    r"|pg_logical_.*|pg_execute_.*|pg_get_viewdef|binary_upgrade_.*",
    re.IGNORECASE,
)
# What SQL text may begin with where row-level security filters it: nothing that changes who asks.
_READING_OR_WRITING: Final = re.compile(
    r"[\s(]*(select|with|insert|update|delete|merge|values|table)\b", re.IGNORECASE
)
# A name in front of a bracket, also a quoted one.
_CALLED: Final = re.compile(r"([A-Za-z_][\w$]*)\"?\s*\(")
# The tenant of the transaction, a view that sets what is written into it, and identifiers that are
# not what they look like.
_UNTOUCHABLE: Final = re.compile(r"stockade\.tenant_id|pg_settings|u&[\"']", re.IGNORECASE)


# A part that can bring rows of its own: every operation on sets needs one of these words.
_BRINGING_ROWS: Final = re.compile(r"\b(select|values|table)\b", re.IGNORECASE)


class TextRule(Enum):
    """Which SQL text may pass."""

    NONE = "none"
    FILTERABLE = "filterable"
    """What row-level security filters."""
    ANY = "any"

    def permits(self, text: str, *, whole: bool) -> bool:
        """Tell whether SQL text may pass.

        Args:
            text: A statement, or a part of one.
            whole: Whether it is a statement.
        """
        if self is TextRule.FILTERABLE:
            return is_filterable(text, whole=whole)
        return self is TextRule.ANY


def is_filterable(text: str, *, whole: bool) -> bool:
    """Tell whether row-level security filters SQL text for the very tenant that it was set to.

    It stops mistakes: text that changes the tenant, the role or the transaction. Whoever lets
    input into SQL text is not saved by it.

    Args:
        text: A statement, or a part of one.
        whole: Whether it is a statement.
    """
    return (
        (not whole or _READING_OR_WRITING.match(text) is not None)
        and ";" not in text.rstrip().removesuffix(";")
        and _UNTOUCHABLE.search(text) is None
        and _COMMENT.search(text) is None
        and not any(is_querying_function(name) for name in _CALLED.findall(text))
    )


def brings_rows(text: str) -> bool:
    """Tell whether a part of a statement may bring rows that no table of it was asked for."""
    return _BRINGING_ROWS.search(text) is not None


def is_understood_visit(name: str) -> bool:
    """Tell whether a method of the compiler renders nothing but what it was built from."""
    return name in _UNDERSTOOD_VISITS or name.endswith(_UNDERSTOOD_SUFFIXES)


def is_plain_literal(text: str) -> bool:
    """Tell whether the text of a `literal_column` is a mere constant."""
    return _PLAIN_LITERAL.fullmatch(text) is not None


def is_plain_operator(text: str) -> bool:
    """Tell whether the text of a custom operator is one operator and nothing else."""
    return (
        _PLAIN_OPERATOR.fullmatch(text) is not None
        and _COMMENT.search(text) is None
        and _JOINING_WORDS.isdisjoint(text.lower().split())
    )


def is_plain_field(text: str) -> bool:
    """Tell whether the field of EXTRACT is one word; it is rendered as it is."""
    return _PLAIN_FIELD.fullmatch(text) is not None


def is_querying_function(name: str) -> bool:
    """Tell whether a function may read rows that its arguments don't show."""
    return _QUERYING_FUNCTION.fullmatch(name) is not None


def is_raw_name(name: object) -> bool:
    """Tell whether a name is marked to be rendered without quotes, whatever is in it."""
    return isinstance(name, quoted_name) and name.quote is False and not name.isidentifier()
