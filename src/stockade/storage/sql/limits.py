"""Keep buckets in PostgreSQL: one statement decides about all limits of a request.

A function in the database holds the buckets' rows while it decides, on the server's clock, so it is
as exact as the script in Redis. The tables are unlogged: a crash of the server empties them, as a
restart empties Redis.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Self

from sqlalchemy import Row, TextClause, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from stockade.core.limits import Strategy
from stockade.errors import ConfigurationError, StoreError
from stockade.rate_limiting.bans import MOST_BANS, Ban, BanTerms
from stockade.rate_limiting.gcra import MICROSECONDS, interval_of
from stockade.rate_limiting.models import LimitRequest, LimitState, Refund
from stockade.rate_limiting.observation import Bucket
from stockade.storage.batching import Batcher, read_states
from stockade.storage.sql.engines import make_limit_engine
from stockade.storage.sql.refusals import SQLRefusalStore

# Types are named, since not every driver asks the function for them.
_NOW: Final = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
# The same moment throughout a statement that looks at it more than once.
_STATEMENT: Final = "(extract(epoch FROM statement_timestamp()) * 1000000)::bigint"
_TAKE: Final = text(
    "SELECT stockade_take_limits(CAST(:sizes AS bigint[]), CAST(:names AS text[]),"
    " CAST(:places AS bigint[]), CAST(:intervals AS bigint[]), CAST(:amounts AS bigint[]),"
    " CAST(:costs AS bigint[]))"
)
_GIVE_BACK: Final = text(
    "UPDATE stockade_limits SET full_at = full_at - CAST(:amount AS bigint) WHERE key = :key"
)
_HOLD: Final = text(
    "SELECT stockade_hold_place(:key, :token, CAST(:places AS bigint), CAST(:lifetime AS bigint))"
)
_RENEW: Final = text(
    f"UPDATE stockade_limit_places SET ends_at = {_NOW} + CAST(:lifetime AS bigint)"  # noqa: S608  # no values in it
    f" WHERE key = :key AND token = :token AND ends_at > {_NOW}"
)
_RELEASE: Final = text("DELETE FROM stockade_limit_places WHERE key = :key AND token = :token")
# One who is banned stays so for as long as he is; the times are forgotten as long after the end of
# a ban as the longest one lasts.
_ADD_BAN: Final = text(
    f"""
INSERT INTO stockade_limit_bans AS ban (subject, times, ends_at)
VALUES (:subject, 1, {_STATEMENT} + least(CAST(:longest AS bigint), CAST(:first AS bigint)))
ON CONFLICT (subject) DO UPDATE SET
  times = CASE WHEN ban.ends_at > {_STATEMENT} THEN ban.times
    WHEN ban.ends_at + CAST(:longest AS bigint) < {_STATEMENT} THEN 1 ELSE ban.times + 1 END,
  ends_at = CASE WHEN ban.ends_at > {_STATEMENT} THEN ban.ends_at
    ELSE {_STATEMENT} + least(CAST(:longest AS bigint)::numeric, CAST(:first AS bigint)
      * 2 ^ (CASE WHEN ban.ends_at + CAST(:longest AS bigint) < {_STATEMENT} THEN 0
        ELSE least(ban.times, 40) END)::numeric)::bigint END
RETURNING ends_at - {_STATEMENT} AS left_over, times
"""  # noqa: S608  # no values in it
)
# The newest come first, so that of too many those that end first are left out.
_LIST_BANS: Final = text(
    f"""
SELECT subject, ends_at - {_STATEMENT}, times FROM stockade_limit_bans
WHERE ends_at > {_STATEMENT} ORDER BY ends_at DESC LIMIT {MOST_BANS}
"""  # noqa: S608  # no values in it
)
# The window stands at the end of a bucket's name.
_LIST_BUCKETS: Final = text(
    f"""
SELECT key, full_at - {_STATEMENT} AS debt FROM stockade_limits WHERE full_at > {_STATEMENT}
ORDER BY (full_at - {_STATEMENT}) / nullif(substring(key FROM '/([0-9]{{1,9}})$')::bigint, 0)
  DESC NULLS LAST, key DESC
LIMIT CAST(:most AS bigint)
"""  # noqa: S608  # no values in it
)
_LIFT_BAN: Final = text("DELETE FROM stockade_limit_bans WHERE subject = :subject")
_RESET: Final = (
    text("DELETE FROM stockade_limits WHERE starts_with(key, :prefix)"),
    text("DELETE FROM stockade_limit_places WHERE starts_with(key, :prefix)"),
)
_PING: Final = text(
    "SELECT to_regprocedure('stockade_add_refusals(text, text[], bigint[], bigint, bigint,"
    " text, bigint, bigint)') IS NOT NULL"
)

# For each so many requests, so many rows are looked at and those that are over are dropped: two for
# each request, which keeps up with one that makes a new row each time. Rows that somebody holds are
# in use and are passed over, so that nobody waits for the clearing.
_REQUESTS_A_SWEEP: Final = 500
_ROWS_A_SWEEP: Final = 1000
_SWEEP: Final = text(
    f"""
