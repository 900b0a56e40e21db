import contextlib
import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.authentication.errors import InvalidTokenError
from stockade.authentication.id_tokens import Expectation, IDTokenVerifier, ProvenIdentity
from stockade.authentication.issuer_keys import IssuerKeys
from stockade.events import EventLog
from tests.clock import FrozenClock
from tests.unit.authentication.helpers import encode
from tests.unit.authentication.issuers import NOW, make_key
from tests.unit.authentication.test_provider_metadata import ISSUER, make_settings

EXPECTED = Expectation(nonce="n-1", access_token="at-1")
KEYS = {name: make_key(name) for name in ("Ed25519", "ES256", "RS256")}


class Bench:
    """Verifies tokens that it signs itself."""

    def __init__(self, *algorithms: str) -> None:
        self.clock = FrozenClock()
        settings = make_settings(algorithms=algorithms or tuple(KEYS))
        events = EventLog([], clock=self.clock)
        keys = IssuerKeys("local", settings, self._fetch, events=events, clock=self.clock)
        self.verifier = IDTokenVerifier(settings, keys, leeway=10, clock=self.clock)

    async def _fetch(self) -> dict[Any, Any]:
        found = [key.verification for key in KEYS.values()]
        return {(key.kid, key.algorithm): key for key in found}

    async def verify(
        self,
        payload: bytes | None = None,
        *,
        algorithm: str = "Ed25519",
        header: dict[str, object] | None = None,
        expected: Expectation = EXPECTED,
        **claims: object,
    ) -> ProvenIdentity:
        """Sign a token and verify it; None takes a claim or a member of the header away."""
        head: dict[str, object] = {"alg": algorithm, "kid": "one", **(header or {})}
        body: dict[str, object] = {
            "iss": ISSUER,
            "aud": "app",
            "sub": "ana",
            "nonce": "n-1",
            "iat": NOW,
            "exp": NOW + 300,
            **claims,
        }
        head = {name: value for name, value in head.items() if value is not None}
        body = {name: value for name, value in body.items() if value is not None}
        raw = json.dumps(body).encode() if payload is None else payload
        signed = f"{encode(head)}.{encode(raw)}"
        signature = KEYS[algorithm].sign(signed.encode())
        return await self.verifier.verify(f"{signed}.{encode(signature)}", expected)

    async def refuse(self, **values: Any) -> str:  # noqa: ANN401 - any claim
        """Expect a refusal, and return its reason."""
        with pytest.raises(InvalidTokenError) as caught:
            await self.verify(**values)
        return caught.value.reason.removeprefix("authentication.")


@pytest.mark.parametrize("algorithm", KEYS)
async def test_a_token_says_who_has_signed_in(algorithm: str) -> None:
    """By each of the algorithms of the settings, with the hash that belongs to it."""
    method = hashlib.sha512 if algorithm == "Ed25519" else hashlib.sha256
    digest = method(b"at-1").digest()
    half = encode(digest[: len(digest) // 2])
    found = await Bench().verify(algorithm=algorithm, at_hash=half, auth_time=NOW - 5)
    assert (found.issuer, found.subject, found.email) == (ISSUER, "ana", None)
    assert found.authenticated_at == datetime.fromtimestamp(NOW - 5, tz=UTC)
    assert await Bench().refuse(algorithm=algorithm, at_hash=encode(digest)) == "token_access_hash"


@pytest.mark.parametrize("algorithm", KEYS)
async def test_an_algorithm_that_is_not_in_the_settings_is_refused(algorithm: str) -> None:
    """Although the provider has a key for it."""
    others = [name for name in KEYS if name != algorithm]
    assert await Bench(*others).refuse(algorithm=algorithm) == "token_algorithm"


async def test_a_key_verifies_by_its_own_algorithm_alone() -> None:
    """A header that names another one finds no key, or no signature that holds."""
    reason = await Bench().refuse(algorithm="ES256", header={"alg": "RS256"})
    assert reason in {"token_key", "token_signature"}


@pytest.mark.parametrize(
    ("audience", "party", "reason"),
    [
        ("app", None, None),
        (["app"], None, None),
        (["app"], "app", None),
        (["app", "other"], "app", None),
        (["other", "app"], None, "token_party"),
        (["other", "app"], "other", "token_party"),
        ("app", "other", "token_party"),
        ("app", ["app"], "token_party"),
        ("other", "app", "token_audience"),
        ([], None, "token_audience"),
        (["app", 7], "app", "token_audience"),
        (["app"] * 21, "app", "token_audience"),
        ({"app": 1}, None, "token_audience"),
        ("App", None, "token_audience"),
        (None, None, "token_audience"),
    ],
)
async def test_a_token_is_for_this_application(
    audience: object, party: object, reason: str | None
) -> None:
    """It was asked for by it, and by nobody else that it is for as well."""
    if reason is None:
        assert (await Bench().verify(aud=audience, azp=party)).subject == "ana"
    else:
        assert await Bench().refuse(aud=audience, azp=party) == reason


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": NOW}, "token_expired"),
        ({"exp": float(NOW + 9)}, "token_claims"),
        ({"exp": True}, "token_claims"),
        ({"iat": None}, "token_claims"),
        ({"iat": NOW + 11}, "token_not_yet_valid"),
        ({"nbf": NOW + 11}, "token_not_yet_valid"),
        ({"nbf": "x"}, "token_claims"),
        ({"auth_time": NOW + 11}, "token_not_yet_valid"),
        ({"auth_time": -1}, "token_claims"),
        ({"sub": None}, "token_claims"),
        ({"sub": "x" * 256}, "token_claims"),
        ({"sub": ["ana"]}, "token_claims"),
        ({"nonce": ["n-1"]}, "token_nonce"),
        ({"nonce": "n-1 "}, "token_nonce"),
    ],
)
async def test_a_claim_that_does_not_hold_is_refused(
    claims: dict[str, object], reason: str
) -> None:
    """Also one of the wrong type."""
    assert await Bench().refuse(**claims) == reason


