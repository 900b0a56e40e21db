import asyncio
import dataclasses
import json
from collections.abc import Callable
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.authentication import AuthenticationSettings
from stockade.authentication.errors import InvalidPasskeyError, LastWayInError
from stockade.authentication.models import Passkey
from stockade.authentication.passkeys import Challenges, Purpose, make_passkeys
from stockade.authentication.webauthn_checks import make_webauthn_checks
from stockade.core import UserId
from stockade.crypto import KeyRing
from stockade.errors import ConfigurationError, NotFoundError
from stockade.storage.memory.accounts import MemoryAccountStore
from stockade.storage.memory.identities import MemoryIdentityStore
from stockade.storage.memory.passkeys import MemoryPasskeyStore
from stockade.storage.memory.spent import MemorySpentStore
from tests.clock import FrozenClock
from tests.unit.authentication.authenticators import (
    BACKED_UP,
    ELIGIBLE,
    PRESENT,
    VERIFIED,
    Authenticator,
    decode,
    encode,
)
from tests.unit.authentication.helpers import ANA, NEW, OLD

BEA = dataclasses.replace(ANA, user_id=UserId("bea"), email="bea@example.com")


class Bench:
    """Passkeys with everything around them."""

    def __init__(self, *ring: str, **settings: Any) -> None:  # noqa: ANN401 - settings
        self.clock = FrozenClock()
        self.accounts = MemoryAccountStore([dataclasses.replace(ANA, password_hash="")])
        self.store = MemoryPasskeyStore(MemoryIdentityStore(self.accounts))
        self.spent = MemorySpentStore()
        self.settings = AuthenticationSettings.model_validate(
            {"passkey_rp_id": "example.com", **settings}
        )
        self.turn(*(ring or (NEW,)))

    def turn(self, *ring: str) -> None:
        """Start again with other keys and the same store."""
        self.passkeys = make_passkeys(
            self.store,
            spent=self.spent,
            issuers=(),
            keys=KeyRing(ring),
            settings=self.settings,
            clock=self.clock,
        )

    async def register(self, authenticator: Authenticator, account: Any = ANA) -> Passkey:  # noqa: ANN401 - an account
        """Register an authenticator."""
        options = await self.passkeys.begin_registration(account)
        return await self.passkeys.register(account, authenticator.make(options), name="Phone")

    async def refusal_of(self, authenticator: Authenticator) -> str:
        """Return the reason for which a registration is refused."""
        with pytest.raises(InvalidPasskeyError) as caught:
            await self.register(authenticator)
        return caught.value.reason.removeprefix("authentication.passkey_")

    async def sign_in(self, credential: dict[str, Any]) -> str:
        """Return who signs in, or the reason for which it is refused."""
        try:
            return (await self.passkeys.sign_in(credential)).user_id
        except InvalidPasskeyError as error:
            return error.reason.removeprefix("authentication.passkey_")


async def test_a_passkey_signs_in_whom_it_belongs_to() -> None:
    """It is registered once, and found by itself from then on."""
    bench = Bench(display_name="Acme")
    phone = Authenticator()
    options = await bench.passkeys.begin_registration(ANA)
    assert options["rp"] == {"id": "example.com", "name": "Acme"}
    assert options["user"]["name"] == ANA.email
    assert ANA.user_id not in decode(options["user"]["id"]).decode("latin-1")
    assert options["authenticatorSelection"]["residentKey"] == "required"
    assert options["excludeCredentials"] == []
    made = await bench.passkeys.register(ANA, phone.make(options), name="Phone")
    assert made.transports == {"internal", "hybrid"}
    assert (made.backup_eligible, made.backed_up, made.sign_count) == (False, False, 0)
    request = bench.passkeys.begin_sign_in()
    assert (request["allowCredentials"], request["userVerification"]) == ([], "required")
    bench.clock.advance(60)
    assert await bench.sign_in(phone.sign(request)) == "ana"
    (known,) = await bench.passkeys.list(ANA.user_id)
    assert (known.sign_count, known.last_used_at) == (1, bench.clock.now())


async def test_what_was_signed_is_accepted_once() -> None:
    """Also where the passkey does not count, and of two hundred at once one passes."""
    bench = Bench()
    phone = Authenticator(counts=False, flags=PRESENT | VERIFIED | ELIGIBLE | BACKED_UP)
    await bench.register(phone)
    signed = phone.sign(bench.passkeys.begin_sign_in())
    results = await asyncio.gather(*(bench.sign_in(signed) for _ in range(200)))
    assert sorted(set(results)) == ["ana", "replayed"]
    assert results.count("ana") == 1


