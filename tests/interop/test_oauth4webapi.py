"""npm's oauth4webapi signs in, calls, verifies, refreshes, asks and revokes, in Node."""

import json
import subprocess
from pathlib import Path

from tests.interop.served import AUDIENCE, EMAIL, Served

FLOW = Path(__file__).with_name("oauth4webapi_flow.mjs")
TIMEOUT = 120


def test_the_client_goes_all_the_way(served: Served, oauth4webapi: Path) -> None:
    """Its checks of every answer pass, and what must fail fails with OAuth's own words."""
    given = {
        "address": served.address,
        "audience": AUDIENCE,
        "email": EMAIL,
        "password": served.password,
        "clientId": served.client_id,
        "key": served.key,
    }
    done = subprocess.run(
        ["node", str(FLOW), str(oauth4webapi), json.dumps(given)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    access, refresh = told.pop("access"), told.pop("refresh")
    assert told == {
        "type": "bearer",
        "called": [EMAIL, EMAIL],
        "rotated": True,
        "claims": {"iss": served.address, "email": EMAIL},
        "wrongPassword": "invalid_grant",
        "wrongKey": "OAUTH_WWW_AUTHENTICATE_CHALLENGE",
        "afterwards": [{"active": False}, {"active": False}],
        "refreshAfterwards": "invalid_grant",
        "reuse": "invalid_grant",
    }
    assert (access["active"], access["scope"], access["aud"]) == (True, "notes:note:read", AUDIENCE)
    assert (refresh["active"], refresh["username"]) == (True, EMAIL)
    assert "scope" not in refresh
