"""Create the buckets of the limits, and the functions that decide about them in PostgreSQL."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# The rows of a batch are locked one after the other in the order of their names, which every caller
# gives sorted, so that no two wait for each other. `DO UPDATE ... WHERE false` locks a row and
# writes nothing. The time is read once all of them are held. A debt is never more than a full
# bucket, or a server whose clock went back would refuse for longer than a window. Nobody waits for
# ever, should somebody else hold a row.
_TAKE = """
CREATE FUNCTION stockade_take_limits(
  sizes bigint[], names text[], places bigint[],
  intervals bigint[], amounts bigint[], costs bigint[]
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  now_at bigint;
  ends bigint[];
  before bigint[];
  standing bigint[] := array_fill(0::bigint, ARRAY[cardinality(places)]);
  passes boolean[] := array_fill(false, ARRAY[cardinality(places)]);
  reply text[] := array_fill(''::text, ARRAY[cardinality(places)]);
  passed boolean;
  place bigint;
  capacity bigint;
  debt bigint;
  later bigint;
  first bigint;
  last bigint := 0;
BEGIN
  PERFORM set_config('lock_timeout', '1000', true);
  INSERT INTO stockade_limits AS bucket (key, full_at)
    SELECT name, 0 FROM unnest(names) WITH ORDINALITY AS given (name, at) ORDER BY at
    ON CONFLICT (key) DO UPDATE SET full_at = bucket.full_at WHERE false;
  SELECT array_agg(bucket.full_at ORDER BY given.at) INTO ends
    FROM unnest(names) WITH ORDINALITY AS given (name, at)
    JOIN stockade_limits AS bucket ON bucket.key = given.name;
  IF cardinality(ends) IS DISTINCT FROM cardinality(names) THEN
    RAISE EXCEPTION 'a bucket is missing';
  END IF;
  now_at := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;
  FOR request IN 1 .. cardinality(sizes) LOOP
    first := last + 1;
    last := last + sizes[request];
    before := ends;
    passed := true;
    FOR i IN first .. last LOOP
      place := places[i];
      capacity := intervals[i] * amounts[i];
      debt := greatest(0, least(ends[place] - now_at, capacity));
      standing[i] := debt;
      later := debt + intervals[i] * costs[i];
      passes[i] := later <= capacity;
      IF passes[i] THEN
        ends[place] := now_at + later;
        reply[i] := format('1 %s 0 %s', (capacity - later) / intervals[i], later);
      ELSE
        passed := false;
        reply[i] := format(
          '0 %s %s %s', (capacity - debt) / intervals[i], later - capacity, debt
        );
      END IF;
    END LOOP;
    IF NOT passed THEN
      ends := before;
      FOR i IN first .. last LOOP
        IF passes[i] THEN
          capacity := intervals[i] * amounts[i];
          reply[i] := format('1 %s 0 %s', (capacity - standing[i]) / intervals[i], standing[i]);
        END IF;
      END LOOP;
    END IF;
  END LOOP;
  UPDATE stockade_limits AS bucket SET full_at = given.ends_at
    FROM unnest(names, ends) AS given (name, ends_at)
    WHERE bucket.key = given.name AND bucket.full_at <> given.ends_at;
  RETURN array_to_string(reply, ' ');
END
$$
"""

# One lock for each key and none beside it, so that nobody waits for each other.
_HOLD = """
CREATE FUNCTION stockade_hold_place(
  name text, holder text, places bigint, lifetime bigint
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  now_at bigint;
BEGIN
  PERFORM set_config('lock_timeout', '1000', true);
  PERFORM pg_advisory_xact_lock(hashtextextended(name, 0));
  now_at := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;
  DELETE FROM stockade_limit_places WHERE key = name AND ends_at <= now_at;
  IF (SELECT count(*) FROM stockade_limit_places WHERE key = name) >= places THEN
    RETURN false;
  END IF;
  INSERT INTO stockade_limit_places (key, token, ends_at)
    VALUES (name, holder, now_at + lifetime);
  RETURN true;
END
$$
"""


def upgrade() -> None:
    """Create the tables; those of buckets are unlogged, since no bucket is worth that write."""
    op.create_table(
        "stockade_limits",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("full_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_stockade_limits"),
    )
    op.create_table(
        "stockade_limit_places",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("token", sa.String(64), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", "token", name="pk_stockade_limit_places"),
    )
    op.create_table(
        "stockade_limit_bans",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subject", name="pk_stockade_limit_bans"),
    )
    if op.get_bind().dialect.name == "postgresql":
        for table in ("stockade_limits", "stockade_limit_places"):
            op.execute(f"ALTER TABLE {table} SET UNLOGGED")
            # Room beside each row, so that a new version of it needs no entry in the index; and
            # old versions are cleared away long before a fifth of the table is made of them.
            op.execute(
                f"ALTER TABLE {table} SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05)"
            )
        op.execute(_TAKE)
        op.execute(_HOLD)


def downgrade() -> None:
    """Drop the tables and the functions."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION stockade_hold_place")
        op.execute("DROP FUNCTION stockade_take_limits")
    op.drop_table("stockade_limit_bans")
    op.drop_table("stockade_limit_places")
    op.drop_table("stockade_limits")
