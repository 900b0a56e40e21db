"""Callers of one connection to Redis get their own answers, whoever goes away meanwhile."""

import asyncio
import random
from functools import partial

from redis.exceptions import RedisError

from stockade.storage.redis.addresses import make_connection, open_client
from stockade.storage.redis.pipeline import Pipeline, encode_command
from tests.integration.test_limits_redis import Server, server  # noqa: F401 - a fixture
from tests.servers.proxy import Fault, Proxy


async def test_nobody_gets_the_answer_of_another(server: Server) -> None:  # noqa: F811
    """Whatever is cancelled, cut off or sent in pieces: an answer is the one that was asked for."""
    rng = random.Random(11)
    async with Proxy(server.url) as proxy:
        opened = open_client(proxy.url, timeout=5.0, trips=4)
        pipeline = Pipeline(partial(make_connection, opened.client))
        right = 0

        async def ask(number: int) -> None:
            nonlocal right
            count = number % 3 + 1
            words = [
                b"%d:%d:" % (number, each) + b"x" * (number % 7 * 30_000) for each in range(count)
            ]
            commands = b"".join(encode_command([b"ECHO", word]) for word in words)
            try:
                answers = await pipeline.ask(commands, count)
            except (RedisError, OSError):
                return
            assert answers == words
            right += 1

        for turn in range(60):
            tasks = [asyncio.create_task(ask(turn * 100 + number)) for number in range(12)]
            if turn % 3:
                for _ in range(rng.randrange(6)):
                    await asyncio.sleep(rng.choice([0, 0, 0.001, 0.003]))
                for task in rng.sample(tasks, rng.randrange(4)):
                    task.cancel()
            if turn % 10 == 5:
                await proxy.set(rng.choice([Fault.PARTIAL, Fault.RESET]))
                await asyncio.sleep(0.01)
                await proxy.set(Fault.NONE)
            async with asyncio.timeout(10):
                for found in await asyncio.gather(*tasks, return_exceptions=True):
                    assert found is None or isinstance(found, asyncio.CancelledError), found
        assert right > 100
        await pipeline.close()
        await opened.client.aclose()
