"""Count by windows in PostgreSQL: fixed, sliding and moving ones, beside GCRA."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# As it was, but for one thing: a debt that is more than a full bucket, since the server's clock
# went back, is written down as a full one even where nothing is taken. Otherwise every request that
# is refused would find it again, until the clock has caught up.
_TAKE_GCRA = """
CREATE OR REPLACE FUNCTION stockade_take_limits(
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
  FOR i IN 1 .. cardinality(places) LOOP
    ends[places[i]] := least(ends[places[i]], now_at + intervals[i] * amounts[i]);
  END LOOP;
  FOR request IN 1 .. cardinality(sizes) LOOP
    first := last + 1;
    last := last + sizes[request];
    before := ends;
    passed := true;
    FOR i IN first .. last LOOP
      place := places[i];
      capacity := intervals[i] * amounts[i];
      debt := greatest(0, ends[place] - now_at);
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

# As `stockade_take_limits`, whose rows these are and whose order of locks this is, so that the two
# never wait for each other. Strategies: 0 GCRA, 1 fixed window, 2 sliding window counter, 3 moving
# window. `full_at` is the moment at which a bucket is as good as new: the end of a fixed window,
# that of the next one for a sliding window, a window after the last unit of a moving one. A moving
# window keeps one row for all units of one moment. What is over goes first, whatever the answer, so
# that each request looks only at what it takes. What lies ahead, since the server's clock went
# back, becomes what was taken now.
_TAKE_WINDOWS = """
CREATE FUNCTION stockade_take_windows(
  sizes bigint[], names text[], places bigint[], hows bigint[],
  lengths bigint[], amounts bigint[], costs bigint[]
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  now_at bigint;
  ends bigint[];
  useds bigint[];
  lasts bigint[];
  added bigint[] := array_fill(0::bigint, ARRAY[cardinality(names)]);
  cleared boolean[] := array_fill(false, ARRAY[cardinality(names)]);
  old_ends bigint[];
  old_useds bigint[];
  old_lasts bigint[];
  old_added bigint[];
  passes boolean[] := array_fill(false, ARRAY[cardinality(places)]);
  stands text[] := array_fill(''::text, ARRAY[cardinality(places)]);
  reply text[] := array_fill(''::text, ARRAY[cardinality(places)]);
  passed boolean;
  place bigint;
  length bigint;
  amount bigint;
  cost bigint;
  used bigint;
  later bigint;
  age bigint;
  elapsed bigint;
  weighed bigint;
  wait bigint;
  reset bigint;
  room bigint;
  first bigint;
  last bigint := 0;
BEGIN
  PERFORM set_config('lock_timeout', '1000', true);
  INSERT INTO stockade_limits AS bucket (key, full_at)
    SELECT name, 0 FROM unnest(names) WITH ORDINALITY AS given (name, at) ORDER BY at
    ON CONFLICT (key) DO UPDATE SET full_at = bucket.full_at WHERE false;
  SELECT array_agg(bucket.full_at ORDER BY given.at), array_agg(bucket.used ORDER BY given.at),
      array_agg(bucket.last ORDER BY given.at)
    INTO ends, useds, lasts
    FROM unnest(names) WITH ORDINALITY AS given (name, at)
    JOIN stockade_limits AS bucket ON bucket.key = given.name;
  IF cardinality(ends) IS DISTINCT FROM cardinality(names) THEN
    RAISE EXCEPTION 'a bucket is missing';
  END IF;
  now_at := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;

  FOR i IN 1 .. cardinality(places) LOOP
    place := places[i];
    CONTINUE WHEN cleared[place] OR ends[place] = 0;
    cleared[place] := true;
    length := lengths[i];
    CASE hows[i]
    WHEN 0 THEN
      ends[place] := least(ends[place], now_at + length * amounts[i]);
    WHEN 1 THEN
      ends[place] := least(ends[place], now_at + length);
    WHEN 2 THEN
      IF ends[place] / length - 2 > now_at / length THEN
        useds[place] := least(amounts[i], lasts[place] + useds[place]);
        lasts[place] := 0;
        ends[place] := (now_at / length + 2) * length;
      END IF;
    ELSE
      WITH gone AS (
        DELETE FROM stockade_limit_units WHERE key = names[place] AND at <= now_at - length
        RETURNING units
      ) SELECT coalesce(sum(units), 0) INTO used FROM gone;
      useds[place] := CASE WHEN ends[place] <= now_at THEN 0 ELSE useds[place] - used END;
      IF ends[place] > now_at + length THEN
        WITH ahead AS (
          DELETE FROM stockade_limit_units WHERE key = names[place] AND at > now_at RETURNING units
        )
        INSERT INTO stockade_limit_units AS bucket (key, at, units)
          SELECT names[place], now_at, sum(units) FROM ahead HAVING count(*) > 0
          ON CONFLICT (key, at) DO UPDATE SET units = bucket.units + excluded.units;
        ends[place] := now_at + length;
      END IF;
    END CASE;
  END LOOP;

  FOR request IN 1 .. cardinality(sizes) LOOP
    first := last + 1;
    last := last + sizes[request];
    old_ends := ends;
    old_useds := useds;
    old_lasts := lasts;
    old_added := added;
    passed := true;
    FOR i IN first .. last LOOP
      place := places[i];
      length := lengths[i];
      amount := amounts[i];
      cost := costs[i];
      wait := 0;
      CASE hows[i]
      WHEN 0 THEN
        used := greatest(0, ends[place] - now_at);
        later := used + length * cost;
        passes[i] := later <= length * amount;
        stands[i] := format('1 %s 0 %s', (length * amount - used) / length, used);
        IF passes[i] THEN
          ends[place] := now_at + later;
          reply[i] := format('1 %s 0 %s', (length * amount - later) / length, later);
        ELSE
          reply[i] := format(
            '0 %s %s %s', (length * amount - used) / length, later - length * amount, used
          );
        END IF;
      WHEN 1 THEN
        IF ends[place] <= now_at THEN
          ends[place] := now_at + length;
          useds[place] := 0;
        END IF;
        used := useds[place];
        later := used + cost;
        wait := ends[place] - now_at;
        passes[i] := later <= amount;
        stands[i] := format('1 %s 0 %s', amount - used, CASE WHEN used > 0 THEN wait ELSE 0 END);
        IF passes[i] THEN
          useds[place] := later;
          IF later = 0 THEN
            -- A window without units has not begun.
            ends[place] := 0;
            wait := 0;
          END IF;
          reply[i] := format('1 %s 0 %s', amount - later, wait);
        ELSE
          reply[i] := format(
            '0 %s %s %s', amount - used, wait, CASE WHEN used > 0 THEN wait ELSE 0 END
          );
        END IF;
      WHEN 2 THEN
        elapsed := now_at % length;
        age := now_at / length - (ends[place] / length - 2);
        IF age = 1 THEN
          lasts[place] := useds[place];
          useds[place] := 0;
        ELSIF age > 1 THEN
          lasts[place] := 0;
          useds[place] := 0;
        END IF;
        ends[place] := (now_at / length + 2) * length;
        used := useds[place];
        later := used + cost;
        weighed := lasts[place] * (length - elapsed);
        reset := CASE WHEN used > 0 THEN 2 * length - elapsed
          WHEN lasts[place] > 0 THEN length - elapsed ELSE 0 END;
        room := (weighed + length - 1) / length;
        passes[i] := weighed <= (amount - later) * length;
        stands[i] := format('1 %s 0 %s', greatest(0, amount - used - room), reset);
        IF passes[i] THEN
          useds[place] := later;
          IF later > 0 THEN
            reset := 2 * length - elapsed;
          END IF;
          reply[i] := format('1 %s 0 %s', amount - later - room, reset);
        ELSE
          IF amount >= later THEN
            wait := length - (amount - later) * length / lasts[place] - elapsed;
          ELSE
            IF used > 0 THEN
              wait := greatest(0, length - greatest(0, amount - cost) * length / used);
            END IF;
            wait := length - elapsed + wait;
          END IF;
          reply[i] := format('0 %s %s %s', greatest(0, amount - used - room), wait, reset);
        END IF;
      ELSE
        used := useds[place] + added[place];
        later := used + cost;
        reset := CASE WHEN used > 0 THEN ends[place] - now_at ELSE 0 END;
        passes[i] := later <= amount;
        stands[i] := format('1 %s 0 %s', amount - used, reset);
        IF passes[i] THEN
          IF cost > 0 THEN
            added[place] := added[place] + cost;
            ends[place] := now_at + length;
            reset := length;
          END IF;
          reply[i] := format('1 %s 0 %s', amount - later, reset);
        ELSE
          -- The oldest have to leave, as many as are too much; a request that costs more than there
          -- ever is waits for all of them.
          room := least(later - amount, used);
          wait := length;
          IF room > 0 AND room <= useds[place] THEN
            SELECT past.at + length - now_at INTO wait FROM (
              SELECT unit.at, sum(unit.units) OVER (ORDER BY unit.at) AS upto
              FROM stockade_limit_units AS unit WHERE unit.key = names[place]
              ORDER BY unit.at LIMIT room
            ) AS past WHERE past.upto >= room ORDER BY past.at LIMIT 1;
          END IF;
          reply[i] := format('0 %s %s %s', amount - used, wait, reset);
        END IF;
      END CASE;
      passed := passed AND passes[i];
    END LOOP;
    IF NOT passed THEN
      ends := old_ends;
      useds := old_useds;
      lasts := old_lasts;
      added := old_added;
      FOR i IN first .. last LOOP
        IF passes[i] THEN
          reply[i] := stands[i];
        END IF;
      END LOOP;
    END IF;
  END LOOP;

  FOR i IN 1 .. cardinality(names) LOOP
    IF added[i] > 0 THEN
      useds[i] := useds[i] + added[i];
      INSERT INTO stockade_limit_units AS bucket (key, at, units)
        VALUES (names[i], now_at, added[i])
        ON CONFLICT (key, at) DO UPDATE SET units = bucket.units + excluded.units;
    END IF;
  END LOOP;
  UPDATE stockade_limits AS bucket
    SET full_at = given.full_at, used = given.used, last = given.last
    FROM unnest(names, ends, useds, lasts) AS given (name, full_at, used, last)
    WHERE bucket.key = given.name
      AND (bucket.full_at, bucket.used, bucket.last)
        IS DISTINCT FROM (given.full_at, given.used, given.last);
  RETURN array_to_string(reply, ' ') || ' ' || now_at;
END
$$
"""

# A window that has ended gets nothing back, and one without units has not begun.
_GIVE_BACK = """
CREATE FUNCTION stockade_give_back_units(
  name text, how bigint, length bigint, cost bigint, taken_at bigint
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  bucket stockade_limits;
  age bigint;
  gone bigint;
BEGIN
  PERFORM set_config('lock_timeout', '1000', true);
  SELECT * INTO bucket FROM stockade_limits WHERE key = name FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  CASE how
  WHEN 1 THEN
    IF taken_at >= bucket.full_at OR taken_at < bucket.full_at - length THEN
      RETURN;
    END IF;
    bucket.used := greatest(0, bucket.used - cost);
    IF bucket.used = 0 THEN
      bucket.full_at := 0;
    END IF;
  WHEN 2 THEN
    age := bucket.full_at / length - 2 - taken_at / length;
    IF age = 0 THEN
      bucket.used := greatest(0, bucket.used - cost);
    ELSIF age = 1 THEN
      bucket.last := greatest(0, bucket.last - cost);
    ELSE
      RETURN;
    END IF;
  ELSE
    SELECT least(cost, unit.units) INTO gone FROM stockade_limit_units AS unit
      WHERE unit.key = name AND unit.at = taken_at;
    IF gone IS NULL THEN
      RETURN;
    END IF;
    DELETE FROM stockade_limit_units AS unit
      WHERE unit.key = name AND unit.at = taken_at AND unit.units = gone;
    UPDATE stockade_limit_units AS unit SET units = unit.units - gone
      WHERE unit.key = name AND unit.at = taken_at;
    bucket.used := bucket.used - gone;
    bucket.full_at := coalesce(
      (SELECT max(unit.at) + length FROM stockade_limit_units AS unit WHERE unit.key = name), 0
    );
  END CASE;
  UPDATE stockade_limits
    SET full_at = bucket.full_at, used = bucket.used, last = bucket.last WHERE key = name;
END
$$
"""


def upgrade() -> None:
    """Add what windows remember; units go with their bucket, and are no more logged than it is."""
    for name in ("used", "last"):
        op.add_column(
            "stockade_limits",
            sa.Column(name, sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        )
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    op.create_table(
        "stockade_limit_units",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("units", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", "at", name="pk_stockade_limit_units"),
        sa.ForeignKeyConstraint(
            ["key"],
            ["stockade_limits.key"],
            name="fk_stockade_limit_units_key",
            ondelete="CASCADE",
        ),
        # A table that is logged must not refer to one that is not.
        prefixes=["UNLOGGED"] if is_postgresql else [],
    )
    if is_postgresql:
        op.execute("ALTER TABLE stockade_limit_units SET (autovacuum_vacuum_scale_factor = 0.05)")
        op.execute(_TAKE_GCRA)
        op.execute(_TAKE_WINDOWS)
        op.execute(_GIVE_BACK)


def downgrade() -> None:
    """Drop the functions of windows, the table and the columns; that of GCRA serves as it is."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION stockade_give_back_units")
        op.execute("DROP FUNCTION stockade_take_windows")
    op.drop_table("stockade_limit_units")
    with op.batch_alter_table("stockade_limits") as table:
        table.drop_column("last")
        table.drop_column("used")