async def test_a_clock_may_be_a_little_ahead() -> None:
    """Nothing holds longer for that."""
    ahead: list[dict[str, Any]] = [
        {"iat": NOW + 10, "nbf": NOW + 10, "auth_time": NOW + 10},
        {"exp": NOW + 1},
    ]
    for times in ahead:
        assert (await Bench().verify(**times)).subject == "ana"


@pytest.mark.parametrize(
    ("auth_time", "holds"), [(NOW, True), (NOW - 10, True), (NOW - 11, False), (None, False)]
)
async def test_a_fresh_sign_in_is_dated(auth_time: int | None, holds: bool) -> None:
    """Where one was asked for, an older one and an undated one are refused."""
    expected = Expectation(nonce="n-1", access_token="at-1", signed_in_since=NOW)
    if holds:
        found = await Bench().verify(expected=expected, auth_time=auth_time)
        assert found.subject == "ana"
    else:
        reason = await Bench().refuse(expected=expected, auth_time=auth_time)
        assert reason == "token_sign_in_too_old"


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"kid": None}, "token_key"),
        ({"kid": 7}, "token_key"),
        ({"kid": "a b"}, "token_key"),
        ({"alg": None}, "token_algorithm"),
        ({"alg": ["EdDSA"]}, "token_algorithm"),
        ({"alg": "NONE"}, "token_algorithm"),
        ({"alg": "HS256"}, "token_algorithm"),
        ({"typ": 7}, "token_type"),
        ({"typ": "dpop+jwt"}, "token_type"),
        ({"jku": "https://evil.example/keys"}, "token_header"),
        ({"x5c": []}, "token_header"),
        ({"b64": False}, "token_header"),
    ],
)
async def test_a_header_chooses_nothing(header: dict[str, object], reason: str) -> None:
    """It agrees with the settings, or ends in a refusal."""
    assert await Bench().refuse(header=header) == reason


@pytest.mark.parametrize("kind", [None, "JWT", "jwt"])
async def test_an_identity_token_says_no_more_than_that_it_is_a_token(kind: str | None) -> None:
    """Or not even that."""
    assert (await Bench().verify(header={"typ": kind})).subject == "ana"


async def test_names_given_twice_are_refused() -> None:
    """Two readers would see two people."""
    body = f'{{"iss":"{ISSUER}","aud":"app","sub":"ana","sub":"bea","nonce":"n-1","exp":{NOW + 9}}}'
    assert await Bench().refuse(payload=body.encode()) == "token_claims"


async def test_claims_are_shown_and_not_changed() -> None:
    """Whoever places newcomers reads what was verified."""
    found = await Bench().verify(groups=["staff"])
    assert found.claims["groups"] == ["staff"]
    with pytest.raises(TypeError):
        found.claims["groups"] = []  # type: ignore[index]  # That is the point.
    assert "staff" not in repr(found)


@given(
    st.dictionaries(
        st.sampled_from(
            (
                *("iss", "aud", "azp", "sub", "exp", "iat", "nbf", "nonce", "at_hash"),
                *("auth_time", "amr", "email", "email_verified"),
            )
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.text(max_size=3), inner, max_size=3)
            ),
            max_leaves=5,
        ),
    ),
)
async def test_any_claims_are_believed_or_refused(claims: dict[str, Any]) -> None:
    """With the one error and no other."""
    whole: dict[str, Any] = {
        "iss": ISSUER,
        "aud": "app",
        "sub": "ana",
        "nonce": "n-1",
        "iat": NOW,
        "exp": NOW + 300,
        **claims,
    }
    with contextlib.suppress(InvalidTokenError):
        found = await Bench().verify(payload=json.dumps(whole).encode())
        assert found.subject == whole["sub"]
        assert found.email is None or found.email == whole["email"].lower()
