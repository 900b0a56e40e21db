"""Read the address of a Redis or Valkey, and open clients for it.

One server has an address that redis-py reads itself. A cluster and a set of Sentinels have several
hosts, and addresses of the form that the ``limits`` package knows as well.
"""

from __future__ import annotations

import os
import re
import ssl
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from stockade.errors import ConfigurationError

try:
    from redis.asyncio import ConnectionPool, Redis
    from redis.asyncio.cluster import ClusterNode, RedisCluster
    from redis.asyncio.connection import AbstractConnection
    from redis.asyncio.retry import Retry
    from redis.asyncio.sentinel import Sentinel
    from redis.backoff import NoBackoff
    from redis.exceptions import RedisClusterException, RedisError
except ImportError as error:
    raise ConfigurationError(
        "the Redis driver is not installed: pip install 'stockade[redis]'"
    ) from error

_SINGLE: Final = frozenset({"redis", "rediss", "unix"})
_CLUSTER: Final = frozenset({"redis+cluster", "rediss+cluster"})
_SENTINEL: Final = frozenset({"redis+sentinel", "rediss+sentinel"})
# Checks of health, places and resets need connections beside the trips, which are bounded.
_SPARE: Final = 8
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::([0-9]{1,5}))?")
_OPTIONS: Final = frozenset({"protocol", "sentinel_username", "sentinel_password"})
# Files of TLS: the authority of the server's certificate, and a certificate of our own.
_FILES: Final = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})
# Neither the certificate nor the name in it is ever left unchecked.
_TLS: Final = {
    "ssl_cert_reqs": "required",
    "ssl_check_hostname": True,
    "ssl_min_version": ssl.TLSVersion.TLSv1_2,
}
_SENTINEL_PORT: Final = 26379
_PORT: Final = 6379
_HIGHEST_PORT: Final = 65_535
_MALFORMED: Final = "the address of the Redis server is malformed"


@dataclass(frozen=True, slots=True)
class Opened:
    """A client, and others that are closed with it."""

    client: Redis | RedisCluster
    others: tuple[Redis, ...] = ()


def open_client(url: str, *, timeout: float, trips: int) -> Opened:
    """Make the client that an address asks for; nothing is connected yet.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://`` for one server;
            ``redis+cluster://user:password@host:port,host:port`` for a cluster;
            ``redis+sentinel://user:password@host:port,host:port/service`` for the primary that
            Sentinels name. ``valkey`` stands for ``redis``, ``rediss`` for TLS with the options
            ``ssl_ca_certs``, ``ssl_certfile`` and ``ssl_keyfile``.
        timeout: Seconds for connecting and for an answer.
        trips: Round trips under way at most.

    Raises:
        ConfigurationError: The address is malformed; the message never repeats it.
    """
    scheme, _, rest = url.partition("://")
    scheme = scheme.replace("valkeys", "rediss").replace("valkey", "redis")
    options: dict[str, Any] = {
        "max_connections": trips + _SPARE,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        # A script that has been sent may have run: to send it again would charge twice and wait
        # twice.
        "retry": Retry(NoBackoff(), 0),
    }
    if scheme not in _SINGLE | _CLUSTER | _SENTINEL:
        raise ConfigurationError(_MALFORMED)
    try:
        _check_tls(f"{scheme}://{rest}")
        if scheme in _CLUSTER:
            return _open_cluster(f"{scheme}://{rest}", options)
        if scheme in _SENTINEL:
            return _open_sentinel(f"{scheme}://{rest}", options)
        if scheme == "rediss":
            options |= _TLS
        pool: ConnectionPool = ConnectionPool.from_url(f"{scheme}://{rest}", **options)
        return Opened(Redis.from_pool(pool))
    except (ValueError, TypeError, RedisError, RedisClusterException):
        # The driver's message may quote the address, and with it the password.
        raise ConfigurationError(_MALFORMED) from None


