"""Start real PostgreSQL and Redis servers for one test run and leave nothing behind."""

from tests.servers.postgres import PostgresDatabase, PostgresServer, run_postgres
from tests.servers.process import ServerUnavailableError
from tests.servers.redis import run_redis, run_redis_cluster

__all__ = [
    "PostgresDatabase",
    "PostgresServer",
    "ServerUnavailableError",
    "run_postgres",
    "run_redis",
    "run_redis_cluster",
]
