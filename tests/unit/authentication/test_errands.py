import asyncio

import pytest

from stockade.authentication.errands import Errands
from stockade.errors import UnavailableError
from stockade.events import EventLog, MemorySink
from tests.clock import FrozenClock


def make(room: int = 200) -> tuple[Errands, MemorySink]:
    """Make errands, and what they record."""
    sink = MemorySink()
    return Errands(events=EventLog([sink], clock=FrozenClock()), room=room), sink


async def test_an_errand_is_done_later() -> None:
    """Whoever starts it does not wait, not even for its first step."""
    errands, sink = make()
    done: list[str] = []

    async def errand() -> None:
        done.append("begun")
        await asyncio.sleep(0)
        done.append("done")

    errands.start("test", errand, scope=None)
    assert done == []
    await errands.settle()
    assert done == ["begun", "done"]
    assert list(sink) == []


async def test_a_failure_is_recorded_by_its_kind() -> None:
    """What the error says may hold an address."""
    errands, sink = make()

    async def errand() -> None:
        raise ValueError("canary")

    errands.start("test", errand, scope=None)
    await errands.settle()
    (event,) = sink.named("authentication.errand_failed")
    assert event.details == {"errand": "test", "problem": "ValueError"}
    assert "canary" not in repr(event)


async def test_a_flood_is_refused_but_for_notices() -> None:
    """A flood of requests for mails does not silence a notice, and room comes back."""
    errands, _ = make(room=2)
    gate = asyncio.Event()
    noticed = asyncio.Event()

    async def notice() -> None:
        noticed.set()

    for _ in range(2):
        errands.start("slow", gate.wait, scope=None)  # type: ignore[arg-type]  # It gives True.
    with pytest.raises(UnavailableError) as caught:
        errands.start("third", notice, scope=None)
    assert caught.value.reason == "authentication.errands_full"
    errands.add("notice", notice, scope=None)
    await noticed.wait()
    gate.set()
    await errands.settle()
    errands.start("fourth", notice, scope=None)
    await errands.settle()


async def test_a_few_run_at_once() -> None:
    """Requests find connections left; a notice does not wait for its turn."""
    errands, _ = make()
    running, most = 0, 0
    gate = asyncio.Event()
    noticed = asyncio.Event()

    async def errand() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await gate.wait()
        running -= 1

    async def notice() -> None:
        noticed.set()

    for _ in range(50):
        errands.start("test", errand, scope=None)
    errands.add("notice", notice, scope=None)
    await noticed.wait()
    gate.set()
    await errands.settle()
    assert 1 <= most <= 4


def test_one_loop_after_another_is_served() -> None:
    """What a test client has left behind does not keep the next one from its mails."""
    errands, sink = make()
    done: list[int] = []

    async def errand() -> None:
        await asyncio.sleep(0)
        done.append(1)

    async def serve() -> None:
        for _ in range(10):
            errands.start("test", errand, scope=None)
        await errands.settle()

    for _ in range(2):
        asyncio.run(serve())
    assert len(done) == 20
    assert list(sink) == []


async def test_the_end_waits_for_errands() -> None:
    """A mail that is under way is sent when the server stops."""
    errands, _ = make()
    done: list[bool] = []

    async def errand() -> None:
        await asyncio.sleep(0)
        done.append(True)

    errands.start("test", errand, scope=None)
    await errands.close()
    assert done == [True]
    await errands.close()


async def test_an_errand_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not keep the server from stopping."""
    monkeypatch.setattr("stockade.authentication.errands._PATIENCE", 0)
    errands, _ = make()
    ended = asyncio.Event()

    async def errand() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    errands.start("test", errand, scope=None)
    await asyncio.sleep(0)
    await errands.close()
    await ended.wait()
