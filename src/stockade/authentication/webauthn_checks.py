"""Check what browsers send for passkeys, by the library ``webauthn`` of the extra ``passkeys``.

What the library leaves to its caller is checked here: that the page was not framed by another
site, that an attestation is of a kind that we asked for, that a passkey stays one that may be
backed up or not. Counting is left to the store, where it is one statement.

Source: Web Authentication Level 3 (W3C), sections 7.1 and 7.2.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from stockade.authentication.errors import InvalidPasskeyError
from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from stockade.authentication.models import Passkey
    from stockade.authentication.settings import AuthenticationSettings

# EdDSA, ES256 and RS256: what authenticators of today have (RFC 9053).
_ALGORITHMS: Final = (-8, -7, -257)
# We ask for no attestation: an anonymous one, or one by the key itself, is all that comes.
_FORMATS: Final = frozenset({"none", "packed"})
_TRANSPORTS: Final = frozenset({"ble", "cable", "hybrid", "internal", "nfc", "smart-card", "usb"})
_TIMEOUT: Final = 300_000
# The library reads what a stranger sends, and lets errors of its parts through: a key that is no
# mapping, a number that is a text, nesting without end.
_UNREADABLE: Final = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MadePasskey:
    """What a registration that holds says."""

    credential_id: str
    public_key: bytes
    sign_count: int
    backup_eligible: bool
    backed_up: bool
    transports: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedPasskey:
    """What an assertion that holds says."""

    sign_count: int
    backed_up: bool


class WebAuthnChecks:
    """Check registrations and assertions.

    Args:
        rp_id: The domain that passkeys belong to.
        rp_name: What browsers call the application.
        origins: Where pages may use them.
        verification: ``required`` or ``preferred``, for passkeys as a second factor.

    Raises:
        ConfigurationError: The library is not installed.
    """

    def __init__(
        self, *, rp_id: str, rp_name: str, origins: tuple[str, ...], verification: str
    ) -> None:
        self._library, refused = _import_library()
        self._refused: tuple[type[Exception], ...] = (*refused, *_UNREADABLE)
        self._rp_id = rp_id
        self._rp_name = rp_name
        self._origins = list(origins)
        self._verification = verification

    def describe_registration(
        self, challenge: bytes, *, handle: bytes, name: str, known: Sequence[Passkey]
    ) -> dict[str, Any]:
        """Write ``PublicKeyCredentialCreationOptionsJSON``."""
        return {
            "rp": {"id": self._rp_id, "name": self._rp_name},
            "user": {"id": encode(handle), "name": name, "displayName": name},
            "challenge": encode(challenge),
            "pubKeyCredParams": [
                {"type": "public-key", "alg": algorithm} for algorithm in _ALGORITHMS
            ],
            "timeout": _TIMEOUT,
            "excludeCredentials": [_describe(passkey) for passkey in known],
            "authenticatorSelection": {
                # One that is found without a name can sign in by itself.
                "residentKey": "required",
                "requireResidentKey": True,
                "userVerification": "required",
            },
            "attestation": "none",
        }

    def describe_request(
        self, challenge: bytes, *, known: Sequence[Passkey], must_verify: bool
    ) -> dict[str, Any]:
        """Write ``PublicKeyCredentialRequestOptionsJSON``."""
        return {
            "challenge": encode(challenge),
            "timeout": _TIMEOUT,
            "rpId": self._rp_id,
            "allowCredentials": [_describe(passkey) for passkey in known],
            "userVerification": "required" if must_verify else self._verification,
        }

    def read_challenge(self, credential: dict[str, Any]) -> bytes:
        """Return the challenge that a browser says was signed; nothing is verified by that.

        Raises:
            InvalidPasskeyError: It can't be read, or a page of another site framed ours.
        """
        try:
            raw = _decode(credential["response"]["clientDataJSON"])
            data = self._library.helpers.parse_client_data_json(raw)
        except self._refused:
            raise InvalidPasskeyError(reason="authentication.passkey_malformed") from None
        if data.cross_origin:
            raise InvalidPasskeyError(reason="authentication.passkey_framed")
        challenge: bytes = data.challenge
        return challenge

    def read_handle(self, credential: dict[str, Any]) -> bytes | None:
        """Return the handle of the account that a passkey names, if it names one.

        Raises:
            InvalidPasskeyError: It can't be read.
        """
        handle = credential["response"].get("userHandle")
        try:
            return None if handle is None else _decode(handle)
        except ValueError:
            raise InvalidPasskeyError(reason="authentication.passkey_malformed") from None

    def verify_registration(self, credential: dict[str, Any], *, challenge: bytes) -> MadePasskey:
        """Return what a registration says.

        Args:
            credential: What the browser sent; untrusted.
            challenge: The challenge that it has to be for.

        Raises:
            InvalidPasskeyError: Anything about it does not hold.
        """
        library = self._library
        try:
            attestation = library.helpers.parse_attestation_object(
                _decode(credential["response"]["attestationObject"])
            )
            certified = getattr(attestation.att_stmt, "x5c", None) is not None
            if attestation.fmt not in _FORMATS or certified:
                raise InvalidPasskeyError(reason="authentication.passkey_attestation")
            verified = library.verify_registration_response(
                credential=credential,
                expected_challenge=challenge,
                expected_rp_id=self._rp_id,
                expected_origin=self._origins,
                require_user_verification=True,
                supported_pub_key_algs=list(_ALGORITHMS),
            )
        except self._refused:
            raise InvalidPasskeyError(reason="authentication.passkey_wrong") from None
        identifier = encode(verified.credential_id)
        if identifier != credential["id"]:
            raise InvalidPasskeyError(reason="authentication.passkey_wrong")
        named = credential["response"].get("transports") or ()
        return MadePasskey(
            credential_id=identifier,
            public_key=verified.credential_public_key,
            sign_count=verified.sign_count,
            backup_eligible=verified.credential_device_type == "multi_device",
            backed_up=verified.credential_backed_up,
            transports=_TRANSPORTS.intersection(named),
        )

    def verify_assertion(
        self, credential: dict[str, Any], *, challenge: bytes, passkey: Passkey, must_verify: bool
    ) -> UsedPasskey:
        """Return what an assertion says.

        Args:
            credential: What the browser sent; untrusted.
            challenge: The challenge that it has to be for.
            passkey: The passkey that it has to be of.
            must_verify: Whether the user has to be verified whatever the settings say.

        Raises:
            InvalidPasskeyError: Anything about it does not hold.
        """
        try:
            verified = self._library.verify_authentication_response(
                credential=credential,
                expected_challenge=challenge,
                expected_rp_id=self._rp_id,
                expected_origin=self._origins,
                credential_public_key=passkey.public_key,
                # The store compares, and changes the count in the same statement.
                credential_current_sign_count=0,
                require_user_verification=must_verify or self._verification == "required",
            )
        except self._refused:
            raise InvalidPasskeyError(
                reason="authentication.passkey_wrong", user_id=passkey.user_id
            ) from None
        if (verified.credential_device_type == "multi_device") != passkey.backup_eligible:
            # Section 7.2, step 18: it is a property of the passkey and never changes.
            raise InvalidPasskeyError(
                reason="authentication.passkey_wrong", user_id=passkey.user_id
            )
        return UsedPasskey(
            sign_count=verified.new_sign_count, backed_up=verified.credential_backed_up
        )


def make_webauthn_checks(settings: AuthenticationSettings) -> WebAuthnChecks:
    """Build the checks that the settings ask for.

    Raises:
        ConfigurationError: They name no domain, or the library is not installed.
    """
    domain = settings.passkey_rp_id
    if domain is None:
        message = (
            "passkeys belong to a domain: set STOCKADE_AUTHENTICATION__PASSKEY_RP_ID, such as to"
            " example.com"
        )
        raise ConfigurationError(message)
    return WebAuthnChecks(
        rp_id=domain,
        rp_name=settings.display_name or settings.issuer,
        origins=settings.passkey_origins or (f"https://{domain}",),
        verification=settings.passkey_verification,
    )


def _import_library() -> tuple[ModuleType, tuple[type[Exception], ...]]:
    try:
        import webauthn  # noqa: PLC0415 - an extra, imported where it is needed
        import webauthn.helpers.exceptions  # noqa: PLC0415

    except ImportError:
        message = (
            "passkeys need a library: install stockade[passkeys], or take"
            " STOCKADE_AUTHENTICATION__PASSKEY_RP_ID away"
        )
        raise ConfigurationError(message) from None
    kinds = (webauthn.helpers.exceptions.WebAuthnException, InvalidSignature, UnsupportedAlgorithm)
    return webauthn, kinds


def _describe(passkey: Passkey) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "public-key", "id": passkey.credential_id}
    if passkey.transports:
        found["transports"] = sorted(passkey.transports)
    return found


def encode(value: bytes) -> str:
    """Write bytes as browsers do: base64url without padding."""
    return base64.urlsafe_b64encode(value).decode("ascii").rstrip("=")


def _decode(value: str) -> bytes:
    """Read what browsers write.

    Raises:
        ValueError: It is something else.
    """
    return base64.b64decode(value.encode() + b"=" * (-len(value) % 4), b"-_", validate=True)
