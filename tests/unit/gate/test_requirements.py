"""Requirements that are joined hold at the gate, before the body is read."""

import pytest
from fastapi import Depends, FastAPI

from stockade import require_all, require_any, require_permission, require_role
from stockade.errors import ConfigurationError
from tests.unit.gate.apps import ADMIN, MEMBER, ROOT, Protected, serve

ROLES = {
    "member": ["notes:note:read"],
    "admin": ["notes:note:write"],
    "owner": ["billing:invoice:read"],
}


@pytest.mark.parametrize(
    ("requirement", "passes"),
    [
        (require_permission("notes:note:read"), {"member", "admin"}),
        (require_permission("notes:note:write") | require_role("member"), {"member", "admin"}),
        (require_any("billing:invoice:read", require_role("admin")), {"admin"}),
        (
            require_all("notes:note:read", require_any("notes:note:write", "billing:invoice:read")),
            {"admin"},
        ),
    ],
    ids=["inherited", "or", "any", "nested"],
)
def test_a_joined_requirement_holds(requirement: object, passes: set[str]) -> None:
    """The gate lets through whom the requirement names, and the super administrator."""
    app = FastAPI()

    @app.get("/", dependencies=[Depends(requirement)])  # type: ignore[arg-type]
    async def read() -> str:
        return "ok"

    protected = Protected(authorization={"roles": ROLES, "inherits": {"admin": ["member"]}})
    with serve(app, protected) as client:
        for account, name in ((MEMBER, "member"), (ADMIN, "admin")):
            expected = 200 if name in passes else 403
            answer = client.get("/", headers=protected.headers(account))
            assert answer.status_code == expected, name
        assert client.get("/", headers=protected.headers(ROOT)).status_code == 200
        assert client.get("/").status_code == 401


@pytest.mark.parametrize(
    "requirement",
    [
        require_role("admin") | require_role("onwer"),
        require_any("notes:note:read", "notes:note:raed"),
    ],
    ids=["role", "permission"],
)
async def test_a_wrong_name_in_a_choice_stops_the_start(requirement: object) -> None:
    """A name that does not exist is found also where another alternative would do."""
    app = FastAPI()

    @app.get("/", dependencies=[Depends(requirement)])  # type: ignore[arg-type]
    async def read() -> str:
        return "ok"

    protected = Protected(authorization={"roles": ROLES})
    protected.stockade.install(app)
    with pytest.raises(ConfigurationError):
        await protected.stockade.start()