def _check_tls(url: str) -> None:
    """Refuse what would leave a certificate unchecked, or what only looks like TLS."""
    parts = urlsplit(url)
    for name, value in parse_qsl(parts.query):
        if not name.startswith("ssl_"):
            continue
        if not parts.scheme.startswith("rediss"):
            raise ConfigurationError(
                f"{name} in the address of the Redis server says TLS and its scheme does not: use"
                " rediss://"
            )
        if name not in _FILES:
            raise ConfigurationError(
                f"{name} is no option of the address of a Redis server, whose certificate is always"
                " checked: ssl_ca_certs names its CA, ssl_certfile and ssl_keyfile our certificate"
            )
        if not os.access(value, os.R_OK):
            raise ConfigurationError(
                f"{name} in the address of the Redis server names no file that can be read"
            )


def make_connection(source: Redis | RedisCluster | ClusterNode) -> AbstractConnection:
    """Make a connection as those of a client or node are, without a limit of time for an answer.

    Callers have one; a second one would see a process that is held up as a server that is away.
    """
    if isinstance(source, RedisCluster):
        raise TypeError("each node of a cluster has connections of its own")
    maker = source.connection_pool if isinstance(source, Redis) else source
    options = {**maker.connection_kwargs, "socket_timeout": None}
    connection: AbstractConnection = maker.connection_class(**options)
    return connection


def _open_cluster(url: str, options: dict[str, Any]) -> Opened:
    address = _read(url, port=_PORT)
    if address.path not in {"", "0"} or address.sentinel:
        raise ConfigurationError("a Redis Cluster has the database 0 alone, and no Sentinels")
    nodes = [ClusterNode(host, port) for host, port in address.hosts]
    return Opened(
        RedisCluster(startup_nodes=nodes, require_full_coverage=False, **options, **address.options)
    )


def _open_sentinel(url: str, options: dict[str, Any]) -> Opened:
    address = _read(url, port=_SENTINEL_PORT)
    service, _, database = address.path.partition("/")
    if not service or (database and not database.isdecimal()):
        raise ConfigurationError(
            "the address of Sentinels ends with the name of the service:"
            " redis+sentinel://host:port,host:port/service"
        )
    secure = {name: value for name, value in address.options.items() if name.startswith("ssl")}
    manager = Sentinel(  # type: ignore[no-untyped-call]  # redis-py has no types for it
        address.hosts,
        sentinel_kwargs={
            "socket_timeout": options["socket_timeout"],
            "socket_connect_timeout": options["socket_connect_timeout"],
            "retry": Retry(NoBackoff(), 0),
            **secure,
            **address.sentinel,
        },
    )
    primary: Redis = manager.master_for(
        service, db=int(database or 0), **options, **address.options
    )
    return Opened(primary, tuple(manager.sentinels))


@dataclass(frozen=True, slots=True)
class _Address:
    hosts: list[tuple[str, int]]
    path: str
    options: dict[str, Any]
    sentinel: dict[str, str]


def _read(url: str, *, port: int) -> _Address:
    parts = urlsplit(url)
    credentials, at, hosts = parts.netloc.rpartition("@")
    options: dict[str, Any] = {}
    if at:
        user, colon, password = credentials.partition(":")
        if user:
            options["username"] = unquote(user)
        if colon:
            options["password"] = unquote(password)
    if parts.scheme.startswith("rediss"):
        options |= {"ssl": True, **_TLS}
    sentinel: dict[str, str] = {}
    for name, value in parse_qsl(parts.query, strict_parsing=bool(parts.query)):
        if name not in _OPTIONS | _FILES:
            raise ValueError(name)
        if name.startswith("sentinel_"):
            sentinel[name.removeprefix("sentinel_")] = value
        else:
            options[name] = int(value) if name == "protocol" else value
    return _Address(
        [_read_host(host, port) for host in hosts.split(",")],
        parts.path.strip("/"),
        options,
        sentinel,
    )


def _read_host(text: str, port: int) -> tuple[str, int]:
    match = _HOST.fullmatch(text)
    if match is None:
        raise ValueError("host")
    number = int(match[2] or port)
    if not 1 <= number <= _HIGHEST_PORT:
        raise ValueError("port")
    return match[1].strip("[]"), number