async def test_a_challenge_holds_for_five_minutes() -> None:
    """A clock that is put back does not lengthen that."""
    bench = Bench()
    phone = Authenticator()
    await bench.register(phone)
    for seconds, outcome in ((299, "ana"), (300, "challenge"), (-61, "challenge")):
        signed = phone.sign(bench.passkeys.begin_sign_in())
        bench.clock.turn(seconds)
        assert await bench.sign_in(signed) == outcome


async def test_a_challenge_is_for_one_purpose_and_one_account() -> None:
    """What was signed to sign in is no second factor, and nobody's else."""
    bench = Bench()
    phone, other = Authenticator(), Authenticator()
    await bench.register(phone)
    await bench.register(other, BEA)
    for_bea = phone.sign(await bench.passkeys.begin_factor(BEA.user_id))
    to_sign_in = phone.sign(bench.passkeys.begin_sign_in())
    as_factor = phone.sign(await bench.passkeys.begin_factor(ANA.user_id))
    made = await bench.passkeys.begin_registration(ANA)
    to_register = phone.sign({"challenge": made["challenge"], "rpId": "example.com"})
    for credential in (for_bea, to_sign_in, to_register):
        with pytest.raises(InvalidPasskeyError):
            await bench.passkeys.verify(ANA.user_id, credential)
    for credential in (for_bea, as_factor, to_register):
        assert await bench.sign_in(credential) == "challenge"
    with pytest.raises(InvalidPasskeyError) as caught:
        await bench.passkeys.verify(BEA.user_id, for_bea)
    assert caught.value.reason == "authentication.passkey_unknown"
    assert (await bench.passkeys.verify(ANA.user_id, as_factor)).user_id == ANA.user_id


async def test_a_challenge_of_an_older_key_holds() -> None:
    """One of a key that has left the ring does not."""
    bench = Bench(OLD)
    phone = Authenticator()
    await bench.register(phone)
    signed = phone.sign(bench.passkeys.begin_sign_in())
    bench.turn(NEW)
    assert await bench.sign_in(signed) == "challenge"
    bench.turn(OLD, NEW)
    assert await bench.sign_in(signed) == "ana"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"origin": "https://evil.example"}, "wrong"),
        ({"origin": "http://example.com"}, "wrong"),
        ({"origin": "https://example.com.evil.example"}, "wrong"),
        ({"origin": "https://example.com:8443"}, "wrong"),
        ({"rp_id": "evil.example"}, "wrong"),
        ({"flags": VERIFIED}, "wrong"),
        ({"flags": PRESENT}, "wrong"),
        ({"flags": PRESENT | VERIFIED | ELIGIBLE}, "wrong"),
        ({"flags": PRESENT | VERIFIED | BACKED_UP}, "wrong"),
        ({"client": {"type": "webauthn.create"}}, "wrong"),
        ({"client": {"crossOrigin": True}}, "framed"),
        ({"client": {"challenge": encode(bytes(88))}}, "challenge"),
        ({"client": {"challenge": ""}}, "challenge"),
        ({"client": {"challenge": 5}}, "malformed"),
        ({"client": {"origin": ["https://example.com"]}}, "wrong"),
        ({"key": Authenticator().key}, "wrong"),
        ({"identifier": b"another one, longer than"}, "unknown"),
        ({"handle": b"another account"}, "wrong"),
    ],
    ids=lambda value: repr(value)[:60] if isinstance(value, dict) else value,
)
async def test_a_lie_is_refused(changes: dict[str, Any], reason: str) -> None:
    """Another page, another domain, another key, nobody there."""
    bench = Bench()
    phone = Authenticator()
    await bench.register(phone)
    liar = dataclasses.replace(phone, **changes)
    assert await bench.sign_in(liar.sign(bench.passkeys.begin_sign_in())) == reason
    assert await bench.sign_in(phone.sign(bench.passkeys.begin_sign_in())) == "ana"


@pytest.mark.parametrize("member", ["clientDataJSON", "authenticatorData", "signature"])
async def test_a_changed_byte_is_noticed(member: str) -> None:
    """Wherever it is."""
    bench = Bench()
    phone = Authenticator()
    await bench.register(phone)
    signed = phone.sign(bench.passkeys.begin_sign_in())
    raw = bytearray(decode(signed["response"][member]))
    for place in range(len(raw)):
        changed = bytearray(raw)
        changed[place] ^= 1
        response = {**signed["response"], member: encode(bytes(changed))}
        assert await bench.sign_in({**signed, "response": response}) != "ana"
    assert await bench.sign_in(signed) == "ana"


async def test_a_sign_in_names_its_account() -> None:
    """A passkey that does not say whose it is was not found by itself."""
    bench = Bench()
    phone = Authenticator()
    await bench.register(phone)
    signed = phone.sign(bench.passkeys.begin_sign_in())
    del signed["response"]["userHandle"]
    assert await bench.sign_in(signed) == "wrong"
    factor = phone.sign(await bench.passkeys.begin_factor(ANA.user_id))
    del factor["response"]["userHandle"]
    assert (await bench.passkeys.verify(ANA.user_id, factor)).user_id == ANA.user_id


