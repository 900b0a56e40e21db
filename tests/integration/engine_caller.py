"""Serve one example in a process of its own: ``python -m tests.integration.engine_caller FOLDER``.

Models and their rules are registered for good, so that two examples can't share a process. Each
line of the input is a call, and each line of the output its answer.
"""

import json
import runpy
import sys
from typing import Any

from starlette.testclient import TestClient

from stockade.testing import as_principal, capture_events


def answer(client: TestClient, call: dict[str, Any]) -> dict[str, Any]:
    """Make one call as somebody, and return the answer with the events on the way."""
    with (
        as_principal(client, user_id=call["caller"], tenant=call["tenant"], roles=[call["role"]]),
        capture_events(client) as sink,
    ):
        got = client.request(call["method"], call["path"], json=call.get("json"))
    events = [[event.name, event.reason, dict(event.details)] for event in sink]
    return {"status": got.status_code, "text": got.text, "events": events}


if __name__ == "__main__":
    application = runpy.run_path(f"{sys.argv[1]}/main.py")["app"]
    with TestClient(application, raise_server_exceptions=False) as test_client:
        for line in sys.stdin:
            print(json.dumps(answer(test_client, json.loads(line))), flush=True)  # noqa: T201
