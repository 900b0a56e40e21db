import dataclasses

import pytest

from stockade.authentication import Account
from stockade.authentication.devices import DeviceWatch, describe_device
from stockade.authentication.models import Session
from stockade.core import UserId
from stockade.crypto import KeyRing
from stockade.events import EventLog, MemorySink
from stockade.storage.memory.devices import MemoryDeviceStore
from tests.clock import FrozenClock
from tests.unit.authentication.helpers import ANA, NEW, OLD

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
NEWER = "Mozilla/5.0 (X11; Linux x86_64; rv:141.2) Gecko/20100101 Firefox/141.2"
PHONE = "Mozilla/5.0 (Android 15; Mobile) Firefox/140.0"
HOME, NEAR, AWAY = "203.0.113.9", "203.0.200.1", "198.51.100.7"


class Bench:
    """A watch with everything around it."""

    def __init__(self) -> None:
        self.clock = FrozenClock()
        self.store = MemoryDeviceStore()
        self.sink = MemorySink()
        self.told: list[str] = []
        self.turn(NEW)

    def turn(self, *ring: str) -> None:
        """Start again with other keys."""
        self.watch = DeviceWatch(
            self.store,
            keys=KeyRing(ring),
            events=EventLog([self.sink], clock=self.clock),
            clock=self.clock,
            notify=lambda _account, session: self.told.append(session.device),
        )

    async def note(self, device: str, address: str, account: Account = ANA) -> bool:
        """Tell whether a sign-in is one from a new device."""
        now = self.clock.now()
        session = Session(
            session_id="s-1",
            user_id=account.user_id,
            tenant_id=None,
            token_epoch=0,
            created_at=now,
            authenticated_at=now,
            last_used_at=now,
            expires_at=now,
            device=device,
            address=address,
        )
        before = len(self.told)
        await self.watch.note(account, session)
        assert len(self.sink.named("authentication.new_device")) == len(self.told)
        return len(self.told) > before


async def test_another_device_or_place_is_news() -> None:
    """Once; the first one, an update and another address near by are none."""
    bench = Bench()
    assert not await bench.note(FIREFOX, HOME)
    assert not await bench.note(FIREFOX, HOME)
    assert not await bench.note(NEWER, NEAR)
    assert await bench.note(PHONE, HOME)
    assert not await bench.note(PHONE, HOME)
    assert await bench.note(FIREFOX, AWAY)
    assert bench.told == [PHONE, FIREFOX]


async def test_the_event_names_account_and_session() -> None:
    """And nothing that a client has sent."""
    bench = Bench()
    await bench.note(FIREFOX, HOME)
    await bench.note(PHONE, AWAY)
    (event,) = bench.sink.named("authentication.new_device")
    assert event.details == {"user_id": "ana", "session_id": "s-1"}


async def test_accounts_do_not_share_devices() -> None:
    """What is known of one says nothing of another."""
    bench = Bench()
    bea = dataclasses.replace(ANA, user_id=UserId("bea"))
    await bench.note(FIREFOX, HOME)
    await bench.note(PHONE, HOME, bea)
    assert await bench.note(FIREFOX, HOME, bea)


async def test_a_device_stays_known_under_a_newer_key() -> None:
    """Without the older one it is news again."""
    bench = Bench()
    bench.turn(OLD)
    await bench.note(FIREFOX, HOME)
    await bench.note(PHONE, HOME)
    bench.turn(OLD, NEW)
    assert not await bench.note(PHONE, HOME)
    bench.turn(NEW)
    assert not await bench.note(PHONE, HOME)
    assert await bench.note(FIREFOX, HOME)


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("203.0.113.9", "203.0.0.0/16"),
        ("::ffff:203.0.113.9", "203.0.0.0/16"),
        ("2001:db8:1:2::3", "2001:db8::/32"),
        ("testclient", "unknown"),
        ("", "unknown"),
    ],
)
def test_a_place_is_a_part_of_a_network(address: str, place: str) -> None:
    """Whatever an address is, it has one."""
    assert describe_device("curl/8.5.0", address) == f"curl/ {place}"