@pytest.mark.parametrize("verification", ["required", "preferred"])
async def test_only_a_second_factor_may_do_without_verifying(verification: str) -> None:
    """A passkey that stands for the password as well never does."""
    bench = Bench(passkey_verification=verification)
    phone = Authenticator()
    await bench.register(phone)
    phone.flags = PRESENT
    assert await bench.sign_in(phone.sign(bench.passkeys.begin_sign_in())) == "wrong"
    options = await bench.passkeys.begin_factor(ANA.user_id)
    assert options["userVerification"] == verification
    if verification == "required":
        with pytest.raises(InvalidPasskeyError):
            await bench.passkeys.verify(ANA.user_id, phone.sign(options))
    else:
        found = await bench.passkeys.verify(ANA.user_id, phone.sign(options))
        assert found.user_id == ANA.user_id


async def test_a_copy_is_noticed() -> None:
    """Whichever of the two counts less is refused, and the reason says so."""
    bench = Bench()
    phone = Authenticator()
    await bench.register(phone)
    copy = dataclasses.replace(phone)
    for _ in range(3):
        assert await bench.sign_in(phone.sign(bench.passkeys.begin_sign_in())) == "ana"
    assert await bench.sign_in(copy.sign(bench.passkeys.begin_sign_in())) == "cloned"
    copy.counts, copy.count = False, 0
    assert await bench.sign_in(copy.sign(bench.passkeys.begin_sign_in())) == "cloned"
    assert await bench.sign_in(phone.sign(bench.passkeys.begin_sign_in())) == "ana"


@pytest.mark.parametrize(
    "changes",
    [
        {"origin": "https://evil.example"},
        {"rp_id": "evil.example"},
        {"flags": VERIFIED},
        {"flags": PRESENT},
        {"client": {"type": "webauthn.get"}},
        {"format": "android-safetynet"},
        {"format": "packed"},
        {"format": "packed", "statement": {"alg": -7, "sig": b"x"}},
        {"format": "packed", "statement": {"alg": -7, "sig": b"x", "x5c": [b"x"]}},
        {"format": "none", "statement": {"alg": -7}},
        {"format": 5},
    ],
    ids=repr,
)
async def test_a_registration_that_lies_is_refused(changes: dict[str, Any]) -> None:
    """Another page, another domain, nobody there, an attestation that nobody asked for."""
    bench = Bench()
    reason = await bench.refusal_of(Authenticator(**changes))
    assert reason in {"wrong", "attestation"}
    assert await bench.passkeys.list(ANA.user_id) == []


