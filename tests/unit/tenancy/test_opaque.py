"""What carries raw SQL is told from what doesn't."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.sql import quoted_name

from stockade.tenancy.opaque import (
    is_filterable,
    is_plain_field,
    is_plain_literal,
    is_plain_operator,
    is_querying_function,
    is_raw_name,
    is_understood_visit,
)


@pytest.mark.parametrize(
    "text", ["=", "->>", "@>", "~*", "LIKE", "IS DISTINCT FROM", "&&", "%", "GLOB"]
)
def test_plain_operators(text: str) -> None:
    """One operator, of signs or of words, is plain but for words that open a query."""
    assert is_plain_operator(text) == ("FROM" not in text)


@pytest.mark.parametrize(
    "text",
    [
        "= 1 OR 1 =",
        "OR",
        "or",
        "AND",
        "IN",
        "--",
        "/*",
        "= --",
        "UNION SELECT",
        "||'x'||",
        "=(",
        "",
        "NOT IN",
    ],
)
def test_operators_with_more_in_them(text: str) -> None:
    """Whatever could join conditions, open a query or start a comment is not plain."""
    assert not is_plain_operator(text)


@given(st.text(alphabet="=<>~!@#%^&|?+-*/ 'orORandAND();\"", max_size=12))
def test_plain_operators_hold_nothing_else(text: str) -> None:
    """A plain operator never holds a quote, a bracket, a comment or a joining word."""
    if is_plain_operator(text):
        assert not set(text) & set("'\"();")
        assert "--" not in text
        assert "/*" not in text
        assert not {"or", "and"} & set(text.lower().split())


@pytest.mark.parametrize("text", ["*", "1", "NULL", "'engineer'", "'%'"])
def test_plain_literals(text: str) -> None:
    """Constants are plain."""
    assert is_plain_literal(text)


@pytest.mark.parametrize(
    "text", ["name", "1 OR 1", "'a' || 'b'", "'''", "(SELECT 1)", "note.name", "**"]
)
def test_literals_with_more_in_them(text: str) -> None:
    """Names and expressions are not."""
    assert not is_plain_literal(text)


@pytest.mark.parametrize(
    "name", ["query_to_xml", "QUERY_TO_XML", "dblink_exec", "set_config", "lo_get"]
)
def test_querying_functions(name: str) -> None:
    """Functions that run SQL of their own, or change who asks, are known by name."""
    assert is_querying_function(name)
    assert not is_querying_function(f"my_{name}")


def test_fields_and_names() -> None:
    """EXTRACT takes a word; an unquoted name must be one too."""
    assert is_plain_field("year")
    assert not is_plain_field("year FROM x) --")
    assert is_raw_name(quoted_name("(SELECT 1)", quote=False))
    assert not is_raw_name(quoted_name("name", quote=False))
    assert not is_raw_name("(SELECT 1)")


@pytest.mark.parametrize(
    "name", ["textclause", "textual_select", "tstring", "tablesample", "from_the_future"]
)
def test_visits_not_understood(name: str) -> None:
    """Text, and whatever a later SQLAlchemy adds, is not understood."""
    assert not is_understood_visit(f"visit_{name}")
    assert is_understood_visit("visit_select")
    assert is_understood_visit("visit_like_op_binary")


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1",
        " (select 1)",
        "WITH x AS (SELECT 1) SELECT * FROM x;",
        "INSERT INTO note (name) VALUES ('x')",
        "update note set name = lower(name)",
        "SELECT current_setting('x'), edit FROM note",
    ],
)
def test_filterable_text(text: str) -> None:
    """What reads or writes rows, and nothing else, is left to row-level security."""
    assert is_filterable(text, whole=True)


@pytest.mark.parametrize(
    "text",
    [
        "SET ROLE x",
        "RESET ROLE",
        "SET LOCAL stockade.tenant_id = 'x'",
        "SELECT 1; RESET ROLE",
        "SELECT 1;;",
        "COPY note TO STDOUT",
        "DO $$ BEGIN END $$",
        "EXPLAIN ANALYZE SELECT 1",
        "ROLLBACK",
        "-- SELECT\nRESET ROLE",
        "SELECT set_config('role', 'none', true)",
        'SELECT "set_config"(1)',
        'SELECT pg_catalog . "set_config" (1)',
        "SELECT SET_CONFIG\n(1)",
        "SELECT set_config/**/(1)",
        "SELECT set_config--\n(1)",
        'SELECT U&"\\0073et_config"(1)',
        "UPDATE PG_SETTINGS SET setting = 'none'",
        "SELECT 'Stockade.Tenant_Id'",
        "SELECT dblink('x')",
        "",
    ],
)
def test_text_that_is_not_filtered_for_the_tenant(text: str) -> None:
    """What could change the tenant, the role or the transaction is refused."""
    assert not is_filterable(text, whole=True)


def test_parts_of_statements() -> None:
    """A part needs no verb, and is held to everything else."""
    assert is_filterable("1=1 OR 1=1", whole=False)
    assert not is_filterable("set_config('role', 'none', true) IS NULL", whole=False)
