"""Keep buckets in PostgreSQL: one statement decides about all limits of a request.

A function in the database holds the buckets' rows while it decides, on the server's clock, so it is
as exact as the script in Redis. The tables are unlogged: a crash of the server empties them, as a
restart empties Redis.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Self

from sqlalchemy import Row, TextClause
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from stockade.core.limits import Strategy
from stockade.errors import ConfigurationError, StoreError
from stockade.rate_limiting.bans import Ban, BanTerms
from stockade.rate_limiting.gcra import MICROSECONDS, interval_of
from stockade.rate_limiting.models import LimitRequest, LimitState, Refund, UnitRefund
from stockade.rate_limiting.observation import Bucket
from stockade.rate_limiting.windows import CODES, length_of, names_windows
from stockade.storage.batching import Batcher, Outcome, read_states, read_window_states
from stockade.storage.loops import PerLoop
from stockade.storage.sql import limit_statements as statements
from stockade.storage.sql.engines import make_limit_engine
from stockade.storage.sql.refusals import SQLRefusalStore

# Two rows for each request are looked at and cleared away, which keeps up with requests that make a
# new one each.
_REQUESTS_A_SWEEP: Final = 500
# What a database says whose transactions are stricter by default than limits need.
_NOT_SERIALIZABLE: Final = "40001"

_Rows = Sequence[Row[*tuple[Any, ...]]]


@dataclass(slots=True)
class Here:
    """What a store has in one event loop.

    Args:
        engine: Its connections.
        batcher: Where requests wait.
        sweeping: What drops rows that are over, while it does.
    """

    engine: AsyncEngine
    batcher: Batcher
    sweeping: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Give up what is under way, and close all connections."""
        await self.batcher.close()
        if self.sweeping is not None:
            self.sweeping.cancel()
            await asyncio.gather(self.sweeping, return_exceptions=True)
        await self.engine.dispose()


