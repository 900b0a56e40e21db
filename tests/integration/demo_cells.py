"""Say how the demo answers everybody on every endpoint: the tables behind the matrix.

Each row has the statuses of: nobody, super admin, owner, admin, member, and of two programs with
API keys: one with the role of a member and the permissions for budgets, one with that of an admin.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

VERBS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
COMPANIES: Final = ("acme", "globex")
KINDS: Final = ("owner", "admin", "member", "program", "robot")
CALLERS: Final = (
    None,
    "super-admin",
    *(f"{company}-{kind}" for company in COMPANIES for kind in KINDS),
)
NOTE: Final = {"title": "A note", "body": "<p>Of the matrix.</p>"}
PROJECT: Final = {"name": "A project"}
COMMENT: Final = {"text": "A comment"}
BUDGET: Final = {"budget": 5}
BODIES: Final = {
    ("POST", "/notes"): NOTE,
    ("PUT", "/notes/{note_id}"): NOTE,
    ("PUT", "/notes/export"): NOTE,
    ("POST", "/notes/{note_id}/comments"): COMMENT,
    ("POST", "/projects"): PROJECT,
    ("PUT", "/projects/{project_id}"): PROJECT,
    ("PUT", "/projects/{project_id}/budget"): BUDGET,
    ("POST", "/companies/departments"): {"name": "Sales", "description": "They sell."},
}

Row = tuple[int, int, int, int, int, int, int]
ALL: Final[Row] = (401, 403, 200, 200, 200, 200, 200)
MADE: Final[Row] = (401, 403, 201, 201, 201, 201, 201)
DONE: Final[Row] = (401, 403, 204, 204, 204, 204, 204)
# Who may not know that an object exists gets 404, as if it did not.
HIDDEN: Final[Row] = (401, 403, 404, 404, 404, 404, 404)
ADMINS: Final[Row] = (401, 403, 204, 204, 403, 403, 204)
ADMINS_HIDDEN: Final[Row] = (401, 403, 404, 404, 403, 403, 404)
FOR_SUPPORT: Final[Row] = (401, 200, 403, 403, 403, 403, 403)
FOR_SUPPORT_HIDDEN: Final[Row] = (401, 404, 403, 403, 403, 403, 403)

PLAIN: Final[dict[tuple[str, str], Row]] = {
    ("GET", "/health"): (200, 200, 200, 200, 200, 200, 200),
    ("GET", "/notes"): ALL,
    ("POST", "/notes"): MADE,
    ("GET", "/notes/export"): ALL,
    ("GET", "/projects"): ALL,
    ("POST", "/projects"): MADE,
    ("GET", "/companies"): (401, 200, 403, 403, 403, 403, 403),
    ("GET", "/companies/departments"): ALL,
    ("POST", "/companies/departments"): (401, 403, 201, 201, 403, 403, 201),
    # Whoever runs the whole system has every role, and no company whose members could be listed.
    ("POST", "/companies/admin-endpoint"): (401, 200, 200, 200, 403, 403, 200),
    ("POST", "/companies/endpoint"): (401, 200, 200, 200, 200, 200, 200),
}
# Verbs that the route of one note takes for a note by the name of another path.
SHADOWED: Final[dict[tuple[str, str], Row]] = {
    ("PUT", "/notes/export"): HIDDEN,
    ("DELETE", "/notes/export"): ADMINS_HIDDEN,
}
_READ_NOTE: Final = {
    "mine": ALL,
    "colleague's": ALL,
    "private": HIDDEN,
    "foreign": HIDDEN,
    "nobody's": HIDDEN,
}
_READ_PROJECT: Final = {"mine": ALL, "colleague's": ALL, "foreign": HIDDEN, "nobody's": HIDDEN}
_ATTACH: Final = {
    "mine": DONE,
    "colleague's": ADMINS,
    "private note": HIDDEN,
    "foreign note": HIDDEN,
    "foreign": HIDDEN,
    "both foreign": HIDDEN,
    "nobody's": HIDDEN,
}
TARGETED: Final[dict[tuple[str, str], dict[str, Row]]] = {
    ("GET", "/notes/{note_id}"): _READ_NOTE,
    ("PUT", "/notes/{note_id}"): {
        **_READ_NOTE,
        "colleague's": (401, 403, 200, 200, 403, 403, 200),
    },
    ("DELETE", "/notes/{note_id}"): {
        "mine": ADMINS,
        "colleague's": ADMINS,
        "private": ADMINS_HIDDEN,
        "foreign": ADMINS_HIDDEN,
        "nobody's": ADMINS_HIDDEN,
    },
    ("GET", "/notes/{note_id}/comments"): _READ_NOTE,
    ("POST", "/notes/{note_id}/comments"): {
        target: MADE if row is ALL else row for target, row in _READ_NOTE.items()
    },
    ("DELETE", "/notes/{note_id}/comments/{comment_id}"): {
        "mine": DONE,
        "colleague's": ADMINS,
        # The right comment below another note than its own.
        "astray": HIDDEN,
        "private": HIDDEN,
        "foreign": HIDDEN,
        "foreign note": HIDDEN,
        "nobody's": HIDDEN,
    },
    ("GET", "/projects/{project_id}"): _READ_PROJECT,
    ("PUT", "/projects/{project_id}"): {
        **_READ_PROJECT,
        "colleague's": (401, 403, 200, 200, 403, 403, 200),
    },
    # Nobody sets the budget of the own project.
    ("PUT", "/projects/{project_id}/budget"): {
        "mine": (401, 403, 403, 403, 403, 403, 403),
        "colleague's": (401, 403, 200, 403, 403, 200, 403),
        "foreign": (401, 403, 404, 403, 403, 404, 403),
        "nobody's": (401, 403, 404, 403, 403, 404, 403),
    },
    # A program has no sign-in that could be fresh.
    ("DELETE", "/projects/{project_id}"): {
        "mine": (401, 403, 204, 204, 403, 403, 401),
        "colleague's": (401, 403, 204, 204, 403, 403, 401),
        "foreign": (401, 403, 404, 404, 403, 403, 401),
        "nobody's": (401, 403, 404, 404, 403, 403, 401),
    },
    ("GET", "/projects/{project_id}/notes"): _READ_PROJECT,
    ("PUT", "/projects/{project_id}/notes/{note_id}"): _ATTACH,
    ("DELETE", "/projects/{project_id}/notes/{note_id}"): _ATTACH,
    ("GET", "/support/{company}/notes"): {
        "mine": FOR_SUPPORT,
        "foreign": FOR_SUPPORT,
        "nobody's": FOR_SUPPORT_HIDDEN,
    },
    ("GET", "/support/{company}/members/{user_id}/projects"): {
        "mine": FOR_SUPPORT,
        "foreign": FOR_SUPPORT,
        # An account of one company, asked for in the other one.
        "foreign note": FOR_SUPPORT_HIDDEN,
        "nobody's": FOR_SUPPORT_HIDDEN,
    },
}
# Whoever may not call a path with any verb is not even told its verbs.
CLOSED: Final[dict[str, Row]] = {
    "/health": (405, 405, 405, 405, 405, 405, 405),
    "/companies/admin-endpoint": (401, 405, 405, 405, 403, 403, 405),
    "/projects/{project_id}/budget": (401, 405, 405, 403, 403, 405, 403),
    "/support/{company}/notes": (401, 405, 403, 403, 403, 403, 403),
    "/support/{company}/members/{user_id}/projects": (401, 405, 403, 403, 403, 403, 403),
}
OTHERWISE: Final[Row] = (401, 405, 405, 405, 405, 405, 405)


@dataclass(frozen=True)
class Cell:
    """One request and the status that answers it."""

    verb: str
    path: str
    caller: str | None
    target: str | None
    status: int

    def __str__(self) -> str:
        return f"{self.verb} {self.path} as {self.caller} at {self.target}"


def company_of(caller: str | None) -> str:
    """Return the company of an account; that of the first for those who have none."""
    return "globex" if (caller or "").startswith("globex") else "acme"


def other_than(company: str) -> str:
    """Return the other company."""
    return "globex" if company == "acme" else "acme"


def column_of(caller: str | None) -> int:
    """Return the place of a caller in a row."""
    if caller is None:
        return 0
    return 1 if caller == "super-admin" else 2 + KINDS.index(caller.partition("-")[2])


def expected(verb: str, path: str, caller: str | None, target: str | None) -> int:
    """Return what a request has to be answered with."""
    row = (
        PLAIN.get((verb, path))
        or SHADOWED.get((verb, path))
        or TARGETED.get((verb, path), {}).get(target or "")
        or CLOSED.get(path, OTHERWISE)
    )
    return row[column_of(caller)]


def cells() -> Iterator[Cell]:
    """Yield every combination."""
    for path in sorted({path for _, path in (*PLAIN, *TARGETED)}):
        targets: dict[str | None, None] = {}
        for (_, other), rows in TARGETED.items():
            if other == path:
                targets |= dict.fromkeys(rows)
        for verb in VERBS:
            for caller in CALLERS:
                for target in targets or (None,):
                    yield Cell(verb, path, caller, target, expected(verb, path, caller, target))
