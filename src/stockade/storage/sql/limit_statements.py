"""Hold the statements about limits in PostgreSQL."""

from __future__ import annotations

from typing import Final

from sqlalchemy import text

from stockade.rate_limiting.bans import MOST_BANS

# Types are named, since not every driver asks the function for them.
_NOW: Final = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
# The same moment throughout a statement that looks at it more than once.
_STATEMENT: Final = "(extract(epoch FROM statement_timestamp()) * 1000000)::bigint"
TAKE: Final = text(
    "SELECT stockade_take_limits(CAST(:sizes AS bigint[]), CAST(:names AS text[]),"
    " CAST(:places AS bigint[]), CAST(:intervals AS bigint[]), CAST(:amounts AS bigint[]),"
    " CAST(:costs AS bigint[]))"
)
TAKE_WINDOWS: Final = text(
    "SELECT stockade_take_windows(CAST(:sizes AS bigint[]), CAST(:names AS text[]),"
    " CAST(:places AS bigint[]), CAST(:hows AS bigint[]), CAST(:lengths AS bigint[]),"
    " CAST(:amounts AS bigint[]), CAST(:costs AS bigint[]))"
)
GIVE_BACK_UNITS: Final = text(
    "SELECT stockade_give_back_units(:key, CAST(:how AS bigint), CAST(:length AS bigint),"
    " CAST(:cost AS bigint), CAST(:at AS bigint))"
)
GIVE_BACK: Final = text(
    "UPDATE stockade_limits SET full_at = full_at - CAST(:amount AS bigint) WHERE key = :key"
)
HOLD: Final = text(
    "SELECT stockade_hold_place(:key, :token, CAST(:places AS bigint), CAST(:lifetime AS bigint))"
)
RENEW: Final = text(
    f"UPDATE stockade_limit_places SET ends_at = {_NOW} + CAST(:lifetime AS bigint)"  # noqa: S608  # no values in it
    f" WHERE key = :key AND token = :token AND ends_at > {_NOW}"
)
RELEASE: Final = text("DELETE FROM stockade_limit_places WHERE key = :key AND token = :token")
# One who is banned stays so for as long as he is; the times are forgotten as long after the end of
# a ban as the longest one lasts.
ADD_BAN: Final = text(
    f"""
INSERT INTO stockade_limit_bans AS ban (subject, times, ends_at)
VALUES (:subject, 1, {_STATEMENT} + least(CAST(:longest AS bigint), CAST(:first AS bigint)))
ON CONFLICT (subject) DO UPDATE SET
  times = CASE WHEN ban.ends_at > {_STATEMENT} THEN ban.times
    WHEN ban.ends_at + CAST(:longest AS bigint) <= {_STATEMENT} THEN 1 ELSE ban.times + 1 END,
  ends_at = CASE WHEN ban.ends_at > {_STATEMENT} THEN ban.ends_at
    ELSE {_STATEMENT} + least(CAST(:longest AS bigint)::numeric, CAST(:first AS bigint)
      * 2 ^ (CASE WHEN ban.ends_at + CAST(:longest AS bigint) <= {_STATEMENT} THEN 0
        ELSE least(ban.times, 40) END)::numeric)::bigint END
RETURNING ends_at - {_STATEMENT} AS left_over, times
"""  # noqa: S608  # no values in it
)
# The newest come first, so that of too many those that end first are left out.
LIST_BANS: Final = text(
    f"""
SELECT subject, ends_at - {_STATEMENT}, times FROM stockade_limit_bans
WHERE ends_at > {_STATEMENT} ORDER BY ends_at DESC LIMIT {MOST_BANS}
"""  # noqa: S608  # no values in it
)
# The window stands at the end of a bucket's name. What windows have used is no debt.
LIST_BUCKETS: Final = text(
    f"""
SELECT key, full_at - {_STATEMENT} AS debt FROM stockade_limits
WHERE full_at > {_STATEMENT} AND used = 0 AND last = 0
ORDER BY (full_at - {_STATEMENT}) / nullif(substring(key FROM '/([0-9]{{1,9}})$')::bigint, 0)
  DESC NULLS LAST, key DESC
LIMIT CAST(:most AS bigint)
"""  # noqa: S608  # no values in it
)
LIFT_BAN: Final = text("DELETE FROM stockade_limit_bans WHERE subject = :subject RETURNING subject")
# In the order in which requests hold them, so that neither waits for the other.
RESET: Final = (
    text(
        """
DELETE FROM stockade_limits WHERE key IN (
  SELECT key FROM stockade_limits WHERE starts_with(key, :prefix)
  ORDER BY key COLLATE "C" FOR UPDATE
)
"""
    ),
    text("DELETE FROM stockade_limit_places WHERE starts_with(key, :prefix)"),
)
PING: Final = text(
    "SELECT to_regprocedure('stockade_give_back_units(text, bigint, bigint, bigint, bigint)')"
    " IS NOT NULL AND to_regprocedure('stockade_add_refusals(text, text[], bigint[], bigint,"
    " bigint, text, bigint, bigint)') IS NOT NULL"
)

# So many rows are looked at together, and those that are over are dropped. Rows that somebody holds
# are in use and are passed over, so that nobody waits for the clearing. The units of moving windows
# go first and a few at a time, or one statement might have millions of them to drop; a bucket goes
# when it has none.
ROWS_A_SWEEP: Final = 1000
UNITS_A_SWEEP: Final = 5000
SWEEP: Final = text(
    f"""
WITH page AS (
  SELECT key, full_at FROM stockade_limits WHERE key > :after ORDER BY key LIMIT {ROWS_A_SWEEP}
), gone AS (
  DELETE FROM stockade_limits WHERE key IN (
    SELECT key FROM stockade_limits
    WHERE key IN (SELECT key FROM page WHERE full_at < {_NOW}) AND full_at < {_NOW}
      AND NOT EXISTS (
        SELECT FROM stockade_limit_units AS unit WHERE unit.key = stockade_limits.key
      )
    FOR UPDATE SKIP LOCKED
  )
)
SELECT max(key), count(*) FROM page
"""  # noqa: S608  # no values in it
)
SWEEP_UNITS: Final = text(
    f"""
DELETE FROM stockade_limit_units WHERE (key, at) IN (
  SELECT unit.key, unit.at FROM stockade_limit_units AS unit
  WHERE unit.key IN (
    SELECT key FROM (
      SELECT key, full_at FROM stockade_limits WHERE key > :after ORDER BY key LIMIT {ROWS_A_SWEEP}
    ) AS page WHERE full_at < {_NOW}
  )
  LIMIT {UNITS_A_SWEEP} FOR UPDATE SKIP LOCKED
)
"""  # noqa: S608  # no values in it
)
SWEEP_PLACES: Final = text(
    f"""
DELETE FROM stockade_limit_places WHERE (key, token) IN (
  SELECT key, token FROM stockade_limit_places WHERE ends_at < {_NOW}
  LIMIT {ROWS_A_SWEEP} FOR UPDATE SKIP LOCKED
)
"""  # noqa: S608  # no values in it
)