@pytest.mark.parametrize(
    "key",
    [{}, {1: 2, 3: -7}, {1: 2, 3: -65535, -1: 1}, {1: 4, 3: 5}, 5, "x", [], {1: 99, 3: -7}],
    ids=repr,
)
async def test_a_key_of_another_kind_is_refused(
    key: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What can't verify anything is not kept."""
    bench = Bench()
    phone = Authenticator()
    monkeypatch.setattr(phone, "public_key", lambda: key)
    assert await bench.refusal_of(phone) == "wrong"


async def test_a_registration_is_accepted_once() -> None:
    """Nor is one for another account, or of a passkey that somebody has."""
    bench = Bench()
    phone = Authenticator()
    options = await bench.passkeys.begin_registration(ANA)
    made = phone.make(options)
    with pytest.raises(InvalidPasskeyError) as caught:
        await bench.passkeys.register(BEA, made, name="")
    assert caught.value.reason == "authentication.passkey_challenge"
    await bench.passkeys.register(ANA, made, name="")
    with pytest.raises(InvalidPasskeyError) as caught:
        await bench.passkeys.register(ANA, made, name="")
    assert caught.value.reason == "authentication.passkey_replayed"
    assert await bench.refusal_of(phone) == "exists"
    with pytest.raises(InvalidPasskeyError):
        await bench.register(dataclasses.replace(phone, key=Authenticator().key), BEA)
    assert len(await bench.passkeys.list(ANA.user_id)) == 1


async def test_passkeys_of_an_account_share_a_handle() -> None:
    """Those of others have another one, and a new one is told which there are."""
    bench = Bench()
    phone, key, other = Authenticator(), Authenticator(), Authenticator()
    first = await bench.register(phone)
    options = await bench.passkeys.begin_registration(ANA)
    assert [each["id"] for each in options["excludeCredentials"]] == [first.credential_id]
    await bench.passkeys.register(ANA, key.make(options), name="Key")
    await bench.register(other, BEA)
    assert phone.handle == key.handle != other.handle
    assert len(phone.handle) == 32
    assert await bench.sign_in(key.sign(bench.passkeys.begin_sign_in())) == "ana"


async def test_an_account_has_no_endless_number_of_passkeys() -> None:
    """Twenty are enough for anybody."""
    bench = Bench()
    for _ in range(20):
        await bench.register(Authenticator())
    with pytest.raises(InvalidPasskeyError) as caught:
        await bench.passkeys.begin_registration(ANA)
    assert caught.value.reason == "authentication.passkeys_too_many"


async def test_a_removed_passkey_signs_nobody_in() -> None:
    """Nobody removes another's."""
    bench = Bench()
    phone = Authenticator()
    made = await bench.register(phone)
    with pytest.raises(NotFoundError):
        await bench.passkeys.remove(BEA.user_id, made.passkey_id)
    with pytest.raises(LastWayInError) as caught:
        await bench.passkeys.remove(ANA.user_id, made.passkey_id)
    assert caught.value.code == "last_way_in"
    await bench.register(Authenticator())
    await bench.passkeys.remove(ANA.user_id, made.passkey_id)
    assert await bench.sign_in(phone.sign(bench.passkeys.begin_sign_in())) == "unknown"


def broken(part: str) -> st.SearchStrategy[str]:
    """Draw what could stand in the place of a part, or in it."""
    texts = st.text(alphabet="ABCxyz019_-", min_size=1, max_size=60)
    json_texts = st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=9),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
        max_leaves=6,
    ).map(lambda value: encode(json.dumps(value).encode()))
    cbor = st.recursive(
        st.none() | st.integers(-9, 2**40) | st.binary(max_size=80) | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["fmt", "attStmt", "authData", 1, 3, -1]), inner)
        ),
        max_leaves=6,
    ).map(lambda value: encode(cbor2.dumps(value)))
    bombs = st.sampled_from([encode(b"[" * 3000), encode(b"\x81" * 3000), encode(b"\x9f" * 3000)])
    raw = st.binary(max_size=300).map(encode)
    return st.one_of(texts, raw, bombs, cbor if part == "attestationObject" else json_texts)


@given(st.data())
def test_anything_else_raises_the_one_error(data: st.DataObject) -> None:
    """Whatever a stranger puts into the parts, nothing but the declared error comes out."""

    async def run() -> None:
        bench = Bench()
        phone = Authenticator()
        made = phone.make(await bench.passkeys.begin_registration(ANA))
        part = data.draw(st.sampled_from(["clientDataJSON", "attestationObject"]))
        made["response"][part] = data.draw(broken(part))
        with pytest.raises(InvalidPasskeyError):
            await bench.passkeys.register(ANA, made, name="")
        await bench.register(phone)
        signed = phone.sign(bench.passkeys.begin_sign_in())
        part = data.draw(st.sampled_from(sorted(signed["response"])))
        signed["response"][part] = data.draw(broken(part))
        assert await bench.sign_in(signed) != "ana"

    asyncio.run(run())


@given(st.binary(max_size=200), st.sampled_from(Purpose))
def test_a_challenge_is_one_that_we_made(challenge: bytes, purpose: Purpose) -> None:
    """Any other bytes are refused."""
    challenges = Challenges(KeyRing([NEW]), FrozenClock())
    with pytest.raises(InvalidPasskeyError):
        challenges.read(challenge, purpose, ANA.user_id)


def test_a_challenge_names_its_account() -> None:
    """Neither none nor another one fits."""
    challenges = Challenges(KeyRing([NEW]), FrozenClock())
    made = challenges.issue(Purpose.FACTOR, ANA.user_id)
    challenges.read(made, Purpose.FACTOR, ANA.user_id)
    tries: list[tuple[Purpose, UserId | None]] = [
        (Purpose.FACTOR, None),
        (Purpose.FACTOR, BEA.user_id),
        (Purpose.REGISTER, ANA.user_id),
    ]
    for purpose, user_id in tries:
        with pytest.raises(InvalidPasskeyError):
            challenges.read(made, purpose, user_id)


def test_passkeys_need_a_domain() -> None:
    """Without one nobody could say whose they are."""
    with pytest.raises(ConfigurationError, match="PASSKEY_RP_ID"):
        make_webauthn_checks(AuthenticationSettings())


def test_a_passkey_shows_no_key() -> None:
    """Nor the handle."""
    shown: Callable[[object], str] = repr
    passkey = Passkey(
        passkey_id="1",
        credential_id="c",
        user_id=ANA.user_id,
        user_handle=b"h4ndle",
        public_key=b"k3y",
        sign_count=0,
        backup_eligible=False,
        backed_up=False,
        transports=frozenset(),
        name="",
        created_at=FrozenClock().now(),
    )
    assert "h4ndle" not in shown(passkey)
    assert "k3y" not in shown(passkey)