class SQLLimitStore:
    """Buckets in PostgreSQL, shared by all processes.

    Each event loop that asks has connections of its own, so that a store may serve several, in
    several threads.

    Args:
        opener: Makes an engine that commits each statement by itself; it is closed with the store.
        timeout: Seconds for an answer.
        trips: Statements under way at most, in each event loop.
    """

    def __init__(
        self, opener: Callable[[], AsyncEngine], *, timeout: float = 0.05, trips: int = 4
    ) -> None:
        self._opener = opener
        self._timeout = timeout
        self._trips = trips
        self._loops = PerLoop(self._open)
        self._since_sweep = 0
        self._sweep_after = ""
        self._stricter = False  # Whether transactions of this database are, by default.
        self._refusals = SQLRefusalStore(self._fetch)

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
        opener = partial(make_limit_engine, url, connections=trips + 6)
        opener()
        return cls(opener, timeout=timeout, trips=trips)

    def _open(self) -> Here:
        return Here(self._opener(), Batcher(self._run, away=_away, trips=self._trips))

    @property
    def strategies(self) -> frozenset[Strategy]:
        """Strategies by which it can count: all."""
        return frozenset(Strategy)

    @property
    def leases_end(self) -> bool:
        """Whether a place that nobody renews becomes free: yes, since a process may die."""
        return True

    async def acquire(self, requests: Sequence[LimitRequest]) -> Sequence[LimitState]:
        """Take from all buckets, or from none where one of them has too little.

        Raises:
            StoreError: The server could not answer.
        """
        return await self._loops.get().batcher.acquire(requests)

    async def give_back(self, refunds: Sequence[Refund | UnitRefund]) -> None:
        """Give back what should not have been taken.

        Raises:
            StoreError: The server could not answer.
        """
        # One at a time: whoever held two rows might wait for somebody who waits for them.
        for refund in refunds:
            if isinstance(refund, UnitRefund):
                await self._execute(statements.GIVE_BACK_UNITS, _pack_units(refund))
            else:
                values = {"key": refund.key, "amount": refund.amount}
                await self._execute(statements.GIVE_BACK, values)

    async def hold(self, key: str, token: str, *, limit: int, seconds: float) -> bool:
        """Hold a place, unless all of them are held; False means that none was free.

        Raises:
            StoreError: The server could not answer.
        """
        values = {"key": key, "token": token, "places": limit, "lifetime": _microseconds(seconds)}
        return await self._execute(statements.HOLD, values) is True

    async def renew(self, leases: Sequence[tuple[str, str]], *, seconds: float) -> None:
        """Hold on to places, given as key and token; those that were lost stay so.

        Raises:
            StoreError: The server could not answer.
        """
        for key, token in leases:
            values = {"key": key, "token": token, "lifetime": _microseconds(seconds)}
            await self._execute(statements.RENEW, values)

    async def release(self, key: str, token: str) -> None:
        """Give a place back, if it is held.

        Raises:
            StoreError: The server could not answer.
        """
        await self._execute(statements.RELEASE, {"key": key, "token": token})

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
        ((left, times),) = await self._fetch(statements.ADD_BAN, values)
        return Ban(subject, left / MICROSECONDS, times)

    async def list_bans(self) -> list[Ban]:
        """Return the bans that have not ended.

        Raises:
            StoreError: The server could not answer.
        """
        found = await self._fetch(statements.LIST_BANS, {})
        return [Ban(subject, left / MICROSECONDS, times) for subject, left, times in found]

    async def lift_ban(self, subject: str) -> bool:
        """End a ban and forget the earlier ones; False where there was none.

        Raises:
            StoreError: The server could not answer.
        """
        return bool(await self._fetch(statements.LIFT_BAN, {"subject": subject}))

    async def list_buckets(self, *, most: int) -> list[Bucket]:
        """Return the buckets that are used up most, those first.

        Raises:
            StoreError: The server could not answer.
        """
        found = await self._fetch(statements.LIST_BUCKETS, {"most": most})
        return [Bucket(key, debt / MICROSECONDS) for key, debt in found]

    async def reset(self, prefix: str) -> None:
        """Forget the buckets whose key starts with this; the empty prefix forgets them all.

        Raises:
            StoreError: The server could not answer.
        """
        for statement in statements.RESET:
            await self._fetch(statement, {"prefix": prefix})

    async def ping(self) -> None:
        """Return if the server answers and has what decides about limits.

        Raises:
            StoreError: It does not answer.
            ConfigurationError: Stockade's tables are missing or of another version.
        """
        if not await self._execute(statements.PING, {}):
            raise ConfigurationError(
                "the database has no tables for limits: run `stockade db upgrade`"
            )

    async def close(self) -> None:
        """Give up what is under way and close all connections; a later request opens new ones."""
        here = asyncio.get_running_loop()
        for loop, thing in self._loops.forget().items():
            if loop is here:
                await thing.close()
            elif loop.is_running():
                asyncio.run_coroutine_threadsafe(thing.close(), loop)

    async def sweep(self) -> None:
        """Drop buckets and places that are over, among the next thousand in line.

        Raises:
            StoreError: The server could not answer.
        """
        after = {"after": self._sweep_after}
        await self._fetch(statements.SWEEP_UNITS, after)
        ((last, rows),) = await self._fetch(statements.SWEEP, after)
        # A page that is not full was the last one.
        self._sweep_after = last if rows == statements.ROWS_A_SWEEP else ""
        await self._fetch(statements.SWEEP_PLACES, {})

    async def _run(self, batch: Sequence[Sequence[LimitRequest]]) -> list[Outcome]:
        windows = names_windows(batch)
        if windows:
            reply = await self._execute(statements.TAKE_WINDOWS, _pack_windows(batch))
        else:
            reply = await self._execute(statements.TAKE, _pack(batch))
        self._since_sweep += len(batch)
        here = self._loops.get()
        if self._since_sweep >= _REQUESTS_A_SWEEP and here.sweeping is None:
            self._since_sweep = 0
            here.sweeping = asyncio.create_task(self._sweep_quietly(here))
        return (read_window_states if windows else read_states)(reply, batch)

    async def _sweep_quietly(self, here: Here) -> None:
        try:
            await self.sweep()
        except StoreError:
            # Whoever asks next hears that the server is away; the clearing waits for its turn.
            return
        finally:
            here.sweeping = None

    async def _execute(self, statement: TextClause, values: dict[str, Any]) -> object:
        """Return the one value of a statement that answers in time, or None."""
        try:
            async with asyncio.timeout(self._timeout):
                rows = await self._fetch(statement, values)
        except TimeoutError as error:
            raise _away(error) from error
        return rows[0][0] if rows else None

    async def _fetch(self, statement: TextClause, values: dict[str, Any]) -> _Rows:
        async with _errors():
            stricter = self._stricter
            try:
                return await self._ask(statement, values, stricter=stricter)
            except DBAPIError as error:
                if stricter or _sqlstate(error) != _NOT_SERIALIZABLE:
                    raise
            # Two requests have met in one bucket, which is no error where the second sees what the
            # first has left. A default that is stricter costs a transaction of our own each time.
            self._stricter = True
            return await self._ask(statement, values, stricter=True)

    async def _ask(self, statement: TextClause, values: dict[str, Any], *, stricter: bool) -> _Rows:
        async with self._loops.get().engine.connect() as connection:
            if stricter:
                await connection.execution_options(isolation_level="READ COMMITTED")
            result = await connection.execute(statement, values)
            rows = result.all() if result.returns_rows else []
            if stricter:
                await connection.commit()
            return rows


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


def _pack_windows(batch: Sequence[Sequence[LimitRequest]]) -> dict[str, Any]:
    """Write requests of which some count by windows as arguments of their function."""
    packed = _pack(batch)
    flat = [request.rule for requests in batch for request in requests]
    del packed["intervals"]
    packed["hows"] = [CODES[rule.strategy] for rule in flat]
    packed["lengths"] = [length_of(rule) for rule in flat]
    return packed


def _pack_units(refund: UnitRefund) -> dict[str, Any]:
    rule = refund.rule
    return {
        "key": refund.key,
        "how": CODES[rule.strategy],
        "length": length_of(rule),
        "cost": rule.cost,
        "at": refund.at,
    }


def _sqlstate(error: DBAPIError) -> str | None:
    found = getattr(error.orig, "sqlstate", None)
    return found if isinstance(found, str) else None


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
