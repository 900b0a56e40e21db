"""Create where it is kept who was refused by limits, and the function that adds to it."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

# One at a time, so that no two wait for each other's rows; nobody waits for ever, and no request
# waits at all. A newcomer starts above what clearings have taken, as `FrequentKeys` says.
_ADD = """
CREATE FUNCTION stockade_add_refusals(
  kind text, names text[], counts bigint[], requests bigint, kept bigint,
  within text, length bigint, slices bigint
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  number bigint;
  base bigint;
  cut bigint;
BEGIN
  PERFORM set_config('lock_timeout', '1000', true);
  PERFORM pg_advisory_xact_lock(hashtextextended('stockade_limit_refusals', 0));
  number := floor(extract(epoch FROM clock_timestamp()) / length)::bigint;
  INSERT INTO stockade_limit_refusals AS refusal (span, slice, outcome, key, weight, times)
    VALUES (within, number, kind, '', 0, requests)
    ON CONFLICT (span, slice, outcome, key) DO UPDATE SET times = refusal.times + excluded.times
    RETURNING weight INTO base;
  INSERT INTO stockade_limit_refusals AS refusal (span, slice, outcome, key, weight, times)
    SELECT within, number, kind, name, base + count, count
    FROM unnest(names, counts) AS given (name, count)
    ON CONFLICT (span, slice, outcome, key) DO UPDATE
    SET weight = refusal.weight + excluded.times, times = refusal.times + excluded.times;
  SELECT weight INTO cut FROM stockade_limit_refusals
    WHERE span = within AND slice = number AND outcome = kind AND key <> ''
    ORDER BY weight DESC OFFSET 2 * kept LIMIT 1;
  IF FOUND THEN
    SELECT weight INTO cut FROM stockade_limit_refusals
      WHERE span = within AND slice = number AND outcome = kind AND key <> ''
      ORDER BY weight DESC OFFSET kept LIMIT 1;
    DELETE FROM stockade_limit_refusals
      WHERE span = within AND slice = number AND outcome = kind AND key <> '' AND weight <= cut;
    UPDATE stockade_limit_refusals SET weight = cut
      WHERE span = within AND slice = number AND outcome = kind AND key = '';
  END IF;
  DELETE FROM stockade_limit_refusals WHERE span = within AND slice < number - slices;
END
$$
"""


def upgrade() -> None:
    """Create the table, unlogged: it is worth no write of its own."""
    op.create_table(
        "stockade_limit_refusals",
        sa.Column("span", sa.String(16), nullable=False),
        sa.Column("slice", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("weight", sa.BigInteger(), nullable=False),
        sa.Column("times", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "span", "slice", "outcome", "key", name="pk_stockade_limit_refusals"
        ),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE stockade_limit_refusals SET UNLOGGED")
        op.execute(_ADD)


def downgrade() -> None:
    """Drop the table and the function."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION stockade_add_refusals")
    op.drop_table("stockade_limit_refusals")