WITH page AS (
  SELECT key, full_at FROM stockade_limits WHERE key > :after ORDER BY key LIMIT {_ROWS_A_SWEEP}
), gone AS (
  DELETE FROM stockade_limits WHERE key IN (
    SELECT key FROM stockade_limits
    WHERE key IN (SELECT key FROM page WHERE full_at < {_NOW}) AND full_at < {_NOW}
    FOR UPDATE SKIP LOCKED
  )
)
SELECT max(key), count(*) FROM page
"""  # noqa: S608  # no values in it
)
_SWEEP_PLACES: Final = text(
    f"""
DELETE FROM stockade_limit_places WHERE (key, token) IN (
  SELECT key, token FROM stockade_limit_places WHERE ends_at < {_NOW}
  LIMIT {_ROWS_A_SWEEP} FOR UPDATE SKIP LOCKED
)
"""  # noqa: S608  # no values in it
)


class SQLLimitStore:
    """Buckets in PostgreSQL, shared by all processes; they count by GCRA.

    Args:
        engine: Engine that commits each statement by itself; it is closed with the store.
        timeout: Seconds for an answer.
        trips: Statements under way at most.
    """

    def __init__(self, engine: AsyncEngine, *, timeout: float = 0.05, trips: int = 4) -> None:
        self._engine = engine
        self._timeout = timeout
        self._batcher = Batcher(self._run, away=_away, trips=trips)
        self._since_sweep = 0
        self._sweep_after = ""
        self._sweeping: asyncio.Task[None] | None = None
        self._refusals = SQLRefusalStore(self._ask)

    @classmethod
    def from_url(cls, url: str, *, timeout: float = 0.05, trips: int = 4) -> Self:
        """Build a store from the address of a PostgreSQL database.

        Args:
            url: Address of the database; may hold a password.
            timeout: Seconds for an answer.
            trips: Statements under way at most.

        Raises:
            ConfigurationError: The address can't be read, is not PostgreSQL's, or its driver is not
                installed.
        """
        # Trips are bounded here; the rest is room for places, clearing and checks of health.
        return cls(make_limit_engine(url, connections=trips + 6), timeout=timeout, trips=trips)

    @property
    def strategies(self) -> frozenset[Strategy]:
        """Strategies by which it can count: GCRA."""
        return frozenset({Strategy.GCRA})

    @property
    def leases_end(self) -> bool:
        """Whether a place that nobody renews becomes free: yes, since a process may die."""
        return True

    async def acquire(self, requests: Sequence[LimitRequest]) -> Sequence[LimitState]:
        """Take from all buckets, or from none where one of them has too little.

        Raises:
            StoreError: The server could not answer.
            ConfigurationError: A limit counts by something else than GCRA.
        """
        for request in requests:
            if request.rule.strategy is not Strategy.GCRA:
                raise ConfigurationError(
                    "limits in PostgreSQL count by gcra alone: use Redis for other strategies"
                )
        return await self._batcher.acquire(requests)

    async def give_back(self, refunds: Sequence[Refund]) -> None:
        """Take debts back that should not have been.

        Raises:
            StoreError: The server could not answer.
        """
        # One at a time: whoever held two rows might wait for somebody who waits for them.
        for refund in refunds:
            await self._execute(_GIVE_BACK, {"key": refund.key, "amount": refund.amount})

    async def hold(self, key: str, token: str, *, limit: int, seconds: float) -> bool:
        """Hold a place, unless all of them are held; False means that none was free.

        Raises:
            StoreError: The server could not answer.
        """
        values = {"key": key, "token": token, "places": limit, "lifetime": _microseconds(seconds)}
        return await self._execute(_HOLD, values) is True

    async def renew(self, leases: Sequence[tuple[str, str]], *, seconds: float) -> None:
        """Hold on to places, given as key and token; those that were lost stay so.

        Raises:
            StoreError: The server could not answer.
        """
        for key, token in leases:
            values = {"key": key, "token": token, "lifetime": _microseconds(seconds)}
            await self._execute(_RENEW, values)

    async def release(self, key: str, token: str) -> None:
        """Give a place back, if it is held.

        Raises:
            StoreError: The server could not answer.
        """
        await self._execute(_RELEASE, {"key": key, "token": token})

    @property
    def refusals(self) -> SQLRefusalStore:
        """Where it is kept who was refused: beside the buckets."""
        return self._refusals

    async def add_ban(self, subject: str, terms: BanTerms) -> Ban:
        """Ban somebody, longer than the last time; one who is banned stays so for as long as he is.

        Raises:
            StoreError: The server could not answer.
        """
        values = {
            "subject": subject,
            "first": _microseconds(terms.first),
            "longest": _microseconds(terms.longest),
        }
        async with _errors(), self._engine.connect() as connection:
            left, times = (await connection.execute(_ADD_BAN, values)).one()
        return Ban(subject, left / MICROSECONDS, times)

    async def list_bans(self) -> list[Ban]:
        """Return the bans that have not ended.

        Raises:
            StoreError: The server could not answer.
        """
        async with _errors(), self._engine.connect() as connection:
            found = await connection.execute(_LIST_BANS)
            return [Ban(subject, left / MICROSECONDS, times) for subject, left, times in found]

    async def lift_ban(self, subject: str) -> bool:
        """End a ban and forget the earlier ones; False where there was none.

        Raises:
            StoreError: The server could not answer.
        """
        async with _errors(), self._engine.connect() as connection:
            return (await connection.execute(_LIFT_BAN, {"subject": subject})).rowcount == 1

    async def list_buckets(self, *, most: int) -> list[Bucket]:
        """Return the buckets that are used up most, those first.

        Raises:
            StoreError: The server could not answer.
        """
        async with _errors(), self._engine.connect() as connection:
            found = await connection.execute(_LIST_BUCKETS, {"most": most})
            return [Bucket(key, debt / MICROSECONDS) for key, debt in found]

    async def reset(self, prefix: str) -> None:
        """Forget the buckets whose key starts with this; the empty prefix forgets them all.

        Raises:
            StoreError: The server could not answer.
        """
        for statement in _RESET:
            async with _errors(), self._engine.connect() as connection:
                await connection.execute(statement, {"prefix": prefix})

    async def ping(self) -> None:
        """Return if the server answers and has what decides about limits.

        Raises:
            StoreError: It does not answer.
            ConfigurationError: Stockade's tables are missing or of another version.
        """
        if not await self._execute(_PING, {}):
            raise ConfigurationError(
                "the database has no tables for limits: run `stockade db upgrade`"
            )

    async def close(self) -> None:
        """Give up what is under way and close all connections; a later request opens new ones."""
        await self._batcher.close()
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.gather(self._sweeping, return_exceptions=True)
        await self._engine.dispose()
        self._batcher.reopen()

    async def sweep(self) -> None:
        """Drop buckets and places that are over, among the next thousand in line.

        Raises:
            StoreError: The server could not answer.
        """
        async with _errors(), self._engine.connect() as connection:
            found = await connection.execute(_SWEEP, {"after": self._sweep_after})
            last, rows = found.one()
            # A page that is not full was the last one.
            self._sweep_after = last if rows == _ROWS_A_SWEEP else ""
            await connection.execute(_SWEEP_PLACES)

    async def _run(self, batch: Sequence[Sequence[LimitRequest]]) -> list[list[LimitState]]:
        reply = await self._execute(_TAKE, _pack(batch))
        self._since_sweep += len(batch)
        if self._since_sweep >= _REQUESTS_A_SWEEP and self._sweeping is None:
            self._since_sweep = 0
            self._sweeping = asyncio.create_task(self._sweep_quietly())
        return read_states(reply, batch)

    async def _sweep_quietly(self) -> None:
        try:
            await self.sweep()
        except StoreError:
            # Whoever asks next hears that the server is away; the clearing waits for its turn.
            return
        finally:
            self._sweeping = None

    async def _ask(self, statement: TextClause, values: dict[str, Any]) -> Sequence[Row[Any]]:
        async with _errors(), self._engine.connect() as connection:
            return (await connection.execute(statement, values)).all()

    async def _execute(self, statement: TextClause, values: dict[str, Any]) -> object:
        async with (
            _errors(),
            asyncio.timeout(self._timeout),
            self._engine.connect() as connection,
        ):
            result = await connection.execute(statement, values)
            return result.scalar() if result.returns_rows else None


def _pack(batch: Sequence[Sequence[LimitRequest]]) -> dict[str, Any]:
    """Write requests as arguments of the function: each bucket once, in an order that is fixed."""
    flat = [request for requests in batch for request in requests]
    names = sorted({request.key for request in flat})
    place = {name: number for number, name in enumerate(names, start=1)}
    return {
        "sizes": [len(requests) for requests in batch],
        "names": names,
        "places": [place[request.key] for request in flat],
        "intervals": [interval_of(request.rule) for request in flat],
        "amounts": [request.rule.amount for request in flat],
        "costs": [request.rule.cost for request in flat],
    }


def _microseconds(seconds: float) -> int:
    return int(seconds * MICROSECONDS)


@asynccontextmanager
async def _errors() -> AsyncIterator[None]:
    try:
        yield
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        raise _away(error) from error


def _away(cause: BaseException | None) -> StoreError:
    error = StoreError("the PostgreSQL store of the limits did not answer")
    error.__cause__ = cause
    return error
