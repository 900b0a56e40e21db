"""Expect each form of address to be read, and no malformed one to be repeated."""

from ssl import TLSVersion

import pytest
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster

from stockade.errors import ConfigurationError
from stockade.storage import limit_store
from stockade.storage.redis import RedisClusterLimitStore, RedisLimitStore
from stockade.storage.redis.addresses import open_client


def options(url: str) -> dict[str, object]:
    """Return what the connections of a client are made with."""
    client = open_client(url, timeout=0.5, trips=2).client
    if isinstance(client, RedisCluster):
        found: dict[str, object] = client.nodes_manager.connection_kwargs
        return found
    return dict(client.connection_pool.connection_kwargs)


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("valkey://127.0.0.1:1/0", RedisLimitStore),
        ("valkeys://127.0.0.1:1/0", RedisLimitStore),
        ("redis+sentinel://127.0.0.1:1,127.0.0.1:2/primary", RedisLimitStore),
        ("rediss+sentinel://:p@127.0.0.1:1/primary/3", RedisLimitStore),
        ("valkey+sentinel://127.0.0.1/primary", RedisLimitStore),
        ("redis+cluster://127.0.0.1:1,127.0.0.1:2", RedisClusterLimitStore),
        ("rediss+cluster://u:p@127.0.0.1:1/0", RedisClusterLimitStore),
        ("valkeys+cluster://[::1]:7000,[::1]", RedisClusterLimitStore),
    ],
)
def test_known_addresses(url: str, kind: type[object]) -> None:
    """The scheme chooses the store; nothing is connected yet."""
    assert type(limit_store(url)) is kind


@pytest.mark.parametrize(
    "url",
    [
        "redis+nonsense://:s3cret@h",
        "redis+cluster+sentinel://:s3cret@h",
        "rediss+://:s3cret@h",
        "redis+cluster://:s3cret@",
        "redis+cluster://:s3cret@h:0",
        "redis+cluster://:s3cret@h:65536",
        "redis+cluster://:s3cret@h:1,",
        "redis+cluster://:s3cret@h h",
        "redis+cluster://:s3cret@h/1",
        "redis+cluster://:s3cret@h?decode_responses=yes",
        "redis+cluster://h?sentinel_password=s3cret",
        "redis+cluster://:s3cret@h?protocol=x",
        "redis+sentinel://:s3cret@h",
        "redis+sentinel://:s3cret@h/",
        "redis+sentinel://:s3cret@h/primary/x",
        "redis+sentinel://:s3cret@h/primary?nonsense",
    ],
)
def test_malformed_addresses(url: str) -> None:
    """What is no address is refused, and its password is not repeated."""
    with pytest.raises(ConfigurationError) as caught:
        limit_store(url)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("kind", ["redis+cluster://{}h:7000", "redis+sentinel://{}h:7000/primary"])
def test_credentials(kind: str) -> None:
    """User and password are read with their escapes, and go to the servers."""
    found = options(kind.format("us%3Aer:p%40ss@"))
    assert (found["username"], found["password"]) == ("us:er", "p@ss")


@pytest.mark.parametrize("kind", ["cluster://h", "sentinel://h/primary"])
def test_every_call_ends_in_time(kind: str) -> None:
    """Connecting and answers are bounded, and nothing is sent twice."""
    found = options(f"redis+{kind}")
    assert (found["socket_timeout"], found["socket_connect_timeout"]) == (0.5, 0.5)
    client = open_client(f"redis+{kind}", timeout=0.5, trips=2).client
    if isinstance(client, RedisCluster):
        assert client.retry.get_retries() == 0


def test_sentinels_have_credentials_of_their_own() -> None:
    """The password of the Sentinels goes to them alone."""
    opened = open_client(
        "redis+sentinel://:one@h:1/primary?sentinel_password=two", timeout=0.5, trips=2
    )
    assert isinstance(opened.client, Redis)
    assert opened.client.connection_pool.connection_kwargs["password"] == "one"
    assert [each.connection_pool.connection_kwargs["password"] for each in opened.others] == ["two"]


@pytest.mark.parametrize("kind", ["cluster://h", "sentinel://h/primary"])
def test_resp3(kind: str) -> None:
    """The protocol can be chosen."""
    assert options(f"redis+{kind}?protocol=3")["protocol"] == 3


def test_a_single_server_is_no_cluster() -> None:
    """A store of a cluster is not opened on the address of one server."""
    with pytest.raises(ConfigurationError):
        RedisClusterLimitStore.from_url("redis://h")


@pytest.mark.parametrize(
    "option",
    [
        "ssl_cert_reqs=none",
        "ssl_cert_reqs=optional",
        "ssl_check_hostname=false",
        "ssl_exclude_verify_flags=VERIFY_X509_STRICT",
        "ssl_ca_path=/tmp",
        "ssl_ca_certs=/nowhere/s3cret.pem",
    ],
)
@pytest.mark.parametrize(
    "form", ["rediss://h", "rediss+cluster://h", "rediss+sentinel://h/primary"]
)
def test_no_option_leaves_a_certificate_unchecked(form: str, option: str) -> None:
    """What would weaken TLS, or names a file that is not there, stops the start and is named."""
    with pytest.raises(ConfigurationError, match=option.partition("=")[0]) as caught:
        limit_store(f"{form}?{option}")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("form", ["redis://h", "unix:///h", "redis+cluster://h"])
def test_tls_options_without_tls(form: str) -> None:
    """An address that looks like TLS and is not is refused."""
    with pytest.raises(ConfigurationError, match="rediss"):
        limit_store(f"{form}?ssl_ca_certs={__file__}")


@pytest.mark.parametrize(
    "form", ["rediss://h", "rediss+cluster://h", "rediss+sentinel://h/primary"]
)
def test_certificate_and_name_are_checked(form: str) -> None:
    """Whatever the driver's own defaults are, both are asked for."""
    found = options(form)
    assert (found["ssl_cert_reqs"], found["ssl_check_hostname"]) == ("required", True)
    assert found["ssl_min_version"] is TLSVersion.TLSv1_2
