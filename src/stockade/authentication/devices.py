"""Notice a sign-in from a device that an account was not seen with before.

What counts as one device is what its program calls itself, without numbers, so that an update makes
no other one, and the part of the network that it comes from. Both can be imitated by whoever knows
them: the notice is for the owner, and no defence. Stores keep a keyed digest.

Source: ASVS 5.0 V6.3.5.
"""

from __future__ import annotations

import hmac
import re
from hashlib import sha256
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Final

from stockade.authentication.models import Sighting

if TYPE_CHECKING:
    from collections.abc import Callable

    from stockade.authentication.interfaces import DeviceStore
    from stockade.authentication.models import Account, Session
    from stockade.core.clock import Clock
    from stockade.crypto import KeyRing
    from stockade.events import EventLog

_KEPT: Final = 50
_NUMBERS: Final = re.compile(r"[0-9._]+", re.ASCII)
# About what one provider hands out in one place.
_IPV4_PREFIX: Final = 16
_IPV6_PREFIX: Final = 32


class DeviceWatch:
    """Notice new devices.

    Args:
        store: Remembers devices.
        keys: Secrets of the application; the newest digests, all of them are known.
        events: Where a new device is recorded.
        clock: Source of time.
        notify: Told of a new device, such as to hand a mail to the owner over; it must not wait.
    """

    def __init__(
        self,
        store: DeviceStore,
        *,
        keys: KeyRing,
        events: EventLog,
        clock: Clock,
        notify: Callable[[Account, Session], None] | None = None,
    ) -> None:
        self._store = store
        self._keys = keys.derive("devices")
        self._events = events
        self._clock = clock
        self._notify = notify

    async def note(self, account: Account, session: Session) -> None:
        """Remember the device of a session that has just begun, and tell of it if it is new.

        The first one of an account is no news.

        Raises:
            StoreError: The devices are away.
        """
        what = f"{account.user_id}\0{describe_device(session.device, session.address)}".encode()
        digests = [hmac.digest(key, what, sha256).hex() for key in self._keys]
        sighting = await self._store.see(
            account.user_id, digests, now=self._clock.now(), keep=_KEPT
        )
        if sighting is not Sighting.NEW:
            return
        details = {"user_id": account.user_id, "session_id": session.session_id}
        self._events.emit("authentication.new_device", details=details)
        if self._notify is not None:
            self._notify(account, session)


def describe_device(device: str, address: str) -> str:
    """Return what counts as one device.

    >>> describe_device("Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0", "203.0.113.9")
    'Mozilla/ (X; Linux x) Firefox/ 203.0.0.0/16'
    """
    return f"{_NUMBERS.sub('', device)} {_place_of(address)}"


def _place_of(address: str) -> str:
    try:
        parsed = ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    prefix = _IPV6_PREFIX if isinstance(parsed, IPv6Address) else _IPV4_PREFIX
    return str(ip_network(f"{parsed}/{prefix}", strict=False))
