"""Keep buckets in Redis or Valkey: one script decides, one round trip asks for all that waits."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, Self

from stockade.core.limits import Strategy
from stockade.errors import ConfigurationError
from stockade.rate_limiting.bans import Ban, BanTerms
from stockade.rate_limiting.models import LimitRequest, LimitState, Refund, UnitRefund
from stockade.rate_limiting.observation import Bucket, fullest
from stockade.rate_limiting.windows import names_windows
from stockade.storage.batching import Batcher, Outcome, read_window_states
from stockade.storage.loops import PerLoop
from stockade.storage.redis.addresses import Opened, make_connection, open_client
from stockade.storage.redis.bans import ADD_BAN, ENDS, LIFT_BAN, LIST_BANS, TIMES
from stockade.storage.redis.errors import away, store_errors
from stockade.storage.redis.leases import GIVE_BACK, HOLD, RENEW
from stockade.storage.redis.pipeline import Pipeline, encode_command
from stockade.storage.redis.refusals import RedisRefusalStore
from stockade.storage.redis.scripts import TAKE, TAKE_SHA, pack, read_debts
from stockade.storage.redis.windows import (
    GIVE_BACK_UNITS,
    TAKE_WINDOWS,
    TAKE_WINDOWS_SHA,
    pack_windows,
    refund_arguments,
)

try:
    from redis.asyncio import Redis
    from redis.asyncio.cluster import RedisCluster
    from redis.asyncio.connection import AbstractConnection
    from redis.exceptions import NoScriptError
except ImportError as error:
    raise ConfigurationError(
        "the Redis driver is not installed: pip install 'stockade[redis]'"
    ) from error

# Keys that are read at a time where all of them are looked at.
_PAGE = 1000
# Connections for what is not counted: places and what goes back.
_OTHER_TRIPS = 4
# Name of the one server.
_ONLY = ""
_GLOB = re.compile(r"([*?\[\]\\^-])")


class Call(NamedTuple):
    """One call of a script, for some requests of a batch."""

    script: str
    name: str
    keys: list[bytes]
    arguments: list[bytes]
    members: list[int]
    read: Callable[[object, Sequence[Sequence[LimitRequest]]], list[Outcome]]

    def encode(self, *, whole: bool = False) -> bytes:
        """Write it as a command, with the name of the script or the whole of it."""
        verb, what = (b"EVAL", self.script) if whole else (b"EVALSHA", self.name)
        return encode_command(
            [verb, what.encode("ascii"), b"%d" % len(self.keys), *self.keys, *self.arguments]
        )


class Lane(NamedTuple):
    """The way to one server, in one event loop."""

    pipeline: Pipeline
    batcher: Batcher

    async def close(self) -> None:
        """Give up what is under way, and close the connection."""
        await self.batcher.close()
        await self.pipeline.close()


@dataclass(slots=True)
class Here:
    """What a store has in one event loop.

    Args:
        opened: Clients of redis-py, for all that is not counting.
        lanes: The way to each server, by its name.
        turn: Those who hold places or give something back wait in line, or many at once would ask
            for more connections than there are.
        mapped: Whether it is known which node of a cluster has which slot.
        mapping: Held by whoever finds out.
    """

    opened: Opened
    lanes: dict[str, Lane] = field(default_factory=dict)
    turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_OTHER_TRIPS))
    mapped: bool = False
    mapping: asyncio.Lock = field(default_factory=asyncio.Lock)


class RedisLimitStore:
    """Buckets in Redis 5 or Valkey, on one server, shared by all processes.

    Each event loop that asks has connections of its own, so that a store may serve several, in
    several threads.

    Args:
        opener: Makes a client of redis-py, with timeouts; it is closed with the store.
        prefix: What every key starts with.
        trips: Round trips under way at most; the client needs some connections more.
        timeout: Seconds within which requests are answered.
    """

    def __init__(
        self,
        opener: Callable[[], Opened],
        *,
        prefix: str = "stockade:limits:",
        trips: int = 4,
        timeout: float = 0.05,
    ) -> None:
        self._opener = opener
        self._prefix = prefix
        self._trips = trips
        self._timeout = timeout
        self._loops = PerLoop(self._open)
        self._refusals = RedisRefusalStore(self._evaluate)

    @classmethod
    def from_url(cls, url: str, *, timeout: float = 0.05, trips: int = 4) -> Self:
        """Build a store from the address of a server or of Sentinels.

        Args:
            url: Address as `stockade.storage.redis.addresses.open_client` takes it; may hold a
                password.
            timeout: Seconds for connecting and for an answer.
            trips: Round trips under way at most.

        Raises:
            ConfigurationError: The address is malformed.
        """
        opener = partial(open_client, url, timeout=timeout, trips=trips)
        cls._require_kind(opener())
        return cls(opener, trips=trips, timeout=timeout)

    @classmethod
    def _require_kind(cls, opened: Opened) -> None:
        if not isinstance(opened.client, Redis):
            raise ConfigurationError("this is the address of a cluster")

    def _open(self) -> Here:
        return Here(self._opener())

    def _make_lane(self, make: Callable[[], AbstractConnection]) -> Lane:
        pipeline = Pipeline(make)
        run = partial(self._run, pipeline)
        return Lane(pipeline, Batcher(run, away=away, trips=self._trips, timeout=self._timeout))

    def _lane(self) -> Lane:
        here = self._loops.get()
        lane = here.lanes.get(_ONLY)
        if lane is None:
            make = partial(make_connection, here.opened.client)
            lane = here.lanes[_ONLY] = self._make_lane(make)
        return lane

    @property
    def _client(self) -> Redis | RedisCluster:
        return self._loops.get().opened.client

    @property
    def _turn(self) -> asyncio.Semaphore:
        return self._loops.get().turn

    @property
    def timeout(self) -> float:
        """Seconds within which requests are answered, or fail."""
        return self._timeout

    async def acquire(self, requests: Sequence[LimitRequest]) -> Sequence[LimitState]:
        """Take from all buckets, or from none where one of them has too little.

        Raises:
            StoreError: The server could not answer.
        """
        return await self._lane().batcher.acquire(requests)

    @property
    def strategies(self) -> frozenset[Strategy]:
        """Strategies by which it can count: all."""
        return frozenset(Strategy)

    async def give_back(self, refunds: Sequence[Refund | UnitRefund]) -> None:
        """Give back what should not have been taken.

        Raises:
            StoreError: The server could not answer.
        """
        async with self._turn, store_errors(), self._client.pipeline(transaction=False) as pipeline:
            for refund in refunds:
                key = f"{self._prefix}{refund.key}"
                if isinstance(refund, UnitRefund):
                    pipeline.eval(GIVE_BACK_UNITS, 1, key, *refund_arguments(refund))
                else:
                    pipeline.eval(GIVE_BACK, 1, key, str(refund.amount))
            await pipeline.execute()

    @property
    def leases_end(self) -> bool:
        """Whether a place that nobody renews becomes free: yes, since a process may die."""
        return True

    async def hold(self, key: str, token: str, *, limit: int, seconds: float) -> bool:
        """Hold a place, unless all of them are held; False means that none was free.

        Raises:
            StoreError: The server could not answer.
        """
        name, lifetime = f"{self._prefix}{key}", str(int(seconds * 1000))
        async with self._turn, store_errors():
            return bool(await self._client.eval(HOLD, 1, name, token, str(limit), lifetime))

    async def renew(self, leases: Sequence[tuple[str, str]], *, seconds: float) -> None:
        """Hold on to places, given as key and token; those that were lost stay so.

        Raises:
            StoreError: The server could not answer.
        """
        lifetime = str(int(seconds * 1000))
        async with self._turn, store_errors(), self._client.pipeline(transaction=False) as pipeline:
            for key, token in leases:
                pipeline.eval(RENEW, 1, f"{self._prefix}{key}", token, lifetime)
            await pipeline.execute()

    async def release(self, key: str, token: str) -> None:
        """Give a place back, if it is held.

        Raises:
            StoreError: The server could not answer.
        """
        async with self._turn, store_errors():
            await self._client.zrem(f"{self._prefix}{key}", token)

    @property
    def refusals(self) -> RedisRefusalStore:
        """Where it is kept who was refused: beside the buckets."""
        return self._refusals

    async def add_ban(self, subject: str, terms: BanTerms) -> Ban:
        """Ban somebody, longer than the last time; one who is banned stays so for as long as he is.

        Raises:
            StoreError: The server could not answer.
        """
        first, longest = (str(int(each * 1000)) for each in (terms.first, terms.longest))
        async with store_errors():
            reply = await self._client.eval(ADD_BAN, 2, ENDS, TIMES, subject, first, longest)
            left, times = (int(part) for part in reply.split())
        return Ban(subject, left / 1000, times)

    async def list_bans(self) -> list[Ban]:
        """Return the bans that have not ended.

        Raises:
            StoreError: The server could not answer.
        """
        async with store_errors():
            found = await self._client.eval(LIST_BANS, 2, ENDS, TIMES)
            lines = [each.decode() if isinstance(each, bytes) else each for each in found]
            parts = [line.split(" ", 2) for line in lines]
            return [Ban(subject, int(left) / 1000, int(times)) for left, times, subject in parts]

    async def lift_ban(self, subject: str) -> bool:
        """End a ban and forget the earlier ones; False where there was none.

        Raises:
            StoreError: The server could not answer.
        """
        async with store_errors():
            return bool(await self._client.eval(LIFT_BAN, 2, ENDS, TIMES, subject))

    async def list_buckets(self, *, most: int) -> list[Bucket]:
        """Return the buckets that are used up most, those first.

        Raises:
            StoreError: The server could not answer.
        """
        pattern = escape(self._prefix) + "*"
        found: list[Bucket] = []
        page: list[str] = []
        async with store_errors():
            async for key in self._client.scan_iter(match=pattern, count=_PAGE, _type="STRING"):
                page.append(key.decode() if isinstance(key, bytes) else key)
                if len(page) == _PAGE:
                    found = fullest([*found, *await self._read_buckets(page)], most)
                    page = []
            return fullest([*found, *await self._read_buckets(page)], most)

    async def _evaluate(self, script: str, keys: int, *arguments: str) -> object:
        async with self._turn, store_errors():
            return await self._client.eval(script, keys, *arguments)

    async def _read_buckets(self, keys: Sequence[str]) -> list[Bucket]:
        if not keys:
            return []
        async with self._client.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.pttl(key)
            left = await pipeline.execute()
        # A bucket lives until it is full; one that has gone meanwhile has a number below zero.
        return [
            Bucket(key.removeprefix(self._prefix), milliseconds / 1000)
            for key, milliseconds in zip(keys, left, strict=True)
            if milliseconds > 0
        ]

    async def reset(self, prefix: str) -> None:
        """Forget the buckets whose key starts with this; the empty prefix forgets them all.

        Raises:
            StoreError: The server could not answer.
        """
        pattern = escape(f"{self._prefix}{prefix}") + "*"
        async with store_errors():
            async for key in self._client.scan_iter(match=pattern, count=1000):
                await self._client.unlink(key)

    async def ping(self) -> None:
        """Return if the server answers.

        Raises:
            StoreError: It does not.
        """
        async with store_errors():
            # Over the connection that requests take, which is open from then on.
            (answer,) = await self._lane().pipeline.ask(encode_command([b"PING"]), 1)
            if isinstance(answer, Exception):
                raise answer

    async def close(self) -> None:
        """Give up what is under way and close all connections; a later request opens new ones."""
        here = asyncio.get_running_loop()
        for loop, thing in self._loops.forget().items():
            if loop is here:
                await self._close(thing)
            elif loop.is_running():
                asyncio.run_coroutine_threadsafe(self._close(thing), loop)

    async def _close(self, thing: Here) -> None:
        for lane in thing.lanes.values():
            await lane.close()
        await thing.opened.client.aclose()
        if isinstance(thing.opened.client, Redis):
            await thing.opened.client.connection_pool.disconnect()
        for client in thing.opened.others:
            await client.aclose()

    async def _run(
        self, pipeline: Pipeline, batch: Sequence[Sequence[LimitRequest]]
    ) -> list[Outcome]:
        calls = make_calls(batch, range(len(batch)), prefix=self._prefix)
        async with store_errors():
            replies = await pipeline.ask(b"".join(call.encode() for call in calls), len(calls))
            for number, call in enumerate(calls):
                if isinstance(replies[number], NoScriptError):
                    # The server has been restarted or flushed; nothing has run.
                    (replies[number],) = await pipeline.ask(call.encode(whole=True), 1)
            return read_replies(batch, calls, replies)


def make_calls(
    batch: Sequence[Sequence[LimitRequest]], members: Sequence[int], *, prefix: str
) -> list[Call]:
    """Write requests of a batch as calls of the scripts that decide about them.

    Args:
        batch: The batch.
        members: Which of its requests.
        prefix: What every key starts with.

    Returns:
        One call, or two where some of the requests count by windows.
    """
    windows = [number for number in members if names_windows([batch[number]])]
    others = [number for number in members if number not in windows] if windows else list(members)
    calls = []
    if others:
        keys, argument = pack([batch[number] for number in others], prefix=prefix)
        calls.append(Call(TAKE, TAKE_SHA, keys, [argument], others, read_debts))
    if windows:
        keys, numbers = pack_windows([batch[number] for number in windows], prefix=prefix)
        arguments = [b"%d" % number for number in numbers]
        calls.append(
            Call(TAKE_WINDOWS, TAKE_WINDOWS_SHA, keys, arguments, windows, read_window_states)
        )
    return calls


def read_replies(
    batch: Sequence[Sequence[LimitRequest]], calls: Sequence[Call], replies: Sequence[object]
) -> list[Outcome]:
    """Return the outcome of each request of a batch.

    Raises:
        StoreError: The server has answered with something else.
    """
    outcomes: dict[int, Outcome] = {}
    for call, reply in zip(calls, replies, strict=True):
        if isinstance(reply, Exception):
            outcomes.update((number, away(reply)) for number in call.members)
            continue
        own = call.read(reply, [batch[number] for number in call.members])
        outcomes.update(zip(call.members, own, strict=True))
    return [outcomes[number] for number in range(len(batch))]


def escape(text: str) -> str:
    """Write a text as a pattern that fits nothing else."""
    return _GLOB.sub(r"\\\1", text)
