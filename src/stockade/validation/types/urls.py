"""Define addresses of the web: `HTTPURL` for links, `PublicHTTPURL` for what a server will call."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple, TypeAlias

import idna
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from stockade.validation.errors import FieldTypeError
from stockade.validation.types.addresses import IPAddress, is_public_address
from stockade.validation.types.text import require_string

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue

MAX_LENGTH: Final = 2_048
_MAX_HOST: Final = 253
_MAX_PORT: Final = 65_535
_PORTS: Final = {"http": 80, "https": 443}
# One reading and no other: no user name or password, no empty or padded port, no percent-encoding
# in the host. Readers disagree about everything that is left out here (CWE-436).
_URL: Final = re.compile(
    r"(?P<scheme>[Hh][Tt][Tt][Pp][Ss]?)://(?P<host>\[[0-9A-Fa-f:.]+\]|[^\x00-,/:-@\[-`{-\x7f]+)"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?(?P<rest>[/?#].*)?",
    re.DOTALL,
)
# What a browser or a template might take for the end of the URL, or for a solidus, and percent
# signs that encode nothing.
_REFUSED: Final = re.compile(r"[\x00-\x20\x7f\"<>\\^`]|%(?![0-9A-Fa-f]{2})")
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOSTNAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_ENCODED: Final = re.compile(r"(?:^|\.)xn--", re.IGNORECASE)
# A host that ends like this is an IPv4 address to browsers and C libraries, in whatever spelling:
# 2130706433, 0x7f.1, 017700000001.
_NUMERIC: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0[Xx][0-9A-Fa-f]*)")
# Names that lead into the network of whoever looks them up (RFC 6761, 6762 with appendix G, 7686,
# 8375, 9476; ICANN's resolution on .internal; names of service discovery).
_LOCAL_NAMES: Final = frozenset(
    {
        *("alt", "arpa", "consul", "corp", "example", "home", "internal", "intranet", "invalid"),
        *("lan", "local", "localdomain", "localhost", "mail", "onion", "private", "svc", "test"),
    }
)


class Target(NamedTuple):
    """What a URL leads to.

    Args:
        scheme: ``http`` or ``https``.
        host: As it was written, without the brackets of an IPv6 address.
        port: The port, also where it was not written.
        address: The host as an address, if it is one.
    """

    scheme: str
    host: str
    port: int
    address: IPAddress | None


@dataclass(frozen=True, slots=True)
class URLFormat:
    """A URL of HTTP with a host, and without a user name and a password.

    It is no longer than 2,048 characters and reads the same everywhere: no spaces, controls,
    backslashes or quotes, an IPv4 address in its usual form or none, and a host that is valid in
    IDNA 2008.

    Args:
        schemes: What it may start with; ``("https",)`` refuses plain HTTP.
        public: Whether a host that can only be inside of a network is refused. A name may still
            lead there: call `resolve_public` right before you connect.

    Raises:
        FieldTypeError: A scheme is neither ``http`` nor ``https``, or there is none.
        LooseSchemaError: It is put on something else than a ``str``.

    Source: RFC 3986, sections 3 and 7.4; RFC 5890; ASVS 5.0 V1.2.2 and V1.3.6; CWE-918.
    """

    schemes: tuple[str, ...] = ("http", "https")
    public: bool = False

    def __post_init__(self) -> None:
        if not self.schemes or not set(self.schemes) <= set(_PORTS):
            raise FieldTypeError("URLFormat takes the schemes http and https: name one or both")

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        schema = require_string(handler(source), type(self).__name__)
        schema.setdefault("max_length", MAX_LENGTH)
        return core_schema.no_info_after_validator_function(self._check, schema)

    def _check(self, value: str) -> str:
        target = read_url(value)
        if target is None or target.scheme not in self.schemes:
            raise PydanticCustomError("http_url", "Value is not a URL of an allowed form")
        if self.public and not is_public_target(target):
            raise PydanticCustomError("url_not_public", "URL leads into a network")
        return value

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(schema), "format": "uri"}


def read_url(value: str) -> Target | None:
    """Take a URL apart; None where it has no form that everybody reads the same."""
    # isprintable() is False for controls, unassigned and private characters, separators, and all
    # that is invisible or turns the direction of text.
    if len(value) > MAX_LENGTH or _REFUSED.search(value) or not value.isprintable():
        return None
    found = _URL.fullmatch(value)
    if found is None:
        return None
    scheme, host = found["scheme"].lower(), found["host"]
    port = int(found["port"] or _PORTS[scheme])
    try:
        address = _read_address(host)
    except ValueError:
        return None
    if port > _MAX_PORT or (address is None and not _is_hostname(host)):
        return None
    return Target(scheme, host.strip("[]"), port, address)


def _read_address(host: str) -> IPAddress | None:
    """Read a host that has to be an address; None where it is a name.

    Raises:
        ValueError: It is meant as an address and is none in the usual form.
    """
    if host.startswith("["):
        return IPv6Address(host[1:-1])
    return IPv4Address(host) if _NUMERIC.fullmatch(host) else None


def _is_hostname(host: str) -> bool:
    if len(host) > _MAX_HOST:
        return False
    if host.isascii() and not _ENCODED.search(host):
        return _HOSTNAME.fullmatch(host) is not None
    try:
        # Without the mapping of UTS #46, so that a full-width or an enclosed letter is refused.
        # Encoded labels are decoded and checked, too.
        idna.encode(host.lower() if host.isascii() else host, strict=True)
    except idna.IDNAError:
        return False
    return not host.endswith(".")


def is_public_target(target: Target) -> bool:
    """Tell whether a URL may lead to the public internet, as far as its text says.

    A host outside of ASCII is refused: IDNA 2003 and 2008 make different hosts of one text, and
    what is looked up must be what is called. Its encoded form, ``xn--...``, is the same to all.
    """
    if target.address is not None:
        return is_public_address(target.address)
    name, dot, top = target.host.lower().rpartition(".")
    return target.host.isascii() and bool(name and dot) and top not in _LOCAL_NAMES


HTTPURL: TypeAlias = Annotated[str, URLFormat()]
"""A URL to link to: HTTP or HTTPS, without user name and password, at most 2,048 characters."""

PublicHTTPURL: TypeAlias = Annotated[str, URLFormat(public=True)]
"""A URL for the server to call: an `HTTPURL` whose host is not inside of a network."""
