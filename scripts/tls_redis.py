"""Find a Redis that speaks TLS for the tests, or get Debian's; the embedded Valkey speaks none.

The tests look in the same places: ``STOCKADE_TEST_TLS_REDIS``, the usual names on ``PATH``, then
``.tools/redis/redis-server``. Where there is none, root on Debian installs ``redis-tools``, which
holds the program under another name and starts no server. Without one some tests of TLS are
skipped, and under ``CI`` they fail.
"""

import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.debian import install
from tests.servers.tls import UNPACKED, find_tls_redis

# It is told by its name what it is to be.
PROGRAM = "redis-check-rdb"


def main() -> None:
    """Make sure that there is a Redis with TLS; say so loudly where there is none."""
    if find_tls_redis() is not None:
        return
    if shutil.which(PROGRAM) is None:
        install("redis-tools")
    if found := shutil.which(PROGRAM):
        UNPACKED.parent.mkdir(parents=True, exist_ok=True)
        UNPACKED.unlink(missing_ok=True)
        UNPACKED.symlink_to(found)
    find_tls_redis.cache_clear()
    if find_tls_redis() is None:
        print("!!! NO REDIS WITH TLS: some tests of TLS will be SKIPPED !!!", file=sys.stderr)


if __name__ == "__main__":
    main()
