"""A URL reads the same to everybody, and a public one names no place inside of a network."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from stockade.errors import ConfigurationError
from stockade.validation import HTTPURL, PublicHTTPURL
from stockade.validation.errors import FieldTypeError, LooseSchemaError
from stockade.validation.types import URLFormat
from stockade.validation.types.urls import read_url

LINKS = TypeAdapter(HTTPURL)
PUBLIC = TypeAdapter(PublicHTTPURL)


def code_of(adapter: TypeAdapter[str], value: str) -> str | None:
    """Return the code that a value is refused with, or None where it is accepted unchanged."""
    try:
        accepted = adapter.validate_python(value)
    except ValidationError as error:
        (problem,) = error.errors()
        return problem["type"]
    assert accepted == value
    return None


@pytest.mark.parametrize(
    "value",
    [
        "https://example.com",
        "http://example.com/",
        "HTTPS://Example.COM/Path",
        "https://example.com:8443/a/b?c=d&e[]=f#g",
        "https://example.com?x=1",
        "https://example.com#top",
        "https://sub-domain.example.co.uk/a;b=c/~user/@name",
        "https://r3---sn-a5mekn.example.com/",
        "https://xn--mnchen-3ya.de/",
        "https://example.com/%C3%A9?q=100%25",
        "https://example.com/k\u00e4se?q=\u00e9#\u4f8b",
        "https://8.8.8.8/",
        "https://[2606:4700:4700::1111]:443/dns-query",
        "https://example.com/" + "x" * 2_028,
    ],
    ids=lambda value: ascii(value)[:50],
)
def test_public_urls_are_accepted_as_they_are(value: str) -> None:
    """What leads to a web site passes both types unchanged."""
    assert code_of(LINKS, value) is None
    assert code_of(PUBLIC, value) is None


NO_URL = [
    "",
    "example.com",
    "//example.com/",
    "/path",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\nscript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "file:///etc/passwd",
    "ftp://example.com/",
    "gopher://example.com:6379/_FLUSHALL",
    "dict://example.com:11211/stats",
    "ldap://example.com/",
    "jar:http://example.com!/",
    "url:http://example.com/",
    "view-source:http://example.com/",
    "http",
    "http:",
    "http:/",
    "http://",
    "http:///example.com/",
    "http:example.com",
    "http:/example.com",
    "http:\\\\example.com\\",
    "http://?x",
    "http://#x",
    "http:///",
    "http\uff1a//example.com/",
    "http://example.com\uff0fpath@evil.example.org/",
    # The long s is an s without regard to case.
    "http\u017f://example.com/",
    # A user name hides the host; each of these is read in two ways.
    "http://user@example.com/",
    "http://user:password@example.com/",
    "http://@example.com/",
    "http://:@example.com/",
    "http://example.com@127.0.0.1/",
    "http://example.com:80@127.0.0.1/",
    "http://127.0.0.1:80\\@example.com/",
    "http://example.com\\@127.0.0.1/",
    "http://example.com#@127.0.0.1\\",
    "http://example.com\t@127.0.0.1/",
    "http://foo@127.0.0.1@example.com/",
    "http://foo@127.0.0.1 @example.com/",
    "http://[::1]@example.com/",
    "http://127.0.0.1%40example.com/",
    "http://127.0.0.1\u0000.example.com/",
    "http://127.0.0.1%00.example.com/",
    "http://127.0.0.1%2f.example.com/",
    # Ports.
    "http://example.com:/",
    "http://example.com:0/",
    "http://example.com:080/",
    "http://example.com:65536/",
    "http://example.com:99999/",
    "http://example.com:123456/",
    "http://example.com:-1/",
    "http://example.com:80a/",
    "http://example.com:\u0668\u0660/",
    "http://example.com:80:80/",
    "http://example.com:port/",
    # Spaces, controls, what ends an attribute, and percent signs that encode nothing.
    " http://example.com/",
    "http://example.com/ ",
    "http://example.com/a b",
    "http://example.com/\n",
    "http://example.com/\r\nHost: evil.example.org",
    "http://exa\nmple.com/",
    "http://exa\tmple.com/",
    "http://example.com/\x00",
    "http://example.com/\x7f",
    "http://example.com/\x85",
    "http://example.com/\u00a0",
    "http://example.com/\u2028",
    "http://example.com/\u202etxt.exe",
    "http://example.com/\u200b",
    "http://example.com/\ue000",
    "http://example.com/\ufeff",
    'http://example.com/"onclick="alert(1)',
    "http://example.com/<script>",
    "http://example.com/`a`",
    "http://example.com/a\\b",
    "http://example.com/a^b",
    "http://example.com/%",
    "http://example.com/%4",
    "http://example.com/%zz",
    "http://example.com/%\u0664\u0661",
    # Hosts that are none.
    "http://-example.com/",
    "http://example-.com/",
    "http://exa_mple.com/",
    "http://.example.com/",
    "http://example..com/",
    "http://example.com./",
    "http://./",
    "http://../",
    "http://*.example.com/",
    "http://{host}/",
    "http://${host}/",
    "http://exam!ple.com/",
    "http://exam,ple.com/",
    "http://%65xample.com/",
    "http://" + "a" * 64 + ".com/",
    "http://" + "a." * 127 + "com/",
    "http://xn--0.com/",
    "http://xn--a.com/",
    "http://xn--.com/",
    "http://XN--0.com/",
    "http://m\u00fcnchen.de./",
    "http://" + "\u00e4" * 63 + ".com/",
    # IDNA 2008 maps nothing: full width, enclosed, other full stops, invisible.
    "http://\uff45xample.com/",
    "http://\u24d4xample.com/",
    "http://example\u3002com/",
    "http://example\uff0ecom/",
    "http://example\uff61com/",
    "http://exam\u00adple.com/",
    "http://exam\u200bple.com/",
    "http://exam\u200dple.com/",
    "http://ex\u2044ample.com/",
    "http://\u2100.example.com/",
    "http://\u2488example.com/",
    "http://EXAMPL\u00c9.com/",
    "http://e\u0301xample.com/",
    "http://\u05d01a.com/",
    "http://\U0001f4a9.la/",
    # Addresses in another than the one spelling.
    "http://127.1/",
    "http://127.0.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0X7F.0.0.1/",
    "http://0x7f.1/",
    "http://0x/",
    "http://017700000001/",
    "http://0177.0.0.1/",
    "http://0177.0.0.01/",
    "http://127.0.0.001/",
    "http://127.0.0.1./",
    "http://127.0.0.1.0/",
    "http://127.0.0.256/",
    "http://127.0.0.0x1/",
    "http://0/",
    "http://00/",
    "http://1/",
    "http://425.510.425.510/",
    "http://7147006462/",
    "http://4294967296/",
    "http://example.1/",
    "http://example.0x1/",
    "http://\u2460\u2461\u2466.\u24ea.\u24ea.\u2460/",
    "http://\uff11\uff12\uff17.0.0.1/",
    "http://127\u30020\u30020\u30021/",
    "http://\u0661\u0662\u0667.0.0.1/",
    "http://[::1/",
    "http://::1/",
    "http://[]/",
    "http://[:]/",
    "http://[::1]x/",
    "http://[::1].example.com/",
    "http://[::1%25eth0]/",
    "http://[::1%eth0]/",
    "http://[fe80::1%25lo]/",
    "http://[1.2.3.4]/",
    "http://[::1.2.3]/",
    "http://[::01.2.3.4]/",
    "http://[v1.a]/",
    "http://[[::1]]/",
    "http://[\uff1a\uff1a1]/",
    "http://[1:2:3:4:5:6:7:8:9]/",
    "http://[::12345]/",
]


@pytest.mark.parametrize("value", NO_URL, ids=lambda value: ascii(value)[:60])
def test_what_can_be_read_in_two_ways_is_refused(value: str) -> None:
    """Other schemes, user names, odd hosts and odd addresses are no URL to either type."""
    assert code_of(LINKS, value) == "http_url"
    assert code_of(PUBLIC, value) == "http_url"


INSIDE = [
    "http://localhost/",
    "http://LOCALHOST:8000/",
    "http://a.localhost/",
    "http://localhost.localdomain/",
    "http://printer.local/",
    "http://Printer.LOCAL/",
    "http://metadata.google.internal/computeMetadata/v1/",
    "http://host.docker.internal/",
    "http://router.home.arpa/",
    "http://1.0.0.127.in-addr.arpa/",
    "http://ipv4only.arpa/",
    "http://wiki.intranet/",
    "http://dc1.corp/",
    "http://nas.lan/",
    "http://nas.home/",
    "http://a.private/",
    "http://a.test/",
    "http://a.invalid/",
    "http://a.example/",
    "http://a.onion/",
    "http://a.alt/",
    "http://kubernetes.default.svc/",
    "http://kubernetes.default.svc.cluster.local/",
    "http://vault.service.consul/",
    "http://metadata/",
    "http://instance-data/latest/meta-data/",
    "http://redis:6379/",
    "http://db/",
    "http://com/",
    "http://127.0.0.1/",
    "http://127.0.0.1:22/",
    "http://127.127.127.127/",
    "http://0.0.0.0/",
    "http://10.0.0.1/",
    "http://100.64.0.1/",
    "http://100.100.100.200/latest/meta-data/",
    "http://168.63.129.16/",
    "http://169.254.169.254/latest/meta-data/iam/security-credentials/",
    "http://169.254.170.2/v2/credentials/",
    "http://172.16.0.1/",
    "http://192.0.0.192/opc/v1/instance/",
    "http://192.168.0.1/",
    "http://198.18.0.1/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://[::]/",
    "http://[::1]/",
    "http://[0:0:0:0:0:0:0:1]:80/",
    "http://[0000::1]/",
    "http://[::127.0.0.1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::FFFF:7F00:1]/",
    "http://[0:0:0:0:0:ffff:169.254.169.254]/",
    "http://[::ffff:8.8.8.8]/",
    "http://[64:ff9b::127.0.0.1]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[64:ff9b:1::1]/",
    "http://[2002:7f00:1::]/",
    "http://[2001:0:0:0:0:0:80ff:fffe]/",
    "http://[fc00::1]/",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "http://[fe80::1]/",
    "http://[fec0::1]/",
    "http://[ff02::1]/",
    "http://[2001:db8::1]/",
]


@pytest.mark.parametrize("value", INSIDE)
def test_places_inside_of_a_network_are_not_public(value: str) -> None:
    """A link may lead there; the server may not."""
    assert code_of(LINKS, value) is None
    assert code_of(PUBLIC, value) == "url_not_public"


@pytest.mark.parametrize(
    "value",
    [
        "https://m\u00fcnchen.de/",
        "https://fa\u00df.de/",
        "https://\u4f8b\u3048.jp/",
        "https://\u043f\u0440\u0438\u043c\u0435\u0440.\u0440\u0444/",
    ],
    ids=ascii,
)
def test_hosts_of_other_scripts_are_links_only(value: str) -> None:
    """IDNA 2003 and 2008 make two hosts of one text, so that the server wants the encoded one."""
    assert code_of(LINKS, value) is None
    assert code_of(PUBLIC, value) == "url_not_public"


@pytest.mark.parametrize("adapter", [LINKS, PUBLIC], ids=["link", "public"])
def test_length_is_limited(adapter: TypeAdapter[str]) -> None:
    """A longer URL is refused by its length."""
    assert code_of(adapter, "https://example.com/" + "x" * 2_029) == "string_too_long"


def test_a_field_can_not_allow_more_than_the_type() -> None:
    """A wider limit of the field changes nothing; a narrower one holds."""

    class Model(BaseModel):
        wide: HTTPURL = Field(default="http://a.de", max_length=10_000)
        narrow: HTTPURL = Field(default="http://a.de", max_length=20)

    Model(wide="https://example.com/" + "x" * 2_028)
    for wrong in (
        {"wide": "https://example.com/" + "x" * 2_029},
        {"narrow": "https://example.com/x"},
    ):
        with pytest.raises(ValidationError):
            Model.model_validate(wrong)


def test_schemes_are_an_option() -> None:
    """Hooks that must be encrypted refuse plain HTTP."""
    hooks = TypeAdapter(Annotated[str, URLFormat(schemes=("https",), public=True)])
    assert code_of(hooks, "https://example.com/hook") is None
    assert code_of(hooks, "HTTPS://example.com/hook") is None
    assert code_of(hooks, "http://example.com/hook") == "http_url"


@pytest.mark.parametrize("schemes", [(), ("ftp",), ("http", "javascript"), ("HTTP",)], ids=repr)
def test_other_schemes_can_not_be_allowed(schemes: tuple[str, ...]) -> None:
    """An option that would open the type stops the start."""
    with pytest.raises(FieldTypeError) as caught:
        URLFormat(schemes=schemes)
    assert isinstance(caught.value, ConfigurationError)


def test_urls_are_text() -> None:
    """The format stands on a string."""
    with pytest.raises(LooseSchemaError):
        TypeAdapter(Annotated[bytes, URLFormat()])


def test_clients_see_that_it_is_a_url() -> None:
    """The JSON schema has the format and the length."""
    assert PUBLIC.json_schema() == {"type": "string", "format": "uri", "maxLength": 2_048}


def test_the_host_of_a_target_is_what_is_looked_up() -> None:
    """Ports have their defaults, and an address loses its brackets."""
    target = read_url("HTTPS://[2606:4700::1]/x")
    assert target is not None
    assert (target.scheme, target.host, target.port) == ("https", "2606:4700::1", 443)
    target = read_url("http://Example.com:8080?x")
    assert target is not None
    assert (target.host, target.port, target.address) == ("Example.com", 8080, None)


_PIECES = st.sampled_from(
    [
        *("http", "https", "HTTP", ":", "/", "//", "\\", "@", "#", "?", "[", "]", "%", "%41", "."),
        *("example", "com", "localhost", "127.0.0.1", "::1", "0x7f", "017", "1", "80", "user", "-"),
        *("\t", "\n", " ", "\0", "\u3002", "\uff0f", "\u2460", "\u200b", "\u00e9", "xn--", "_"),
    ]
)


@given(
    st.builds(
        "{}{}".format,
        st.sampled_from(["http://", "https://", ""]),
        st.lists(_PIECES, max_size=9).map("".join) | st.text(max_size=20),
    )
)
def test_other_readers_see_the_same_host(value: str) -> None:
    """Whatever is accepted has one host and one port, to us and to two other parsers."""
    target = read_url(value)
    if target is None:
        assert code_of(LINKS, value) == "http_url"
        return
    assert code_of(LINKS, value) is None
    split = urlsplit(value)
    assert split.hostname == target.host.lower()
    assert (split.port or {"http": 80, "https": 443}[split.scheme]) == target.port
    assert split.username is None
    assert split.password is None
    if target.host.isascii():
        other = httpx2.URL(value)
        assert other.host.lower() == split.hostname or other.raw_host.startswith(b"xn--")
        assert not other.userinfo
